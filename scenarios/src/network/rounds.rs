//! Asking: all targets of one prober in one command, all probers at once.

use super::members::Member;
use futures::future::join_all;
use gauntlet_cluster::Access;
use gauntlet_cluster::exec::Place;
use gauntlet_cluster::probe::{self, Target};
use gauntlet_core::matrix::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What each prober, by its place among the members, is to ask.
pub type Wanted = BTreeMap<usize, BTreeSet<Target>>;

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Round {
    pub seen: BTreeMap<(usize, Target), Seen>,
    /// Why probers could not be run.
    pub troubles: Vec<String>,
}

impl Round {
    pub fn of(&self, prober: usize, target: &Target) -> Seen {
        self.seen.get(&(prober, target.clone())).copied().unwrap_or(Seen::ProbeFailed)
    }
}

/// Asks everything that is wanted, each by a new connection.
pub async fn ask(access: &Access, members: &[Member], wanted: &Wanted, patience: Duration) -> Round {
    let asked = wanted.iter().filter(|(_, targets)| !targets.is_empty()).filter_map(|(prober, targets)| {
        let member = members.get(*prober)?;
        let targets: Vec<Target> = targets.iter().cloned().collect();
        Some(async move {
            let place = Place { namespace: &member.namespace, pod: &member.pod, container: &member.container };
            let answers = probe::probe(access, place, &targets, patience).await;
            (*prober, targets, answers)
        })
    });
    let mut round = Round::default();
    for (prober, targets, answers) in join_all(asked).await {
        match answers {
            Ok(answers) => round.seen.extend(targets.into_iter().map(|target| (prober, target)).zip(answers)),
            Err(trouble) => round.troubles.push(trouble.message),
        }
    }
    round
}
