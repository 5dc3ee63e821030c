//! From known data over its backup, its loss and its restore to a comparison.

use super::kept::Kept;
use super::restore::{self, Stopped};
use super::take::{self, Subject};
use super::wipe::Wipe;
use crate::workload::judge;
use crate::workload::{Fleet, Load, now_us};
use gauntlet_chaos::Fault;
use gauntlet_chaos::volumes::LoseVolumes;
use gauntlet_cluster::jobs::Ended;
use gauntlet_cluster::progress::Waiting;
use gauntlet_cluster::volumes;
use gauntlet_core::event::Phase;
use gauntlet_core::judgement::{Question, Read, Restored};
use gauntlet_core::{Evidence, Outcome, Trouble};
use gauntlet_engine::Lab;
use std::collections::BTreeMap;
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

    /// The name of a check of what came after the loss.
    fn name(&self, check: &str) -> String {
        format!("{check} {}", self.loss.after())
    }

    fn store(&self) -> &str {
        &self.subject.store.name.value
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
        let time = self.check_taken(ended).await?;
        Ok(Taken { time, control })
    }

    /// Checks what the backup's job came to: the time of what it left, where that is whole.
    async fn check_taken(&self, ended: Option<Ended>) -> Result<Option<String>, Trouble> {
        let (lab, promise, store) = (self.lab, self.subject.promise(), self.store());
        let name = "the backup's job succeeds";
        let Some(ended) = ended else {
            let told = format!("the backup of {store} had not ended after {}", self.subject.backup.within.in_words());
            lab.broken(promise, name, "it did not end in time", told);
            lab.broken_at(name, now_us() / 1000, "the backup had not ended");
            return Ok(None);
        };
        match ended.succeeded {
            true => lab.check(promise, name, Outcome::Held, ended.why.clone()),
            false => {
                lab.broken(promise, name, ended.why.clone(), format!("the backup of {store} failed: {}", ended.why))
            }
        }
        let entries = take::list(lab, self.subject).await?;
        let found = take::artefacts(&self.subject.patterns(), &entries, &ended);
        let name = "the artefacts lie on the claim under their names";
        match &found {
            Ok(time) => {
                lab.check(promise, name, Outcome::Held, format!("those of {time} in {}", self.subject.backup.claim))
            }
            Err(why) => {
                let told = format!("the backup of {store} left no whole set of files: {why}");
                lab.broken(promise, name, why.clone(), told);
            }
        }
        Ok(found.ok())
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
        let (promise, name) = (self.subject.promise(), self.name("the documented restore works"));
        match restored {
            Ok(told) => self.lab.check(promise, &name, Outcome::Held, told),
            Err(why) => {
                let told = format!("the documented restore of {} failed {}: {why}", self.store(), self.loss.after());
                self.lab.broken(promise, &name, why, told);
                return Ok(false);
            }
        }
        let back = settled(self.lab, self.kept, before).await;
        let check = format!("everything acknowledged before the backup is back {}", self.loss.after());
        let unread = matches!(back, Read::Unread { .. });
        let whole = is_back(self.lab, self.subject.promise(), &check, back).is_ok();
        // What is not back may be what the system waits for; what cannot be read may be for what the system lacks.
        if !whole && !unread {
            return Ok(false);
        }
        let name = self.name("the system is in its steady state");
        let within = self.subject.backup.within.0;
        let told = ("everything is ready", "the restore");
        Ok(self.lab.check_steady(promise, &name, within, told).await && whole)
    }
}

/// The same data compared without any loss.
async fn kept_same<K: Kept>(kept: &K, before: &K::Dump) -> Result<String, String> {
    let compared = kept.compared(before.clone(), kept.dump().await?);
    let differences = compared.differences();
    if differences.is_empty() {
        return Ok(format!("{} are as they were without the loss", compared.told()));
    }
    Err(format!("without the loss: {differences}"))
}

/// Compares until nothing differs, or until the store has had its time to settle: what was read last, beside what was
/// there before.
pub async fn settled<K: Kept>(lab: &Lab, kept: &K, before: &K::Dump) -> Read {
    let mut waiting = Waiting::start("what was restored to be as it was", SETTLES_WITHIN, lab.progress());
    loop {
        let read = match kept.dump().await {
            Ok(now) => Read::Compared(kept.compared(before.clone(), now)),
            Err(why) => Read::Unread { why },
        };
        let Err(differs) = read.as_it_was() else { return read };
        waiting.seen(&differs);
        if tokio::time::Instant::now() >= waiting.until() {
            return read;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Checks that what was read is what was there before, in words.
///
/// # Errors
/// What is not.
pub fn is_back(lab: &Lab, promise: &str, check: &str, read: Read) -> Result<String, String> {
    let back = read.as_it_was();
    let (promise, check) = (promise.to_owned(), check.to_owned());
    lab.ask(&BTreeMap::new(), Question::Restored(Restored { promise, check, read }));
    back
}
