//! What a container mounts: its volumes, the pod's own files, and the files of its image.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use embedded_apimachinery::object;
use serde_json::Value;

use super::volumes::Volumes;
use crate::image::ImageRecipe;
use crate::runtime::{Mount, MountKind};

/// The cluster's name server.
pub const CLUSTER_DNS: &str = "10.96.0.10";
const CLUSTER_DOMAIN: &str = "cluster.local";

/// The mounts of `volumeMounts`, in order. The error is the text of `CreateContainerConfigError`.
pub fn of_volumes(container: &Value, volumes: &Volumes, expand: impl Fn(&str) -> String) -> Result<Vec<Mount>, String> {
    let mut mounts = Vec::new();
    for mount in object::list_at(container, "/volumeMounts") {
        let name = object::str_at(mount, "/name");
        let root = volumes.path(name).ok_or_else(|| format!("volume \"{name}\" is not mounted"))?;
        let sub_path = match object::str_at(mount, "/subPathExpr") {
            "" => object::str_at(mount, "/subPath").to_owned(),
            expression => expand(expression),
        };
        let source = inside(root, &sub_path)
            .map_err(|error| format!("failed to prepare subPath for volumeMount \"{name}\": {error}"))?;
        mounts.push(Mount {
            target: object::str_at(mount, "/mountPath").into(),
            kind: MountKind::Bind { source },
            read_only: object::bool_at(mount, "/readOnly"),
        });
    }
    Ok(mounts)
}

/// A path inside a volume, made if it is missing. Links must not lead out of it.
fn inside(root: &Path, sub_path: &str) -> io::Result<PathBuf> {
    if sub_path.is_empty() {
        return Ok(root.to_owned());
    }
    let leads_out = || io::Error::other(format!("subPath {sub_path:?} leads out of the volume"));
    if Path::new(sub_path).components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(leads_out());
    }
    let path = root.join(sub_path);
    if fs::symlink_metadata(&path).is_err() {
        fs::create_dir_all(&path)?;
    }
    let real = fs::canonicalize(&path)?;
    if real.starts_with(fs::canonicalize(root)?) { Ok(real) } else { Err(leads_out()) }
}

/// The files of an image's recipe.
pub fn of_image(recipe: &ImageRecipe) -> impl Iterator<Item = Mount> {
    recipe.files.iter().map(|file| Mount {
        target: file.container.clone(),
        kind: MountKind::Bind { source: file.host.clone() },
        read_only: true,
    })
}

/// `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`, written below `directory`, unless a volume is mounted there.
pub fn of_pod(directory: &Path, pod: &Value, address: IpAddr, container: &Value) -> io::Result<Vec<Mount>> {
    fs::create_dir_all(directory)?;
    let files = [("hosts", hosts(pod, address)), ("hostname", hostname(pod) + "\n"), ("resolv.conf", resolver(pod))];
    let mut mounts = Vec::new();
    for (name, text) in files {
        let (source, target) = (directory.join(name), Path::new("/etc").join(name));
        if !source.exists() {
            fs::write(&source, text)?;
        }
        let taken = |mount: &Value| Path::new(object::str_at(mount, "/mountPath")) == target;
        if !object::list_at(container, "/volumeMounts").iter().any(taken) {
            mounts.push(Mount { target, kind: MountKind::Bind { source }, read_only: false });
        }
    }
    Ok(mounts)
}

/// The pod's host name: `spec.hostname`, or its name, cut to what a host name may be.
pub fn hostname(pod: &Value) -> String {
    let name = match object::str_at(pod, "/spec/hostname") {
        "" => object::name(pod),
        name => name,
    };
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}

fn hosts(pod: &Value, address: IpAddr) -> String {
    let hostname = hostname(pod);
    let names = match object::str_at(pod, "/spec/subdomain") {
        "" => hostname,
        subdomain => {
            let namespace = object::namespace(pod);
            format!("{hostname}.{subdomain}.{namespace}.svc.{CLUSTER_DOMAIN}\t{hostname}")
        }
    };
    let mut text = format!(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n\
         {address}\t{names}\n"
    );
    for alias in object::list_at(pod, "/spec/hostAliases") {
        let names: Vec<&str> = object::list_at(alias, "/hostnames").iter().filter_map(Value::as_str).collect();
        text += &format!("{}\t{}\n", object::str_at(alias, "/ip"), names.join("\t"));
    }
    text
}

/// `dnsPolicy` and `dnsConfig`. `Default` would be the node's own resolver, which the cluster's network cannot reach:
/// such pods resolve nothing but what `dnsConfig` names.
fn resolver(pod: &Value) -> String {
    let list = |pointer: &str| -> Vec<String> {
        object::list_at(pod, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut servers = Vec::new();
    let mut searches = Vec::new();
    let mut options = Vec::new();
    if matches!(object::str_at(pod, "/spec/dnsPolicy"), "" | "ClusterFirst" | "ClusterFirstWithHostNet") {
        servers.push(CLUSTER_DNS.to_owned());
        let namespace = object::namespace(pod);
        searches.push(format!("{namespace}.svc.{CLUSTER_DOMAIN}"));
        searches.push(format!("svc.{CLUSTER_DOMAIN}"));
        searches.push(CLUSTER_DOMAIN.to_owned());
        options.push("ndots:5".to_owned());
    }
    servers.extend(list("/spec/dnsConfig/nameservers"));
    searches.extend(list("/spec/dnsConfig/searches"));
    for option in object::list_at(pod, "/spec/dnsConfig/options") {
        let (name, value) = (object::str_at(option, "/name"), object::str_at(option, "/value"));
        options.retain(|known| known.split(':').next() != Some(name));
        options.push(if value.is_empty() { name.to_owned() } else { format!("{name}:{value}") });
    }
    let mut text = String::new();
    if !searches.is_empty() {
        text += &format!("search {}\n", searches.join(" "));
    }
    servers.iter().for_each(|server| text += &format!("nameserver {server}\n"));
    if !options.is_empty() {
        text += &format!("options {}\n", options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cluster_names_are_searched_first() {
        let pod = json!({"metadata": {"namespace": "ns"}, "spec": {"dnsPolicy": "ClusterFirst"}});
        assert_eq!(
            resolver(&pod),
            "search ns.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
        );
        let config = json!({"nameservers": ["1.2.3.4"], "options": [{"name": "ndots", "value": "2"}]});
        let pod = json!({"metadata": {}, "spec": {"dnsPolicy": "None", "dnsConfig": config}});
        assert_eq!(resolver(&pod), "nameserver 1.2.3.4\noptions ndots:2\n");
    }

    #[test]
    fn a_pod_of_a_headless_service_knows_its_full_name() {
        let pod =
            json!({"metadata": {"name": "db-0", "namespace": "ns"}, "spec": {"hostname": "db-0", "subdomain": "db"}});
        assert!(hosts(&pod, IpAddr::from([10, 0, 0, 1])).contains("10.0.0.1\tdb-0.db.ns.svc.cluster.local\tdb-0\n"));
    }

    #[test]
    fn sub_paths_stay_in_their_volume() {
        let dir = tempfile::tempdir().unwrap();
        assert!(inside(dir.path(), "a/b").unwrap().is_dir());
        assert!(inside(dir.path(), "../x").is_err());
        std::os::unix::fs::symlink("/etc", dir.path().join("out")).unwrap();
        assert!(inside(dir.path(), "out").is_err());
    }
}
