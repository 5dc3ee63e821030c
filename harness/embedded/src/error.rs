//! What can go wrong between wanting a cluster and having cleaned up after it, each with what to do about it.
//!
//! Errors cross the boundary between the server's process and its launcher as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// See the module's description. [`Error::remedy`] says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    #[error("the embedded cluster needs root: it makes namespaces, mounts and cgroups")]
    NotRoot,
    #[error("the embedded cluster needs the program {program}, which is not in PATH")]
    MissingProgram { program: String, package: String },
    #[error("cannot use the state directory {}: {reason}", path.display())]
    StateDir { path: PathBuf, reason: String },
    #[error("the disk of {} is full: {free_mib} MiB free, {needed_mib} MiB needed", path.display())]
    DiskFull { path: PathBuf, free_mib: u64, needed_mib: u64 },
    #[error("port {port} of 127.0.0.1 cannot be had for the API server: {reason}")]
    Port { port: u16, reason: String },
    #[error("the configuration of the embedded cluster is wrong: {what}")]
    InvalidConfig { what: String },
    #[error("cluster {id:?} is running")]
    Running { id: String },
    #[error("there is no cluster {id:?} in {}", state_dir.display())]
    Unknown { id: String, state_dir: PathBuf },
    #[error("cannot {doing}: {reason}")]
    Failed { doing: String, reason: String },
    #[error("the cluster's server {how}{}", quoted(last_words))]
    Died { how: String, last_words: Vec<String> },
    #[error("the cluster was not ready after {seconds} s{}", quoted(last_words))]
    NotReady { seconds: u64, last_words: Vec<String> },
    #[error("the cluster did not end within {seconds} s")]
    NotStopped { seconds: u64 },
    #[error("not everything of cluster {id:?} could be removed:\n  {}", what.join("\n  "))]
    Leftovers { id: String, what: Vec<String> },
}

impl Error {
    /// What the person reading may do next.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotRoot => "run it as root, for example with sudo".into(),
            Self::MissingProgram { package, .. } => format!("apt-get install {package}"),
            Self::StateDir { .. } => {
                format!("name another directory in {}", crate::config::STATE_DIR_VARIABLE)
            }
            Self::DiskFull { .. } => {
                format!("free some space, or name a directory on another disk in {}", crate::config::STATE_DIR_VARIABLE)
            }
            Self::Port { .. } => "choose another port, or none and let the system choose".into(),
            Self::Running { .. } => "stop it first, or choose another id".into(),
            Self::NotStopped { .. } | Self::Leftovers { .. } => "run `gauntlet clean`".into(),
            _ => return None,
        })
    }

    pub(crate) fn failed(doing: impl Into<String>, reason: impl ToString) -> Self {
        Self::Failed { doing: doing.into(), reason: reason.to_string() }
    }
}

/// Names the step that an error came from.
pub(crate) trait Doing<T> {
    fn doing<D: Into<String>>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: ToString> Doing<T> for std::result::Result<T, E> {
    fn doing<D: Into<String>>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| Error::failed(what(), error))
    }
}

fn quoted(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("; its last words:\n  {}", lines.join("\n  ")) }
}
