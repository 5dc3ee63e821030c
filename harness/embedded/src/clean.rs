//! Ending clusters of other processes, and removing what dead ones left.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::admin;
use crate::config::{Paths, check_id};
use crate::error::{Error, Result};
use crate::state::{self, Claim, ClusterStatus};
use crate::sweep;

/// How often a cluster that is ending is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Ends a running cluster that may be another process's, and waits until nothing of it is left.
pub async fn stop(state_dir: &Path, id: &str, deadline: Duration) -> Result<()> {
    check_id(id)?;
    let paths = Paths::new(state_dir, id);
    if !paths.directory().exists() {
        return Err(Error::Unknown { id: id.to_owned(), state_dir: state_dir.to_owned() });
    }
    let until = Instant::now() + deadline;
    let late = || Error::NotStopped { seconds: deadline.as_secs() };
    let (socket, shutdown) = (paths.admin_socket(), json!({"op": "shutdown"}));
    // A dead cluster has no server to ask, and one that is just ending does not answer: what counts is below.
    let _ = timeout_at(until, admin::request(&socket, &shutdown)).await;
    loop {
        match clean(state_dir, id) {
            Err(Error::Running { .. }) if Instant::now() < until => tokio::time::sleep(POLL).await,
            Err(Error::Running { .. }) => return Err(late()),
            Err(Error::Unknown { .. }) => return Ok(()),
            done => return done,
        }
    }
}

/// Removes everything that a dead cluster left. [`Error::Running`] when it is not dead, [`Error::Unknown`] when there
/// is nothing of it.
pub fn clean(state_dir: &Path, id: &str) -> Result<()> {
    check_id(id)?;
    let paths = Paths::new(state_dir, id);
    let unknown = || Error::Unknown { id: id.to_owned(), state_dir: state_dir.to_owned() };
    if !paths.directory().exists() && sweep::cgroups(&paths).is_empty() {
        return Err(unknown());
    }
    let claim = if paths.directory().exists() { Claim::try_take(id, &paths)? } else { None };
    let mut left = sweep::sweep(&paths);
    left.extend(sweep::remove_directory(&paths));
    drop(claim);
    if left.is_empty() { Ok(()) } else { Err(Error::Leftovers { id: id.to_owned(), what: left }) }
}

/// Removes everything that dead clusters left; goes on after errors. The ids that were cleaned, and the errors.
pub fn clean_dead(state_dir: &Path) -> (Vec<String>, Vec<Error>) {
    let (mut cleaned, mut errors) = (Vec::new(), Vec::new());
    let clusters = state::list(state_dir).unwrap_or_else(|error| {
        errors.push(error);
        Vec::new()
    });
    for cluster in clusters.into_iter().filter(|cluster| cluster.status == ClusterStatus::Dead) {
        match clean(state_dir, &cluster.id) {
            Ok(()) => cleaned.push(cluster.id),
            // Somebody started or removed it meanwhile.
            Err(Error::Running { .. } | Error::Unknown { .. }) => {}
            Err(error) => errors.push(error),
        }
    }
    (cleaned, errors)
}
