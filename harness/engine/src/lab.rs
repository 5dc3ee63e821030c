//! What a scenario works with: the cluster, the contract, its seed, and where it puts what it sees.

use crate::bus::Emitter;
use crate::case::Case;
use gauntlet_chaos::fault::Scene;
use gauntlet_chaos::{Fault, Injected};
use gauntlet_cluster::view::View;
use gauntlet_cluster::{Access, Cluster, Progress, ready};
use gauntlet_core::contract::Deployment;
use gauntlet_core::event::{Event, Phase};
use gauntlet_core::history::History;
use gauntlet_core::timeline;
use gauntlet_core::{Contract, Evidence, FaultEvidence, Observations, Redactor, Seed, Trouble};
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
    pub(crate) case: Arc<Case>,
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

    /// One of `candidates`, by the seed. They depend on the live system, so they are told with what was chosen: another run
    /// may choose another.
    pub fn choose<'a, T>(&self, label: &str, candidates: &'a [T], name: impl Fn(&T) -> String) -> Option<&'a T> {
        let chosen = self.seed.choose(label, candidates)?;
        let names: Vec<String> = candidates.iter().map(&name).collect();
        self.chosen(&name(chosen), &names);
        Some(chosen)
    }

    /// Says what the seed has chosen, and from what.
    pub fn chosen(&self, chosen: &str, candidates: &[String]) {
        self.note(format!("chosen by the seed: {chosen} of {}", candidates.join(", ")));
    }

    /// Tells how a client fared, from what it recorded.
    pub fn series(&self, client: &str, part: &str, history: &History) {
        for series in timeline::series(history, client, part) {
            self.emitter.emit(Event::WorkloadSeries { scenario: self.name.clone(), series });
        }
    }

    /// Whether nobody has confirmed the promise, so that nothing seen of it is judged.
    pub fn is_guessed(&self, promise: &str) -> bool {
        self.contract.is_guessed(promise)
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
        self.case.injected();
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
        self.case.before_healing(self.cluster()).await;
        let evidence = ongoing.injected.heal().await?;
        self.observe(|observations| observations.faults[ongoing.index].healed = evidence.clone());
        let event = Event::FaultHealed { scenario: self.name.clone(), fault: ongoing.name, evidence: evidence.clone() };
        self.emitter.emit(event);
        Ok(evidence)
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
