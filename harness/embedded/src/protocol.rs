//! What the server's processes say to their launcher: JSON lines on standard output.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::state::ClusterInfo;

/// The hidden subcommand that starts the supervisor: its configuration is the first line of its standard input, and
/// the end of that input ends the cluster, unless it is detached.
pub(crate) const SUBCOMMAND: &str = "embedded-serve";

/// The argument that makes it the server itself, inside the namespaces the supervisor made.
pub(crate) const INSIDE: &str = "--inside";

/// A line from the server or its supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// Clients may connect.
    Ready(ClusterInfo),
    /// There will be no cluster, or there is none any more.
    Failed(Error),
    /// The cluster ended and nothing of it is left, but for what an earlier `Failed` named.
    Ended,
}

impl Report {
    /// Writes the line. A launcher that is gone does not want to know.
    pub fn send(&self) {
        if let Ok(mut line) = serde_json::to_string(self) {
            line.push('\n');
            let mut out = io::stdout().lock();
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
    }
}
