//! What was done to a cluster, and what became of it then.

use super::super::disruption::{Drain, Drained, Eviction, Evictions, Members, Quorum, Steady};
use super::words::{is, seconds, was};
use super::{Answer, Came};
use crate::span::Span;
use std::time::Duration;

impl Evictions {
    pub(super) fn answer(&self, answer: &mut Answer) {
        let name = |check: &str| format!("{}: {check}", self.workload);
        let granted: Vec<&Eviction> = self.asked.iter().filter(|asked| asked.refused.is_none()).collect();
        let refusal = self.asked.iter().find_map(|asked| asked.refused.as_ref());
        let (limit, number) = (self.limit, granted.len());
        let too_many = granted.get(limit as usize).filter(|_| number > limit as usize);

        let check = name("an eviction that the budget allows is granted");
        let came = match number {
            0 if self.asked.is_empty() => Came::unknown("no pod was there to be evicted"),
            0 => Came::broken("not even one eviction was granted", self.none_granted()),
            n if n > limit as usize => {
                Came::broken(format!("{n} evictions were granted at once, {limit} allowed"), self.too_many(&granted))
            }
            n => Came::held(format!("{n} of {limit} allowed evictions were granted")),
        };
        if let Some(one) = too_many {
            answer.broken_at(&check, one.at_us, format!("{} was evicted, one more than the budget allows", one.pod));
        } else if number == 0
            && let Some(first) = self.asked.first()
        {
            answer.broken_at(&check, first.at_us, format!("the eviction of {} was refused", first.pod));
        }
        answer.rule(&self.promise, &check, came);

        let check = name("an eviction that breaks the budget is refused");
        let came = match refusal {
            Some(why) => Came::held(format!("429: {why}")),
            None if too_many.is_none() => {
                Came::unknown(format!("{number} evictions were asked for, {limit} are allowed"))
            }
            None => Came::broken(format!("none of {number} evictions was refused"), self.none_refused(number as u64)),
        };
        if let (None, Some(last)) = (refusal, too_many) {
            answer.broken_at(&check, last.at_us, format!("the eviction of {} was not refused", last.pod));
        }
        answer.rule(&self.promise, &check, came);

        let check = name("evicted pods come back");
        let came = match &self.not_back {
            None => Came::held("all are ready again"),
            Some(late) => {
                answer.broken_at(&check, late.at_us, "not all pods were ready again".to_owned());
                Came::broken(late.why.clone(), self.not_back(number as u64, &late.why))
            }
        };
        answer.rule(&self.promise, &check, came);
    }

    fn allowed(&self) -> String {
        format!("the budget allows {}", self.limit)
    }

    fn none_granted(&self) -> String {
        let (workload, replicas) = (&self.workload, self.replicas);
        format!("no {workload} pod could be evicted while all {replicas} were ready; {}", self.allowed())
    }

    fn too_many(&self, granted: &[&Eviction]) -> String {
        let took = match (granted.first(), granted.last()) {
            (Some(first), Some(last)) => last.at_us.saturating_sub(first.at_us),
            _ => 0,
        };
        let (number, replicas, workload) = (granted.len(), self.replicas, &self.workload);
        format!("{number} of {replicas} {workload} pods were evicted within {}; {}", seconds(took), self.allowed())
    }

    fn none_refused(&self, granted: u64) -> String {
        let workload = &self.workload;
        format!("{granted} {workload} pods were asked to leave at once and none was refused; {}", self.allowed())
    }

    fn not_back(&self, granted: u64, why: &str) -> String {
        let (workload, replicas, was) = (&self.workload, self.replicas, was(granted));
        format!("{workload} was not whole again after {granted} of its {replicas} pods {was} evicted: {why}")
    }
}

impl Quorum {
    pub(super) fn answer(&self, answer: &mut Answer) {
        let (workload, floor) = (&self.workload, self.floor);
        let check = format!("{workload}: no eviction left fewer than {floor} ready");
        if let Some(fewest) = self.seen.iter().map(|members| members.ready).min() {
            answer.figure(format!("{workload}: fewest ready"), f64::from(fewest), "pods", None);
        }
        let left = || self.seen.iter().filter(|members| !members.leaving.is_empty());
        let came = match left().min_by_key(|members| members.ready) {
            None => Came::unknown("no member was ever seen to leave"),
            Some(lowest) if lowest.ready < floor => {
                Came::broken(format!("an eviction left {}", lowest.ready), self.told(lowest))
            }
            Some(lowest) => Came::held(format!("{} at the lowest", lowest.ready)),
        };
        if let Some(first) = left().find(|members| members.ready < floor) {
            let what = format!("{} left, {} ready", first.leaving.join(" and "), first.ready);
            answer.broken_at(&check, first.at_us, what);
        }
        answer.rule(&self.promise, &check, came);
    }

    /// `12.3 s into the drain of n2 only 1 of 3 cordum-nats was ready; 2 are a quorum`
    fn told(&self, moment: &Members) -> String {
        let (ready, floor) = (u64::from(moment.ready), u64::from(self.floor));
        let ready = format!(
            "only {ready} of {} {} {} ready; {floor} {} a quorum",
            self.members,
            self.workload,
            was(ready),
            is(floor)
        );
        match self.disturbances.iter().rfind(|began| began.at_us <= moment.at_us) {
            Some(began) => format!("{} into {} {ready}", seconds(moment.at_us - began.at_us), began.what),
            None => ready,
        }
    }
}

impl Drain {
    pub(super) fn answer(&self, answer: &mut Answer) {
        let node = &self.node;
        let check = format!("draining {node} completes");
        let came = match &self.came_to {
            Drained::Empty { evicted, refusals } => {
                let took = self.to_us.saturating_sub(self.from_us) as f64 / 1e6;
                answer.figure(format!("drain of {node}"), took, "s", Some(self.within_us as f64 / 1e6));
                Came::held(format!("{evicted} pods evicted, {refusals} refusals"))
            }
            Drained::Not { why } => {
                answer.broken_at(&check, self.to_us, format!("{node} was not empty"));
                let told = format!("{node} was not empty {} after its drain had begun: {why}", self.waited());
                Came::broken(why.clone(), told)
            }
        };
        answer.rule(&self.promise, &check, came);
    }

    fn waited(&self) -> String {
        seconds(self.to_us.saturating_sub(self.from_us))
    }
}

impl Steady {
    pub(super) fn answer(&self, answer: &mut Answer) {
        let deadline_us = self.from_us.saturating_add(self.within_us);
        let came = match self.seen.last() {
            Some(last) if last.what.is_empty() => Came::held(self.held.clone()),
            last => {
                let lacks = last.map_or("nothing yet", |last| last.what.as_str());
                answer.broken_at(&self.check, deadline_us, "the steady state was not reached".to_owned());
                let within = Span(Duration::from_micros(self.within_us));
                let (after, allowed) = (&self.after, seconds(self.within_us));
                Came::broken(
                    format!("waited {within} for the steady state; last seen: {lacks}"),
                    format!("the system was not as it has to be {allowed} after {after}: {lacks}"),
                )
            }
        };
        answer.rule(&self.promise, &self.check, came);
    }
}

#[cfg(test)]
#[path = "disruption_tests.rs"]
mod tests;
