//! A lane runs scenarios one after the other, on a shared cluster as long as it stays healed, else on a new one.

use crate::folder::Folder;
use crate::lab::{Lab, Told};
use crate::plan::{Planned, skip_reason};
use crate::recorder::Recorder;
use crate::run::Shared;
use crate::setup::{self, Deployed, Order, Place, Stages, elapsed_ms};
use gauntlet_chaos::fault::{Scene, heal_all};
use gauntlet_cluster::provider::Wanted;
use gauntlet_core::event::{Event, Phase};
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::{Observations, Outcome, Trouble, Verdict};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How long the system may take to be steady again before a scenario that shares its cluster.
const STEADY_BETWEEN: std::time::Duration = std::time::Duration::from_secs(120);

/// Works through the queue until it is empty. Every scenario taken gets a verdict.
pub(crate) async fn work(shared: Arc<Shared>, lane: usize) {
    let mut current: Option<Deployed> = None;
    let mut clusters = 0;
    while let Some(planned) = shared.next() {
        let name = planned.name();
        if let Some(reason) = shared.hopeless() {
            finish(&shared, &planned, Verdict::trouble(reason), Observations::default(), 0, None);
            continue;
        }
        if let Err(reason) = shared.applies(&planned) {
            finish(&shared, &planned, Verdict::Skipped { reason }, Observations::default(), 0, None);
            continue;
        }
        if planned.scenario.info().cluster == ClusterNeed::Own
            && let Some(used) = current.take_if(|deployed| deployed.used)
        {
            retire(&shared, &used).await;
        }
        let deployed = match current.take() {
            Some(deployed) => deployed,
            None => {
                clusters += 1;
                match deploy(&shared, format!("{}-{lane}-{clusters}", shared.run), &name).await {
                    Ok(deployed) => deployed,
                    Err(trouble) => {
                        let verdict = Verdict::trouble(format!("the system could not be set up: {trouble}"));
                        shared.give_up(trouble);
                        finish(&shared, &planned, verdict, Observations::default(), 0, None);
                        continue;
                    }
                }
            }
        };
        current = run_on(&shared, &planned, deployed).await;
    }
    if let Some(deployed) = current {
        retire(&shared, &deployed).await;
    }
}

async fn deploy(shared: &Shared, id: String, first: &str) -> Result<Deployed, Trouble> {
    let namespaces = shared.system.contract.prerequisites.namespaces.iter();
    let wanted = Wanted {
        id,
        run: shared.run.to_string(),
        namespaces: namespaces.map(|namespace| namespace.value.clone()).collect(),
        objects: shared.objects.clone(),
        workers: shared.workers,
        images: shared.system.contract.images.clone(),
        detached: shared.keep,
        port: 0,
    };
    let folder = Folder::evidence(&format!("setup-{first}"));
    let order = Order {
        provider: shared.provider.as_ref(),
        system: &shared.system,
        objects: &shared.objects,
        run: shared.run.as_str(),
        emitter: &shared.emitter,
        evidence: Place { run: shared.folder.path(), folder: &folder, scenario: None },
        interrupted: &shared.interrupted,
    };
    order.deploy(wanted).await
}

/// Takes a cluster down, or leaves it where it is to be kept.
async fn retire(shared: &Shared, deployed: &Deployed) {
    let cluster = deployed.cluster.as_ref();
    if shared.keep {
        let text = format!(
            "cluster {} is kept; reach it with KUBECONFIG={} and end it with `gauntlet cluster down {}`",
            cluster.id(),
            cluster.access().kubeconfig.display(),
            cluster.id()
        );
        shared.emitter.emit(Event::Note { scenario: None, text });
    } else if !setup::tear_down(&Stages { emitter: &shared.emitter }, cluster).await {
        shared.left_something();
    }
}

/// Runs one scenario. Returns the cluster when another may use it.
async fn run_on(shared: &Shared, planned: &Planned, mut deployed: Deployed) -> Option<Deployed> {
    let info = planned.scenario.info();
    let capabilities = deployed.cluster.capabilities();
    let skip = shared
        .system
        .deployment()
        .and_then(|deployment| skip_reason(planned.scenario, deployment, &capabilities, shared.provider.name()));
    if let Some(reason) = skip {
        finish(shared, planned, Verdict::Skipped { reason }, Observations::default(), 0, None);
        return Some(deployed);
    }
    let name = planned.name();
    let started = Instant::now();
    let lab = lab(shared, planned, &deployed);
    shared.emitter.emit(Event::ScenarioStarted {
        scenario: name.clone(),
        summary: info.summary.to_owned(),
        cluster: info.cluster,
        seed: lab.seed,
        deadline_ms: u64::try_from(info.deadline.0.as_millis()).unwrap_or(u64::MAX),
    });
    deployed.used = true;
    let recorder = Recorder::start(&shared.emitter, deployed.cluster.access(), deployed.view.clone(), Some(&name));
    let result = attempt(shared, planned, &lab).await;
    let unhealed = heal_all(&shared.journal, deployed.cluster.as_ref()).await;
    drop(recorder);
    let observations = lab.observations.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let verdict = verdict(result, &unhealed, &observations);
    let clean = matches!(verdict, Verdict::Passed(_));
    let evidence = if clean || shared.interrupted.is_cancelled() {
        None
    } else {
        let relative = Folder::evidence(&name);
        let place = Place { run: shared.folder.path(), folder: &relative, scenario: Some(&name) };
        let _ = setup::collect(&shared.emitter, deployed.cluster.as_ref(), &shared.system, place).await;
        Some(relative.display().to_string())
    };
    finish(shared, planned, verdict, observations, elapsed_ms(started), evidence);
    if clean {
        return Some(deployed);
    }
    retire(shared, &deployed).await;
    None
}

fn lab(shared: &Shared, planned: &Planned, deployed: &Deployed) -> Lab {
    let name = planned.name();
    let progress = Told { emitter: shared.emitter.clone(), scenario: Some(name.clone()) };
    Lab {
        contract: shared.system.contract.clone(),
        overlay: shared.system.overlay.clone(),
        scene: Scene {
            cluster: deployed.cluster.clone(),
            view: deployed.view.clone(),
            journal: shared.journal.clone(),
            progress: Arc::new(progress),
        },
        emitter: shared.emitter.clone(),
        observations: Arc::new(Mutex::new(Observations::default())),
        seed: shared.seed.derive(&name),
        folder: shared.folder.scenario(&name),
        run: shared.run.to_string(),
        name,
    }
}

/// Runs the scenario's own code within its deadline; a panic in it is trouble like any other.
async fn attempt(shared: &Shared, planned: &Planned, lab: &Lab) -> Result<(), Trouble> {
    std::fs::create_dir_all(&lab.folder)
        .map_err(|error| Trouble::harness(format!("cannot make {}: {error}", lab.folder.display())))?;
    let (scenario, own) = (planned.scenario, lab.clone());
    let mut task = tokio::spawn(async move {
        own.phase(Phase::SteadyState);
        own.steady(STEADY_BETWEEN).await.map_err(|t| t.doing("the system was not in order before the fault"))?;
        scenario.run(&own).await
    });
    let deadline = planned.scenario.info().deadline;
    let ended = tokio::select! {
        ended = &mut task => Some(ended),
        () = tokio::time::sleep(deadline.0) => None,
        () = shared.interrupted.cancelled() => {
            task.abort();
            let _ = task.await;
            return Err(Trouble::harness("interrupted"));
        }
    };
    match ended {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(Trouble::harness(format!("the scenario panicked: {}", panic_words(error)))),
        None => {
            task.abort();
            let _ = task.await;
            Err(Trouble::harness(format!("the scenario did not end within its deadline of {deadline}")))
        }
    }
}

fn panic_words(error: tokio::task::JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "its task was ended".to_owned() };
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_else(|| "without words".to_owned())
}

fn verdict(result: Result<(), Trouble>, unhealed: &[Trouble], observations: &Observations) -> Verdict {
    let troubles: Vec<String> = result.err().iter().chain(unhealed).map(|trouble| trouble.message.clone()).collect();
    if troubles.is_empty() {
        return observations.judge();
    }
    let broken = observations.checks.iter().filter(|check| check.outcome == Outcome::Broken).cloned().collect();
    Verdict::Inconclusive { reasons: troubles, broken }
}

fn finish(
    shared: &Shared,
    planned: &Planned,
    verdict: Verdict,
    observations: Observations,
    took_ms: u64,
    evidence: Option<String>,
) {
    shared.emitter.emit(Event::ScenarioFinished {
        scenario: planned.name(),
        verdict: verdict.clone(),
        observations,
        took_ms,
        again: format!("{} --exact {}", shared.again, planned.scenario.info().name),
        evidence,
    });
    shared.judged(verdict);
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_core::Check;

    fn broken() -> Observations {
        let check = Check {
            promise: "p".into(),
            reference: "r".into(),
            name: "n".into(),
            outcome: Outcome::Broken,
            detail: "d".into(),
        };
        Observations { checks: vec![check], ..Observations::default() }
    }

    #[test]
    fn trouble_is_inconclusive_and_keeps_what_looked_broken() {
        let verdict = verdict(Err(Trouble::harness("lost the cluster")), &[], &broken());
        let Verdict::Inconclusive { reasons, broken } = verdict else { panic!("{verdict:?}") };
        assert_eq!(reasons, ["lost the cluster"]);
        assert_eq!(broken.len(), 1);
    }

    #[test]
    fn a_fault_that_could_not_be_healed_is_never_a_pass() {
        let verdict = verdict(Ok(()), &[Trouble::harness("cannot uncordon n")], &Observations::default());
        assert_eq!(verdict.word(), "inconclusive");
    }
}
