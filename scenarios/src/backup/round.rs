//! From known data over its backup, its loss and its restore to a comparison.

use super::kept::Kept;
use super::restore::{self, Stopped};
use super::take::{self, Subject};
use super::wipe::Wipe;
use crate::workload::judge;
use crate::workload::{Fleet, Load};
use gauntlet_chaos::Fault;
use gauntlet_chaos::volumes::LoseVolumes;
use gauntlet_cluster::progress::Waiting;
use gauntlet_cluster::volumes;
use gauntlet_core::event::Phase;
use gauntlet_core::{Evidence, Outcome, Trouble};
use gauntlet_engine::Lab;
use std::time::Duration;

/// Successes of every client that show that it is at work.
const AT_WORK: u64 = 20;

const AT_WORK_WITHIN: Duration = Duration::from_secs(60);

/// How long a store that was restored may take until what came back can be read by everybody.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

const ASK_EVERY: Duration = Duration::from_millis(500);

/// How the data is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Deleted through the store.
    Wiped,
    /// Gone with the volumes.
    Volumes,
}

impl Loss {
    fn word(self) -> &'static str {
        match self {
            Self::Wiped => "wiped",
            Self::Volumes => "volumes",
        }
    }

    /// How checks call what came after it.
    fn after(self) -> &'static str {
        match self {
            Self::Wiped => "after everything was deleted",
            Self::Volumes => "after the volumes were lost",
        }
    }
}

/// What a round is about.
pub struct Round<'a, K: Kept> {
    pub lab: &'a Lab,
    pub subject: Subject<'a>,
    pub kept: &'a K,
    pub number: u32,
    pub loss: Loss,
}

/// What a backup left behind: its time, where it can be told.
struct Taken {
    time: Option<String>,
    /// The data had not changed by itself, and clients saw nothing amiss.
    control: Evidence,
}

impl<K: Kept> Round<'_, K> {
    /// The whole round; whether everything held.
    ///
    /// # Errors
    /// The harness could not do its part.
    pub async fn run(&self) -> Result<bool, Trouble> {
        let Self { lab, kept, .. } = self;
        lab.phase(Phase::Control);
        let filled = kept.fill(self.number).await?;
        lab.note(format!("known data: {filled}"));
        let fleet = Fleet::start(lab, &format!("load-{}", self.number), Load::every_ms(20)).await?;
        if !fleet.progress(AT_WORK, AT_WORK_WITHIN).await? {
            return Err(Trouble::harness("the clients do not get to work before the backup"));
        }
        let before =
            kept.dump().await.map_err(|why| Trouble::harness(format!("what is there cannot be read: {why}")))?;
        lab.note(format!("acknowledged before the backup: {}", kept.told(&before)));
        let taken = self.take(fleet, &before).await?;
        lab.phase(Phase::Inject);
        let lost = match self.loss {
            Loss::Wiped => {
                let store = self.subject.store.name.value.clone();
                self.lose(Wipe { store, kept: *kept }, taken.control).await?
            }
            Loss::Volumes => self.lose(self.volumes().await?, taken.control).await?,
        };
        if !lost {
            return Ok(false);
        }
        lab.phase(Phase::Recovery);
        self.give_back(taken.time.as_deref(), &before).await
    }

    fn check(&self, name: &str, outcome: Outcome, detail: impl Into<String>) -> bool {
        let name = format!("{name} {}", self.loss.after());
        self.lab.check(self.subject.promise(), &name, outcome, detail);
        outcome == Outcome::Held
    }

    /// Takes the backup while clients work.
    async fn take(&self, fleet: Fleet<'_>, before: &K::Dump) -> Result<Taken, Trouble> {
        let (lab, subject) = (self.lab, self.subject);
        let job = format!("gauntlet-{}-{}", lab.slug(), self.loss.word());
        let ended = take::run(lab, subject, &job, take::job(lab, subject, &job).await?).await?;
        let worked = fleet.progress(AT_WORK, AT_WORK_WITHIN).await?;
        let histories = fleet.finish().await?;
        let load = match worked {
            true => judge::control(lab, &histories),
            false => Evidence::Missing("not every client worked on after the backup".to_owned()),
        };
        let control = match (load, kept_same(self.kept, before).await) {
            (Evidence::Missing(why), _) => Evidence::Missing(why),
            (_, Err(why)) => Evidence::Missing(why),
            (Evidence::Shown(load), Ok(same)) => Evidence::Shown(format!("{same}; {load}")),
        };
        let time = match ended {
            None => {
                lab.check(subject.promise(), "the backup's job succeeds", Outcome::Broken, "it did not end in time");
                None
            }
            Some(ended) => {
                let outcome = if ended.succeeded { Outcome::Held } else { Outcome::Broken };
                lab.check(subject.promise(), "the backup's job succeeds", outcome, ended.why.clone());
                let entries = take::list(lab, subject).await?;
                let found = take::artefacts(&subject.patterns(), &entries, &ended);
                let (outcome, detail) = match &found {
                    Ok(time) => (Outcome::Held, format!("those of {time} in {}", subject.backup.claim)),
                    Err(why) => (Outcome::Broken, why.clone()),
                };
                lab.check(subject.promise(), "the artefacts lie on the claim under their names", outcome, detail);
                found.ok()
            }
        };
        Ok(Taken { time, control })
    }

    async fn volumes(&self) -> Result<LoseVolumes, Trouble> {
        let name = &self.subject.store.workload.value;
        let namespace = self.subject.namespace();
        let replicas = volumes::replicas(self.lab.access(), namespace, name).await?;
        Ok(LoseVolumes::new(namespace, name, replicas))
    }

    /// Whether the data was really lost. The store itself is put in order again at once, empty.
    async fn lose<F: Fault>(&self, fault: F, control: Evidence) -> Result<bool, Trouble> {
        let fault = self.lab.inject(fault, control).await?;
        let took_effect = fault.took_effect();
        self.lab.phase(Phase::Heal);
        self.lab.heal(fault).await?;
        Ok(took_effect)
    }

    /// Restores and compares.
    async fn give_back(&self, time: Option<&str>, before: &K::Dump) -> Result<bool, Trouble> {
        let started = std::time::Instant::now();
        let restored = match time {
            None => Err("there is nothing to restore from".to_owned()),
            Some(time) => match restore::restore(self.lab, self.subject, time, self.loss.word()).await {
                Ok(()) => Ok(format!("all {} steps", self.subject.backup.restore.len())),
                Err(Stopped::Failed(why)) => Err(why),
                Err(Stopped::Trouble(trouble)) => return Err(trouble),
            },
        };
        self.lab.figure(&format!("restore, {}", self.loss.word()), started.elapsed().as_secs_f64(), "s", None);
        let name = "the documented restore works";
        if let Err(why) = restored {
            return Ok(self.check(name, Outcome::Broken, why));
        }
        self.check(name, Outcome::Held, restored.unwrap_or_default());
        let back = settled(self.lab, self.kept, before).await;
        let outcome = if back.is_ok() { Outcome::Held } else { Outcome::Broken };
        let is_back =
            self.check("everything acknowledged before the backup is back", outcome, back.unwrap_or_else(|why| why));
        // What is not back may be what the system waits for.
        if !is_back {
            return Ok(false);
        }
        let steady = self.lab.steady(self.subject.backup.within.0).await;
        let outcome = if steady.is_ok() { Outcome::Held } else { Outcome::Broken };
        let detail = steady.map_or_else(|trouble| trouble.message, |()| "everything is ready".to_owned());
        Ok(self.check("the system is in its steady state", outcome, detail))
    }
}

/// The same data compared without any loss.
async fn kept_same<K: Kept>(kept: &K, before: &K::Dump) -> Result<String, String> {
    let again = kept.dump().await?;
    let differences = kept.differences(before, &again);
    if differences.is_empty() {
        return Ok(format!("{} are as they were without the loss", kept.told(before)));
    }
    Err(format!("without the loss: {differences}"))
}

/// Compares until nothing differs, or until the store has had its time to settle.
///
/// # Errors
/// What still differed then.
pub async fn settled<K: Kept>(lab: &Lab, kept: &K, before: &K::Dump) -> Result<String, String> {
    let mut waiting = Waiting::start("what was restored to be as it was", SETTLES_WITHIN, lab.progress());
    loop {
        let differs = match kept_now(kept, before).await {
            Ok(told) => return Ok(told),
            Err(why) => why,
        };
        waiting.seen(&differs);
        if tokio::time::Instant::now() >= waiting.until() {
            return Err(differs);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn kept_now<K: Kept>(kept: &K, before: &K::Dump) -> Result<String, String> {
    let now = kept.dump().await?;
    let differences = kept.differences(before, &now);
    if differences.is_empty() { Ok(format!("all of {}", kept.told(before))) } else { Err(differences.to_string()) }
}
