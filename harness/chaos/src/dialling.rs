//! Trying connections: whether they are answered, fall silent, are answered again.

use crate::fault::Scene;
use crate::paths::{Path, address};
use futures::future::join_all;
use gauntlet_cluster::traffic::Dialled;
use gauntlet_core::Trouble;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than the first repetition of a lost packet: what is heard of by then, if anything, got through.
const SILENT_FOR: Duration = Duration::from_millis(1500);

/// How long those who may talk have to do so, on a machine that has much else to do.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(100);

async fn dial(scene: &Scene, path: &Path, within: Duration) -> Result<Dialled, Trouble> {
    let to = address(&scene.view.snapshot(), &path.to);
    let to = to.ok_or_else(|| Trouble::harness(format!("{path} has no address to go to")))?;
    scene.cluster.dial(&path.namespace, &path.pod, SocketAddr::new(to, path.port), within).await
}

/// What each path shows, in their order.
pub async fn dial_all(scene: &Scene, paths: &[Path], within: Duration) -> Vec<Result<Dialled, Trouble>> {
    join_all(paths.iter().map(|path| dial(scene, path, within))).await
}

/// The paths on which somebody answers, be it with a refusal.
pub async fn answered(scene: &Scene, paths: Vec<Path>) -> Vec<Path> {
    answered_within(scene, paths, ANSWERS_WITHIN).await
}

/// As [`answered`], where an answer may take that long, as the pod sees it. Where some are open, only those count: a refusal
/// may be a policy's, which comes from the nearest node and crosses no cut.
pub async fn answered_within(scene: &Scene, paths: Vec<Path>, within: Duration) -> Vec<Path> {
    let seen = dial_all(scene, &paths, within).await;
    let is_open = |seen: &Result<Dialled, Trouble>| matches!(seen, Ok(Dialled::Open));
    let some_open = seen.iter().any(is_open);
    let counts = |seen: &Result<Dialled, Trouble>| if some_open { is_open(seen) } else { is_answer(seen) };
    paths.into_iter().zip(seen).filter(|(_, seen)| counts(seen)).map(|(path, _)| path).collect()
}

/// Whether nothing is heard on any of the paths.
///
/// # Errors
/// Which path is answered, or could not be tried.
pub async fn silent(scene: &Scene, paths: &[Path]) -> Result<(), String> {
    for (path, seen) in paths.iter().zip(dial_all(scene, paths, SILENT_FOR).await) {
        match seen.map_err(|trouble| trouble.message)? {
            Dialled::Timeout => {}
            Dialled::Open | Dialled::Refused => return Err(format!("{path} is still answered")),
        }
    }
    Ok(())
}

/// Waits until every path has been answered.
///
/// # Errors
/// Which one was not in time, and why.
pub async fn answered_again(scene: &Scene, paths: Vec<Path>, within: Duration) -> Result<(), String> {
    let until = Instant::now() + within;
    let mut waiting = paths;
    loop {
        let seen = dial_all(scene, &waiting, ANSWERS_WITHIN).await;
        let (left, why): (Vec<Path>, Vec<Result<Dialled, Trouble>>) =
            waiting.into_iter().zip(seen).filter(|(_, seen)| !is_answer(seen)).unzip();
        let Some((path, why)) = left.first().zip(why.first()) else { return Ok(()) };
        if Instant::now() >= until {
            let why = why.as_ref().map_or_else(|trouble| trouble.message.clone(), |_| "nothing was heard".to_owned());
            return Err(format!("{path} is not answered again: {why}"));
        }
        waiting = left;
        tokio::time::sleep(POLL).await;
    }
}

fn is_answer(seen: &Result<Dialled, Trouble>) -> bool {
    matches!(seen, Ok(Dialled::Open | Dialled::Refused))
}

/// The connections as a subject of a sentence. There is at least one.
pub fn all(paths: &[Path]) -> String {
    match paths {
        [path] => format!("connections from {path}"),
        paths => format!("connections on {} paths (such as {})", paths.len(), paths[0]),
    }
}
