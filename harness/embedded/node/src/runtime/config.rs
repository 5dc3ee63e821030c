//! What a container is, resolved to the last detail: no Kubernetes objects from here on.

use std::path::PathBuf;
use std::time::SystemTime;

/// Everything the runtime needs to start a container.
#[derive(Clone, Debug)]
pub struct ContainerConfig {
    /// Unique within the cluster, and a directory name: `<pod uid>-<container>-<restart count>`.
    pub id: String,
    /// Cgroup below the cluster's own: `<pod uid>/<container>`.
    pub cgroup: String,
    /// Program and arguments; the program is looked up in `PATH` of `env`.
    pub args: Vec<String>,
    /// In order; later entries win.
    pub env: Vec<(String, String)>,
    pub working_dir: PathBuf,
    pub user: User,
    pub hostname: String,
    /// The pod's network namespace.
    pub netns: PathBuf,
    pub processes: Processes,
    /// In order of mounting.
    pub mounts: Vec<Mount>,
    pub read_only_root: bool,
    pub no_new_privileges: bool,
    pub privileged: bool,
    pub capabilities: Capabilities,
    /// Refuse system calls that no ordinary program makes (`seccompProfile: RuntimeDefault`).
    pub seccomp: bool,
    /// Kernel settings of the container's own namespaces.
    pub sysctls: Vec<(String, String)>,
    pub limits: Limits,
    /// Where standard output and error go, one line each with its time.
    pub log_path: PathBuf,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// `fsGroup` and `supplementalGroups`.
    pub additional_gids: Vec<u32>,
}

/// Applied to the runtime's default set: first what is added (`ALL` for every one), then what is dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Without the `CAP_` prefix, as in Kubernetes.
    pub add: Vec<String>,
    pub drop: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: Option<i64>,
    pub cpu_milli: Option<i64>,
    pub cpu_request_milli: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Inside the container; missing directories and files are made.
    pub target: PathBuf,
    pub kind: MountKind,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind {
        source: PathBuf,
    },
    Tmpfs {
        size_bytes: Option<u64>,
        mode: u32,
    },
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// As a shell counts: 128 + n for signal n.
    pub code: i32,
    pub signal: Option<i32>,
    pub oom_killed: bool,
    pub at: SystemTime,
}

/// Whose processes a container sees besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processes {
    /// Nobody's.
    Own,
    /// Those of the container with this process.
    Of(i32),
    /// Those of the machine.
    Host,
}
