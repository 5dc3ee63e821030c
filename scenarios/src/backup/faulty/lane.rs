//! One backup through all of it: taken without any fault, on a volume too small, with members down; then what a job
//! called whole is restored, and must not be once half of an artefact is missing.

use super::judge;
use super::outage::Outage;
use super::room::{self, Room, SmallVolume};
use crate::backup::kept::Kept;
use crate::backup::names;
use crate::backup::restore::{self, Stopped};
use crate::backup::round::{is_back, settled};
use crate::backup::take::{self, Subject};
use crate::backup::wipe::Wipe;
use async_trait::async_trait;
use gauntlet_chaos::cut::CutFile;
use gauntlet_chaos::hold::HoldContainer;
use gauntlet_cluster::jobs::{self, Ended};
use gauntlet_cluster::progress::Waiting;
use gauntlet_core::{Evidence, Outcome, Trouble};
use gauntlet_engine::Lab;
use gauntlet_engine::lab::Ongoing;
use std::time::Duration;

/// Room in which any backup of known data fits, and how much of it is tried, in bytes.
const PLENTY: Room = Room { bytes: 64 << 20, tried: 1 << 20 };

/// How long members that went down may still be taken for alive: a leader without a quorum notices within some twenty
/// seconds, and each look takes as long as clients are patient.
const UNREADABLE_WITHIN: Duration = Duration::from_secs(90);

/// Each look takes seconds by itself.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What lanes of all stores do.
#[async_trait]
pub trait Trial: Send + Sync {
    /// Fills the store and takes backups of it without any fault.
    async fn control(&mut self) -> Result<(), Trouble>;

    /// Everything else.
    async fn disturb(&self) -> Result<(), Trouble>;
}

/// A backup and its store.
pub struct Lane<'a, K: Kept> {
    lab: &'a Lab,
    subject: Subject<'a>,
    kept: K,
    outages: Vec<Outage>,
    healthy: Option<Healthy<K>>,
}

/// What was there and what was taken of it before any fault.
struct Healthy<K: Kept> {
    before: K::Dump,
    /// The time of the backup on the claim.
    time: String,
    /// Bytes that it took in a volume of its own.
    need: u64,
    control: Evidence,
}

impl<'a, K: Kept> Lane<'a, K> {
    pub fn new(lab: &'a Lab, subject: Subject<'a>, kept: K, outages: Vec<Outage>) -> Self {
        Self { lab, subject, kept, outages, healthy: None }
    }

    /// `broken` says in people's words what it means that it is broken; the detail follows.
    fn check(&self, name: &str, outcome: Outcome, detail: impl Into<String>, broken: &str) {
        let (promise, detail) = (self.subject.promise(), detail.into());
        match outcome {
            Outcome::Broken => {
                let told = format!("{}: {broken}: {detail}", self.subject.store.name.value);
                self.lab.broken(promise, name, detail, told);
            }
            outcome => self.lab.check(promise, name, outcome, detail),
        }
    }

    /// Names of Jobs of ours, and of parts of a restore.
    fn word(&self, part: &str) -> String {
        format!("{}-{part}", self.subject.backup.name.value)
    }

    fn job(&self, part: &str) -> String {
        format!("gauntlet-{}-{}", self.lab.slug(), self.word(part))
    }

    /// Takes a backup onto the claim: how the job ended, and what is there since under names of backups.
    async fn take(&self, part: &str) -> Result<(Option<Ended>, Vec<take::Entry>), Trouble> {
        let before = judge::named_like_backups(&self.subject.patterns(), &take::list(self.lab, self.subject).await?);
        let name = self.job(part);
        let job = judge::at_most_one_retry(take::job(self.lab, self.subject, &name).await?);
        let ended = take::run(self.lab, self.subject, &name, job).await?;
        if ended.is_none() {
            jobs::delete(self.lab.access(), self.subject.namespace(), &name).await?;
        }
        let mut entries = take::list(self.lab, self.subject).await?;
        entries.retain(|entry| !before.contains(&entry.path));
        Ok((ended, entries))
    }

    /// The time of a backup whose job succeeded, or why there is none.
    fn time(&self, ended: Option<&Ended>, entries: &[take::Entry]) -> Result<String, String> {
        match ended {
            None => Err(format!("the job had not ended after {}", self.subject.backup.within)),
            Some(ended) if !ended.succeeded => Err(format!("the job failed ({})", ended.why)),
            Some(ended) => take::artefacts(&self.subject.patterns(), entries, ended),
        }
    }

    /// The same on a volume with room for everything: the bytes that it takes there.
    async fn measure(&self) -> Result<Result<u64, String>, Trouble> {
        let name = self.job("room");
        let job = room::job(self.lab, self.subject, &name, PLENTY).await?;
        let ended = take::run(self.lab, self.subject, &name, job).await?;
        let left = room::left(self.lab, self.subject.namespace(), &name).await;
        jobs::delete(self.lab.access(), self.subject.namespace(), &name).await?;
        Ok(left.and_then(|volumes| {
            let entries = volumes.last().map_or(&[][..], Vec::as_slice);
            self.time(ended.as_ref(), entries).map(|_| judge::taken(entries))
        }))
    }

    async fn full_volume(&self, healthy: &Healthy<K>) -> Result<(), Trouble> {
        let (lab, namespace, name) = (self.lab, self.subject.namespace(), self.job("full"));
        let room = Room { bytes: judge::too_small(healthy.need), tried: healthy.need };
        let job = room::job(lab, self.subject, &name, room).await?;
        let fault = SmallVolume { namespace: namespace.to_owned(), name: name.clone(), job, need: healthy.need };
        let fault = lab.inject(fault, healthy.control.clone()).await?;
        if fault.took_effect() {
            let within = self.subject.backup.within;
            let ended = take::await_end(lab, namespace, &name, within.0).await.ok();
            let left = room::left(lab, namespace, &name).await;
            let left = left.map(|all| judge::named_like_backups(&self.subject.patterns(), &all.concat()));
            let (outcome, detail) = judge::incomplete(ended.as_ref(), &left, within);
            let name = "nothing incomplete reports success while the volume is full";
            self.check(name, outcome, detail, "a backup had no room for everything, and still");
        }
        lab.heal(fault).await.map(drop)
    }

    /// Takes the members down one outage after the other, and a backup during each. The backups that their jobs called
    /// whole and that may be so, with the outage of each.
    async fn outages(&self, healthy: &Healthy<K>) -> Result<Vec<(String, &Outage)>, Trouble> {
        let mut faults = Vec::new();
        let mut taken = Vec::new();
        for outage in &self.outages {
            if !self.go_down(outage, healthy, &mut faults).await? {
                break;
            }
            let (ended, entries) = self.take(outage.word).await?;
            if !outage.readable && self.kept.dump().await.is_ok() {
                self.incomplete(outage, Outcome::Unknown, "all data could be read again when the job had ended");
            } else if outage.copied && ended.as_ref().is_some_and(|ended| ended.succeeded) {
                match self.time(ended.as_ref(), &entries) {
                    Ok(time) => taken.push((time, outage)),
                    Err(why) => self.incomplete(outage, Outcome::Broken, format!("the job succeeded, and {why}")),
                }
            } else {
                let left = Ok(judge::named_like_backups(&self.subject.patterns(), &entries));
                let (outcome, detail) = judge::incomplete(ended.as_ref(), &left, self.subject.backup.within);
                self.incomplete(outage, outcome, detail);
            }
        }
        while let Some(fault) = faults.pop() {
            self.lab.heal(fault).await?;
        }
        let back = settled(self.lab, &self.kept, &healthy.before).await.as_it_was();
        back.map_err(|why| Trouble::harness(format!("the store is not as it was once its members are back: {why}")))?;
        Ok(taken)
    }

    fn incomplete(&self, outage: &Outage, outcome: Outcome, detail: impl Into<String>) {
        let broken = format!("a backup could not save everything {}, and still", outage.when);
        self.check(&format!("nothing incomplete reports success {}", outage.when), outcome, detail, &broken);
    }

    /// Whether they really are down, and data cannot be read where it must not be.
    async fn go_down(
        &self,
        outage: &Outage,
        healthy: &Healthy<K>,
        faults: &mut Vec<Ongoing<HoldContainer>>,
    ) -> Result<bool, Trouble> {
        let workload = self.lab.deployment().workload(&self.subject.store.workload.value);
        let workload = workload.ok_or_else(|| Trouble::harness("the store has no workload"))?;
        let container = workload.container.as_deref().unwrap_or(&workload.name.value);
        for pod in &outage.pods {
            let fault = HoldContainer::new(&workload.namespace.value, pod, container);
            let fault = self.lab.inject(fault, healthy.control.clone()).await?;
            let took_effect = fault.took_effect();
            faults.push(fault);
            if !took_effect {
                return Ok(false);
            }
        }
        if outage.readable {
            return Ok(true);
        }
        let name = format!("not all data can be read {}", outage.when);
        match self.await_unreadable().await {
            Ok(why) => self.lab.check(self.subject.promise(), &name, Outcome::Held, why),
            Err(why) => {
                self.lab.check(self.subject.promise(), &name, Outcome::Unknown, why);
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn await_unreadable(&self) -> Result<String, String> {
        let what = format!("{} not to give all its data", self.subject.store.name.value);
        let mut waiting = Waiting::start(what, UNREADABLE_WITHIN, self.lab.progress());
        loop {
            match self.kept.dump().await {
                Err(why) => return Ok(why),
                Ok(dump) => waiting.seen(&self.kept.told(&dump)),
            }
            if tokio::time::Instant::now() >= waiting.until() {
                return Err(waiting.gave_up());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Whether the procedure says that it worked, or why not.
    async fn restore(&self, time: &str, part: &str) -> Result<Result<String, String>, Trouble> {
        match restore::restore(self.lab, self.subject, time, &self.word(part)).await {
            Ok(()) => Ok(Ok(format!("all {} steps worked", self.subject.backup.restore.len()))),
            Err(Stopped::Failed(why)) => Ok(Err(why)),
            Err(Stopped::Trouble(trouble)) => Err(trouble),
        }
    }

    /// Empties the store and brings everything back from a backup that its job called whole.
    async fn whole(&self, healthy: &Healthy<K>, time: &str, of: (&str, &str)) -> Result<Evidence, Trouble> {
        let (word, when) = of;
        let store = self.subject.store.name.value.clone();
        let fault = self.lab.inject(Wipe { store, kept: &self.kept }, healthy.control.clone()).await?;
        let took_effect = fault.took_effect();
        self.lab.heal(fault).await?;
        if !took_effect {
            return Ok(Evidence::Missing("the store was never empty".to_owned()));
        }
        let name = format!("a backup that its job called whole {when} brings everything back");
        if let Err(why) = self.restore(time, &format!("whole-{word}")).await? {
            let broken = format!("a backup that was taken {when} and called whole was not restored");
            self.check(&name, Outcome::Broken, why.clone(), &broken);
            return Ok(Evidence::Missing(why));
        }
        let read = settled(self.lab, &self.kept, &healthy.before).await;
        Ok(match is_back(self.lab, self.subject.promise(), &name, read) {
            Ok(told) => Evidence::Shown(format!("the whole artefact restores: {told}")),
            Err(why) => Evidence::Missing(why),
        })
    }

    /// Restores with half of an artefact missing, each in its turn, and then with all of them whole again.
    async fn half(&self, time: &str, control: &Evidence) -> Result<(), Trouble> {
        for (number, pattern) in self.subject.patterns().iter().enumerate() {
            let path = names::fill(pattern, time);
            let claim = self.subject.claim(self.lab).await?;
            let fault = self.lab.inject(CutFile::new(claim, &path), control.clone()).await?;
            if fault.took_effect() {
                let (outcome, detail) = match self.restore(time, &format!("cut-{number}")).await? {
                    Ok(told) => (Outcome::Broken, format!("{told} with half of {path} missing")),
                    Err(why) => (Outcome::Held, why),
                };
                let name = "a restore from half an artefact does not report success";
                self.check(name, outcome, detail, "a restore reported success without all of its backup");
            }
            self.lab.heal(fault).await?;
        }
        let (outcome, detail) = match self.restore(time, "again").await? {
            Ok(told) => (Outcome::Held, told),
            // Then the failures before may have had another cause.
            Err(why) => (Outcome::Unknown, why),
        };
        let name = "the same artefact is restored once it is whole again";
        self.lab.check(self.subject.promise(), name, outcome, detail);
        Ok(())
    }
}

#[async_trait]
impl<K: Kept> Trial for Lane<'_, K> {
    async fn control(&mut self) -> Result<(), Trouble> {
        let filled = self.kept.fill(1).await?;
        let before = self.kept.dump().await;
        let before = before.map_err(|why| Trouble::harness(format!("what is there cannot be read: {why}")))?;
        self.lab.note(format!("known data: {filled}"));
        let (taken, measured) = tokio::join!(self.take("control"), self.measure());
        let ((ended, entries), measured) = (taken?, measured?);
        let name = "the backup succeeds without any fault";
        let time = match self.time(ended.as_ref(), &entries) {
            Ok(time) => time,
            Err(why) => {
                self.check(name, Outcome::Broken, why, "a backup failed without any fault");
                return Ok(());
            }
        };
        let (promise, claim) = (self.subject.promise(), &self.subject.backup.claim);
        self.lab.check(promise, name, Outcome::Held, format!("that of {time} is on {claim}"));
        match measured {
            Err(why) => {
                self.lab.check(promise, "the backup succeeds on a volume with room", Outcome::Unknown, why);
            }
            Ok(need) => {
                let control = format!("the job succeeded without any fault and took {need} bytes");
                self.healthy = Some(Healthy { before, time, need, control: Evidence::Shown(control) });
            }
        }
        Ok(())
    }

    async fn disturb(&self) -> Result<(), Trouble> {
        let Some(healthy) = &self.healthy else { return Ok(()) };
        self.full_volume(healthy).await?;
        let taken = self.outages(healthy).await?;
        let mut whole = Vec::new();
        for (time, outage) in taken {
            let restored = self.whole(healthy, &time, (outage.word, outage.when)).await?;
            whole.push((time, restored));
        }
        if whole.is_empty() {
            let restored = self.whole(healthy, &healthy.time, ("control", "without any fault")).await?;
            whole.push((healthy.time.clone(), restored));
        }
        if let Some((time, restored @ Evidence::Shown(_))) = whole.last() {
            self.half(time, restored).await?;
        }
        Ok(())
    }
}
