//! A lane runs scenarios one after the other, on a shared cluster as long as it stays healed, else on a new one.

use crate::case::Case;
use crate::evidence;
use crate::folder::Folder;
use crate::kept::{self, Keep};
use crate::lab::{Lab, Told};
use crate::plan::{Planned, skip_reason};
use crate::recorder::Recorder;
use crate::run::Shared;
use crate::setup::{self, Deployed, Order, Stages, elapsed_ms};
use gauntlet_chaos::fault::{Scene, heal_all};
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::{Cluster, prerequisites};
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
        let (enough, hopeless) = (shared.enough(), shared.hopeless());
        if shared.until_fail && planned.round > 1 && (enough.is_some() || hopeless.is_some()) {
            continue;
        }
        if let Some(reason) = enough {
            finish(&shared, &planned, Verdict::Skipped { reason }, Observations::default(), 0, None);
            continue;
        }
        if let Err(reason) = shared.applies(&planned) {
            finish(&shared, &planned, Verdict::Skipped { reason }, Observations::default(), 0, None);
            continue;
        }
        if let Some(reason) = hopeless {
            finish(&shared, &planned, Verdict::trouble(reason), Observations::default(), 0, None);
            continue;
        }
        if planned.scenario.info().cluster == ClusterNeed::Own
            && let Some(used) = current.take_if(|deployed| deployed.used)
        {
            retire(&shared, &used, None).await;
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
        retire(&shared, &deployed, None).await;
    }
}

async fn deploy(shared: &Shared, id: String, first: &str) -> Result<Deployed, Trouble> {
    let namespaces = shared.system.contract.prerequisites.namespaces.iter();
    let deployment = shared.system.known_deployment()?;
    let wanted = Wanted {
        id,
        run: shared.run.to_string(),
        namespaces: namespaces.map(|namespace| namespace.value.clone()).collect(),
        objects: shared.objects.clone(),
        beforehand: prerequisites::beforehand(deployment, &shared.system.folder)?,
        needs: shared.needs.clone(),
        workers: shared.workers,
        images: shared.system.contract.images.clone(),
        detached: shared.keep != Keep::Never,
        port: 0,
        interrupted: shared.interrupted.clone(),
    };
    let folder = Folder::evidence(&format!("setup-{first}"));
    let order = Order {
        provider: shared.provider.as_ref(),
        system: &shared.system,
        objects: &shared.objects,
        run: shared.run.as_str(),
        emitter: &shared.emitter,
        collector: &shared.collector,
        evidence: &folder,
        interrupted: &shared.interrupted,
    };
    order.deploy(wanted).await.map_err(|failed| {
        if let Some(cluster) = failed.kept {
            kept(
                shared,
                cluster.as_ref(),
                &format!("kept by run {}: the system could not be set up on it", shared.run),
            );
        }
        failed.trouble
    })
}

/// Takes a cluster down, or leaves it where it is to be kept. `found` is what did not pass on it.
async fn retire(shared: &Shared, deployed: &Deployed, found: Option<&str>) {
    let cluster = deployed.cluster.as_ref();
    if shared.keep.keeps(found.is_none()) {
        let why = format!("kept by run {}: {}", shared.run, found.unwrap_or("--keep was given"));
        kept(shared, cluster, &why);
    } else if !setup::tear_down(&Stages { emitter: &shared.emitter }, cluster).await {
        shared.left_something();
    }
}

/// Says that a cluster stays, to who reads now and to who finds it later.
fn kept(shared: &Shared, cluster: &dyn Cluster, why: &str) {
    let (id, kubeconfig, end) = (cluster.id(), cluster.access().kubeconfig.display(), cluster.ended_by());
    let note = format!("{why}; report {}; end it with `{end}`", shared.folder.path().display());
    if let Err(trouble) = kept::note(&shared.state_dir, id, &note) {
        shared.emitter.emit(Event::Note { scenario: None, text: trouble.to_string() });
    }
    let text = format!("cluster {id} is {why}; reach it with KUBECONFIG={kubeconfig} and end it with `{end}`");
    shared.emitter.emit(Event::Note { scenario: None, text });
}

/// Runs one scenario. Returns the cluster when another may use it.
async fn run_on(shared: &Shared, planned: &Planned, mut deployed: Deployed) -> Option<Deployed> {
    let info = planned.scenario.info();
    let capabilities = deployed.cluster.capabilities();
    let skip = shared.system.deployment().and_then(|deployment| {
        let lack = |capability| deployed.cluster.lack(capability);
        skip_reason(planned.scenario, deployment, &capabilities, lack, shared.provider.name())
    });
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
    let recorder = Recorder::start(&lab, evidence::namespaces(&shared.system));
    let result = attempt(shared, planned, &lab).await;
    if result.is_err() && !shared.interrupted.is_cancelled() && has_open_faults(shared, &deployed) {
        lab.case.broken_off(deployed.cluster.as_ref()).await;
    }
    let unhealed = heal_all(&shared.journal, deployed.cluster.as_ref()).await;
    recorder.stop().await;
    if let Some(text) = deployed.cluster.access().hitches.told() {
        shared.emitter.emit(Event::Note { scenario: Some(name.clone()), text });
    }
    let observations = lab.observations.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let verdict = verdict(result, &unhealed, &observations);
    let clean = matches!(verdict, Verdict::Passed(_) | Verdict::Skipped { .. });
    let evidence = if (clean && !shared.evidence.all) || shared.interrupted.is_cancelled() {
        lab.case.forget()
    } else {
        Some(lab.case.afterwards(deployed.cluster.as_ref()).await)
    };
    let word = verdict.word();
    finish(shared, planned, verdict, observations, elapsed_ms(started), evidence);
    if clean {
        return Some(deployed);
    }
    retire(shared, &deployed, Some(&format!("{name} {word}"))).await;
    None
}

fn has_open_faults(shared: &Shared, deployed: &Deployed) -> bool {
    let open = shared.journal.still_open().unwrap_or_default();
    open.iter().any(|entry| entry.cluster == deployed.cluster.id())
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
        redactor: shared.collector.redactor().clone(),
        case: Arc::new(Case::new(&name, shared.collector.clone(), shared.evidence.all)),
        observations: Arc::new(Mutex::new(Observations::default())),
        seed: planned.seed(shared.seed),
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
    shared.judged(&planned.name(), verdict.clone(), &observations.figures);
    shared.emitter.emit(Event::ScenarioFinished {
        scenario: planned.name(),
        verdict,
        observations,
        took_ms,
        again: shared.again.scenario(planned, shared.seed),
        evidence,
    });
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
            looks: None,
            detail: "d".into(),
            told: None,
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
