//! The volumes of a pod, from their specification to directories that containers mount.

mod ownership;
pub mod payload;
mod write;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use embedded_apimachinery::object;
use embedded_apimachinery::quantity::Quantity;
use embedded_apimachinery::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use embedded_apimachinery::{Api, ApiExt};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;

use payload::{Payload, Sources};

/// The volumes of one pod below its directory.
pub struct Volumes {
    directory: PathBuf,
    fs_group: Option<u32>,
    /// Host paths by volume name.
    paths: HashMap<String, PathBuf>,
    /// What was last written, to write only what changed.
    written: HashMap<String, (Payload, u64)>,
    memory: Vec<PathBuf>,
}

/// A volume that cannot be mounted: which, and the text of its `FailedMount` event.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
}

impl Failure {
    fn of(volume: &str, why: impl std::fmt::Display) -> Self {
        Self { message: format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}") }
    }
}

impl Volumes {
    pub fn new(directory: PathBuf, pod: &Value) -> Self {
        let fs_group = object::int_at(pod, "/spec/securityContext/fsGroup").and_then(|gid| u32::try_from(gid).ok());
        let (paths, written) = (HashMap::new(), HashMap::new());
        Self { directory, fs_group, paths, written, memory: Vec::new() }
    }

    /// Makes every volume that is not there yet.
    pub fn mount_all(&mut self, api: &dyn Api, sources: &Sources<'_>) -> Result<(), Failure> {
        for volume in object::list_at(sources.pod, "/spec/volumes") {
            let name = object::str_at(volume, "/name");
            if !self.paths.contains_key(name) {
                let path = self.mount_one(name, volume, api, sources).map_err(|why| Failure::of(name, why))?;
                self.paths.insert(name.to_owned(), path);
            }
        }
        Ok(())
    }

    /// Rewrites volumes whose sources changed. What cannot be read any more keeps its old files, as on a kubelet.
    pub fn refresh(&mut self, sources: &Sources<'_>) -> Result<(), Failure> {
        for volume in object::list_at(sources.pod, "/spec/volumes") {
            let name = object::str_at(volume, "/name");
            if !self.paths.contains_key(name) || holds_token(volume) {
                continue;
            }
            if let Some(Ok(payload)) = payload::of_volume(volume, sources) {
                self.write_payload(name, payload).map_err(|why| Failure::of(name, why))?;
            }
        }
        Ok(())
    }

    pub fn path(&self, name: &str) -> Option<&Path> {
        self.paths.get(name).map(PathBuf::as_path)
    }

    /// Removes what was made for the pod alone. Goes on through errors, and returns them.
    pub fn unmount_all(&mut self) -> Vec<io::Error> {
        let mut errors = Vec::new();
        for path in self.memory.drain(..) {
            if let Err(errno) = umount2(&path, MntFlags::MNT_DETACH) {
                errors.push(errno.into());
            }
        }
        self.paths.clear();
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => errors.push(error),
            _ => {}
        }
        errors
    }

    /// The machine is off: of what was made for the pod only its empty directories on disk stay. Goes on through
    /// errors, and returns them.
    pub fn lose_power(&mut self, pod: &Value) -> Vec<io::Error> {
        let mut errors = Vec::new();
        for path in self.memory.drain(..) {
            errors.extend(umount2(&path, MntFlags::MNT_DETACH).err().map(io::Error::from));
        }
        let on_disk =
            |volume: &&Value| volume.get("emptyDir").is_some_and(|empty| object::str_at(empty, "/medium") != "Memory");
        let kept: Vec<&str> =
            object::list_at(pod, "/spec/volumes").iter().filter(on_disk).map(|v| object::str_at(v, "/name")).collect();
        for name in self.paths.drain().map(|(name, _)| name).filter(|name| !kept.contains(&name.as_str())) {
            match fs::remove_dir_all(self.directory.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => errors.push(error),
                _ => {}
            }
        }
        self.written.clear();
        errors
    }

    fn mount_one(
        &mut self,
        name: &str,
        volume: &Value,
        api: &dyn Api,
        sources: &Sources<'_>,
    ) -> Result<PathBuf, String> {
        if let Some(payload) = payload::of_volume(volume, sources) {
            return self.write_payload(name, payload?).map_err(|error| error.to_string());
        }
        if let Some(spec) = volume.get("emptyDir") {
            return self.empty_dir(name, spec).map_err(|error| error.to_string());
        }
        if let Some(spec) = volume.get("hostPath") {
            return host_path(spec).map_err(|error| error.to_string());
        }
        if let Some(claim) = volume.get("persistentVolumeClaim") {
            let path = claimed(api, object::namespace(sources.pod), object::str_at(claim, "/claimName"))?;
            fs::create_dir_all(&path).map_err(|error| error.to_string())?;
            self.give(&path, false).map_err(|error| error.to_string())?;
            return Ok(path);
        }
        Err("this kind of volume is not supported".into())
    }

    fn write_payload(&mut self, name: &str, payload: Payload) -> io::Result<PathBuf> {
        let root = self.directory.join(name);
        let generation = match self.written.get(name) {
            Some((old, _)) if *old == payload => return Ok(root),
            Some((_, generation)) => generation + 1,
            None => 1,
        };
        write::write(&root, &payload, generation)?;
        self.give(&root, true)?;
        self.written.insert(name.to_owned(), (payload, generation));
        Ok(root)
    }

    fn empty_dir(&mut self, name: &str, spec: &Value) -> io::Result<PathBuf> {
        let path = self.directory.join(name);
        fs::create_dir_all(&path)?;
        if object::str_at(spec, "/medium") == "Memory" {
            let limit = Quantity::parse(object::str_at(spec, "/sizeLimit")).map(|size| size.value());
            let options = limit.map_or("mode=777".to_owned(), |bytes| format!("mode=777,size={bytes}"));
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
            mount(Some("tmpfs"), &path, Some("tmpfs"), flags, Some(options.as_str()))?;
            self.memory.push(path.clone());
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        self.give(&path, false)?;
        Ok(path)
    }

    fn give(&self, path: &Path, read_only: bool) -> io::Result<()> {
        self.fs_group.map_or(Ok(()), |group| ownership::give_to_group(path, group, read_only))
    }
}

/// Tokens are made anew at every look; rewriting them with each change of another object would be waste.
fn holds_token(volume: &Value) -> bool {
    object::list_at(volume, "/projected/sources").iter().any(|source| source.get("serviceAccountToken").is_some())
}

fn host_path(spec: &Value) -> io::Result<PathBuf> {
    let path = PathBuf::from(object::str_at(spec, "/path"));
    match object::str_at(spec, "/type") {
        "DirectoryOrCreate" => fs::create_dir_all(&path)?,
        "FileOrCreate" => drop(fs::OpenOptions::new().create(true).append(true).open(&path)?),
        _ => {
            fs::metadata(&path)?;
        }
    }
    Ok(path)
}

/// Whether a claim of the pod is still to be bound. Kubernetes' scheduler waits for that before it binds the pod, so a
/// kubelet that meets such a claim has nothing to complain of.
pub fn await_binding(api: &dyn Api, pod: &Value) -> bool {
    let claims =
        object::list_at(pod, "/spec/volumes").iter().map(|v| object::str_at(v, "/persistentVolumeClaim/claimName"));
    claims.filter(|name| !name.is_empty()).any(|name| {
        let claim = api.find(&PERSISTENT_VOLUME_CLAIMS, object::namespace(pod), name);
        claim.is_some_and(|claim| object::str_at(&claim, "/status/phase") != "Bound")
    })
}

/// The directory behind a claim.
fn claimed(api: &dyn Api, namespace: &str, name: &str) -> Result<PathBuf, String> {
    let claim = api
        .find(&PERSISTENT_VOLUME_CLAIMS, namespace, name)
        .ok_or_else(|| format!("persistentvolumeclaim \"{name}\" not found"))?;
    let volume = object::str_at(&claim, "/spec/volumeName");
    if object::str_at(&claim, "/status/phase") != "Bound" || volume.is_empty() {
        return Err(format!("persistentvolumeclaim \"{name}\" is not bound"));
    }
    let volume = api.get(&PERSISTENT_VOLUMES, "", volume).map_err(|status| status.message)?;
    let path = ["/spec/hostPath/path", "/spec/local/path"].into_iter().map(|pointer| object::str_at(&volume, pointer));
    match path.into_iter().find(|path| !path.is_empty()) {
        Some(path) => Ok(path.into()),
        None => Err(format!("persistentvolume \"{}\" is neither hostPath nor local", object::name(&volume))),
    }
}
