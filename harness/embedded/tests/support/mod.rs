//! What the tests share: a state directory of their own, a client, and a look at the host before and after.

#[allow(dead_code)] // Not every user of a client needs all of it.
pub mod client;
#[allow(dead_code)] // Nor to look at the host.
pub mod host;

use std::path::PathBuf;
use std::time::Duration;

use gauntlet_embedded::Config;
use libtest_mimic::Failed;

/// How long anything may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A state directory that nobody else uses.
pub struct Sandbox {
    directory: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Result<Self, Failed> {
        Ok(Self { directory: tempfile::tempdir()? })
    }

    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub fn config(&self, id: &str) -> Config {
        Config { state_dir: self.state_dir(), ..Config::new(id, 2) }
    }
}
