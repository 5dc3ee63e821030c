//! What a scenario works with: the cluster, the contract, its seed, and where it puts what it sees.

use crate::bus::Emitter;
use crate::evidence::Collector;
use crate::folder::Folder;
use crate::histories;
use gauntlet_chaos::fault::Scene;
use gauntlet_chaos::{Fault, Injected};
use gauntlet_cluster::view::View;
use gauntlet_cluster::{Access, Cluster, Progress, ready};
use gauntlet_core::contract::Deployment;
use gauntlet_core::event::{Event, Phase};
use gauntlet_core::history::History;
use gauntlet_core::judgement::{Answer, Question, Saved};
use gauntlet_core::matrix::Matrix;
use gauntlet_core::timeline::{self, Violation};
use gauntlet_core::{Check, Contract, Evidence, FaultEvidence, Figure, Observations, Outcome, Redactor, Seed, Trouble};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The surroundings of one scenario.
#[derive(Clone)]
pub struct Lab {
    pub(crate) name: String,
    pub(crate) contract: Arc<Contract>,
    pub(crate) overlay: String,
    pub(crate) scene: Scene,
    pub(crate) emitter: Emitter,
    /// What the scenario writes to files passes here.
    pub redactor: Redactor,
    pub(crate) collector: Collector,
    pub(crate) observations: Arc<Mutex<Observations>>,
    /// Everything random follows from it.
    pub seed: Seed,
    /// A folder of the scenario's own, for histories and the like.
    pub folder: PathBuf,
    pub run: String,
}

impl Lab {
    pub fn deployment(&self) -> Deployment<'_> {
        let overlay = self.contract.overlays.get_key_value(&self.overlay);
        // The run was planned with this very overlay of this very contract.
        let (overlay_name, overlay) = overlay.expect("the overlay of the run is in its contract");
        Deployment { contract: &self.contract, overlay_name, overlay }
    }

    /// The scenario's name as a part of names of objects: unique within the run.
    pub fn slug(&self) -> String {
        self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
    }

    pub fn cluster(&self) -> &dyn Cluster {
        self.scene.cluster.as_ref()
    }

    pub fn access(&self) -> &Access {
        self.scene.cluster.access()
    }

    pub fn view(&self) -> &View {
        &self.scene.view
    }

    pub fn progress(&self) -> &dyn Progress {
        self.scene.progress.as_ref()
    }

    /// Says which part of the scenario begins.
    pub fn phase(&self, phase: Phase) {
        self.emitter.emit(Event::PhaseStarted { scenario: self.name.clone(), phase });
    }

    pub fn note(&self, text: impl Into<String>) {
        self.emitter.emit(Event::Note { scenario: Some(self.name.clone()), text: text.into() });
    }

    /// Says that something was done to the system which is no fault.
    pub fn acted(&self, text: &str) {
        self.progress().acted(text);
    }

    /// Tells how a client fared, from what it recorded.
    pub fn series(&self, client: &str, part: &str, history: &History) {
        for series in timeline::series(history, client, part) {
            self.emitter.emit(Event::WorkloadSeries { scenario: self.name.clone(), series });
        }
    }

    /// Tells when a promise was broken. The check itself is recorded by [`Lab::check`].
    fn violated(&self, violation: Violation) {
        self.emitter.emit(Event::Violated { scenario: self.name.clone(), violation });
    }

    /// Whether nobody has confirmed the promise, so that nothing seen of it is judged.
    pub fn is_guessed(&self, promise: &str) -> bool {
        self.contract.promise(promise).is_some_and(|promise| promise.guessed)
    }

    /// Records a check of a promise of the contract. Where it is only guessed, what was seen is recorded as such.
    pub fn check(&self, promise: &str, name: &str, outcome: Outcome, detail: impl Into<String>) {
        let reference = self.contract.promise(promise).map_or_else(String::new, |p| p.reference.clone());
        let (promise_id, name, detail) = (promise.to_owned(), name.to_owned(), detail.into());
        let check = Check { promise: promise_id, reference, name, outcome, looks: None, detail };
        let check = if self.is_guessed(promise) { check.unconfirmed() } else { check };
        self.emitter.emit(Event::Checked { scenario: self.name.clone(), check: check.clone() });
        self.observe(|observations| observations.checks.push(check));
    }

    /// Records that this cluster lacks what the scenario needs, as only a try could tell: it is skipped.
    pub fn unsuited(&self, reason: &str) {
        self.note(reason);
        self.observe(|observations| observations.unsuited = Some(reason.to_owned()));
    }

    pub fn figure(&self, name: &str, value: f64, unit: &str, limit: Option<f64>) {
        let figure = Figure { name: name.to_owned(), value, unit: unit.to_owned(), limit };
        self.emitter.emit(Event::Measured { scenario: self.name.clone(), figure: figure.clone() });
        self.observe(|observations| observations.figures.push(figure));
    }

    /// Asks histories, which are there by client with the names of their files, and records what they answer. The
    /// question is saved beside them, so that it can be asked again.
    pub fn ask(&self, histories: &BTreeMap<String, (String, History)>, question: Question) -> Answer {
        let answer = question.answer(|client| histories.get(client).map(|(_, history)| history));
        let known = question.clients().into_iter().filter_map(|client| {
            let (file, _) = histories.get(client)?;
            Some((client.to_owned(), file.clone()))
        });
        let saved = Saved { histories: known.collect(), question };
        if let Err(trouble) = histories::ask(&self.folder, &saved) {
            self.note(format!("this cannot be judged again: {trouble}"));
        }
        for figure in &answer.figures {
            self.figure(&figure.name, figure.value, &figure.unit, figure.limit);
        }
        answer.violations.iter().for_each(|violation| self.violated(violation.clone()));
        for ruling in &answer.rulings {
            self.check(&ruling.promise, &ruling.check, ruling.outcome, ruling.detail.clone());
        }
        answer
    }

    /// Tells who was expected to reach whom, and who did.
    pub fn matrix(&self, matrix: Matrix) {
        self.emitter.emit(Event::MatrixSeen { scenario: self.name.clone(), matrix });
    }

    /// What faults act on.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Journals and injects a fault. Its evidence starts with the proof of its effect; complete it with
    /// [`Lab::heal`].
    ///
    /// # Errors
    /// The fault could not be journalled or injected.
    pub async fn inject<F: Fault>(&self, fault: F, control: Evidence) -> Result<Ongoing<F>, Trouble> {
        let name = fault.disturbance().to_string();
        self.emitter.emit(Event::FaultInjecting { scenario: self.name.clone(), fault: name.clone() });
        let index = self.observe(|observations| {
            observations.faults.push(FaultEvidence { control, ..FaultEvidence::new(&name) });
            observations.faults.len() - 1
        });
        let injected = gauntlet_chaos::inject(&self.scene, fault).await?;
        let evidence = injected.effect().clone();
        self.observe(|observations| observations.faults[index].took_effect = evidence.clone());
        self.emitter.emit(Event::FaultProven { scenario: self.name.clone(), fault: name.clone(), evidence });
        Ok(Ongoing { injected, index, name })
    }

    /// Heals a fault and records the proof.
    ///
    /// # Errors
    /// The fault could not be undone.
    pub async fn heal<F: Fault>(&self, ongoing: Ongoing<F>) -> Result<Evidence, Trouble> {
        let is_broken = |check: &Check| check.outcome == Outcome::Broken;
        if self.observe(|observations| observations.checks.iter().any(is_broken)) {
            self.while_it_lasts().await;
        }
        let evidence = ongoing.injected.heal().await?;
        self.observe(|observations| observations.faults[ongoing.index].healed = evidence.clone());
        let event = Event::FaultHealed { scenario: self.name.clone(), fault: ongoing.name, evidence: evidence.clone() };
        self.emitter.emit(event);
        Ok(evidence)
    }

    /// Collects evidence while a fault is in place, once a promise is seen to be broken: afterwards the cause is gone.
    pub(crate) async fn while_it_lasts(&self) {
        let folder = Folder::evidence(&self.name).join("during-the-fault");
        self.collector.collect(self.cluster(), &folder, Some(&self.name)).await;
    }

    /// Waits until the system is as the contract says it must be.
    ///
    /// # Errors
    /// What was lacking at the deadline.
    pub async fn steady(&self, deadline: Duration) -> Result<(), Trouble> {
        let condition = |snapshot: &gauntlet_cluster::view::Snapshot| match ready::lacking(self.deployment(), snapshot)
        {
            lacking if lacking.is_empty() => Ok(()),
            lacking => Err(lacking.join("; ")),
        };
        self.view().until("the steady state", deadline, self.progress(), condition).await
    }

    pub(crate) fn observe<T>(&self, change: impl FnOnce(&mut Observations) -> T) -> T {
        change(&mut self.observations.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A fault in effect, as a scenario holds it.
#[must_use = "the fault stays until it is healed"]
pub struct Ongoing<F: Fault> {
    injected: Injected<F>,
    index: usize,
    name: String,
}

impl<F: Fault> Ongoing<F> {
    pub fn took_effect(&self) -> bool {
        matches!(self.injected.effect(), Evidence::Shown(_))
    }

    pub fn fault(&self) -> &F {
        self.injected.fault()
    }
}

/// Tells the events what is being waited for.
pub(crate) struct Told {
    pub emitter: Emitter,
    pub scenario: Option<String>,
}

impl Progress for Told {
    fn waiting(&self, what: &str, last_seen: &str, waited: Duration, deadline: Duration) {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.emitter.emit(Event::Waiting {
            scenario: self.scenario.clone(),
            what: what.to_owned(),
            last_seen: last_seen.to_owned(),
            waited_ms: ms(waited),
            deadline_ms: ms(deadline),
        });
    }

    fn note(&self, text: &str) {
        self.emitter.emit(Event::Note { scenario: self.scenario.clone(), text: text.to_owned() });
    }

    fn acted(&self, text: &str) {
        self.emitter.emit(Event::Action { scenario: self.scenario.clone(), text: text.to_owned() });
    }
}
