//! A child process that becomes a program inside a container.
//!
//! It is born into the container's PID namespace, joins its cgroups and other namespaces, and takes on the container's
//! user, capabilities and restrictions, in that order, before it becomes the program.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Uid, chdir, setgroups, setresgid, setresuid, setsid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::runtime::config::ContainerConfig;
use crate::runtime::spec;

/// Where a command is to run.
pub struct Place {
    /// The container's first process, as a process file descriptor.
    pub handle: Arc<OwnedFd>,
    pub config: Arc<ContainerConfig>,
    /// Membership files of the container's cgroups.
    pub cgroups: Vec<File>,
}

/// Starts a command. A refusal is worded as OCI runtimes word it.
pub async fn spawn(place: Place, command: &[String], stdio: [Stdio; 3], terminal: bool) -> Result<Child, String> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(refusal("exec: no command was given"));
    };
    let failed = |error: io::Error| explain(program, &error);
    let [stdin, stdout, stderr] = stdio;
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(stdin).stdout(stdout).stderr(stderr);
    command.env_clear().envs(place.config.env.iter().map(|(name, value)| (name, value)));
    let handle = place.handle.clone();
    enter_before_exec(&mut command, Entrance::prepare(place, terminal).map_err(failed)?);
    spawn_in_pid_namespace(handle, command).await.map_err(failed)
}

/// Only a thread's later children are born into a PID namespace that it joins; so there is one for each command.
async fn spawn_in_pid_namespace(handle: Arc<OwnedFd>, command: std::process::Command) -> io::Result<Child> {
    let runtime = tokio::runtime::Handle::current();
    let (sender, receiver) = oneshot::channel();
    let spawn = move || {
        let _entered = runtime.enter();
        let child = setns(handle.as_fd(), CloneFlags::CLONE_NEWPID)
            .map_err(io::Error::from)
            .and_then(|()| Command::from(command).kill_on_drop(true).spawn());
        // Where nobody waits any more, dropping the child ends it.
        let _ = sender.send(child);
    };
    std::thread::Builder::new().name("exec".into()).stack_size(128 << 10).spawn(spawn)?;
    receiver.await.map_err(io::Error::other)?
}

/// What the child does before it becomes the program.
struct Entrance {
    handle: Arc<OwnedFd>,
    cgroups: Vec<File>,
    working_dir: CString,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// The bounding set.
    capabilities: CapabilitySet,
    no_new_privileges: bool,
    terminal: bool,
}

#[allow(unsafe_code)]
fn enter_before_exec(command: &mut std::process::Command, entrance: Entrance) {
    // SAFETY: the child of a process with threads may only make system calls. `enter` does nothing else: it takes no
    // lock and allocates nothing; what it needs was prepared before.
    unsafe { command.pre_exec(move || entrance.enter()) };
}

impl Entrance {
    fn prepare(place: Place, terminal: bool) -> io::Result<Self> {
        let config = &place.config;
        let user = &config.user;
        Ok(Self {
            handle: place.handle,
            cgroups: place.cgroups,
            working_dir: CString::new(config.working_dir.as_os_str().as_encoded_bytes())?,
            uid: Uid::from_raw(user.uid),
            gid: Gid::from_raw(user.gid),
            groups: user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect(),
            capabilities: capability_set(&spec::capabilities(config)),
            no_new_privileges: config.no_new_privileges && !config.privileged,
            terminal,
        })
    }

    fn enter(&self) -> io::Result<()> {
        for procs in &self.cgroups {
            // 0 stands for the writer itself.
            rustix::io::write(procs, b"0")?;
        }
        let others =
            CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
        setns(self.handle.as_fd(), others)?;
        if !self.working_dir.is_empty() {
            chdir(self.working_dir.as_c_str())?;
        }
        setsid()?;
        if self.terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        self.give_up_privileges()
    }

    fn give_up_privileges(&self) -> io::Result<()> {
        for capability in CapabilitySet::all().iter().filter(|one| !self.capabilities.contains(*one)) {
            // A kernel that does not know a capability does not grant it either.
            let _ = remove_capability_from_bounding_set(capability);
        }
        setgroups(&self.groups)?;
        setresgid(self.gid, self.gid, self.gid)?;
        if self.uid.is_root() {
            let (held, none) = (self.capabilities, CapabilitySet::empty());
            set_capabilities(None, CapabilitySets { effective: held, permitted: held, inheritable: none })?;
        } else {
            // With root's id the kernel takes all capabilities away.
            setresuid(self.uid, self.uid, self.uid)?;
        }
        if self.no_new_privileges {
            set_no_new_privs(true)?;
        }
        Ok(())
    }
}

fn capability_set(names: &[String]) -> CapabilitySet {
    names.iter().filter_map(|name| CapabilitySet::from_name(name.strip_prefix("CAP_")?)).collect()
}

fn refusal(why: &str) -> String {
    format!("OCI runtime exec failed: exec failed: unable to start container process: {why}: unknown")
}

fn explain(program: &str, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound if !program.contains('/') => "executable file not found in $PATH".to_owned(),
        io::ErrorKind::NotFound => format!("stat {program}: no such file or directory"),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    refusal(&format!("exec: {program:?}: {why}"))
}
