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
            None if too_many.is_none() => Came::unknown(format!("{number} evictions were asked for, {limit} are allowed")),
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
mod tests {
    use super::super::super::disruption::{Began, Lacking, Late};
    use super::super::super::question::Question;
    use super::*;
    use crate::verdict::Outcome;

    fn evictions(granted: &[u64], refused: bool, limit: u32) -> Evictions {
        let asked = |n: usize, at_us: u64, refused| Eviction { at_us, pod: format!("nats-{n}"), refused };
        let mut all: Vec<Eviction> = granted.iter().enumerate().map(|(n, at)| asked(n, *at, None)).collect();
        if refused {
            all.push(asked(granted.len(), 9_000_000, Some("budget".to_owned())));
        }
        Evictions { promise: "p".into(), workload: "nats".into(), replicas: 3, limit, asked: all, not_back: None }
    }

    fn judged(question: impl FnOnce(&mut Answer)) -> Answer {
        let mut answer = Answer::default();
        question(&mut answer);
        answer
    }

    fn told(answer: &Answer) -> Vec<&str> {
        answer.rulings.iter().filter_map(|ruling| ruling.told.as_deref()).collect()
    }

    fn moments(answer: &Answer) -> Vec<u64> {
        answer.violations.iter().map(|violation| violation.at_ms).collect()
    }

    #[test]
    fn both_a_grant_and_a_refusal_must_be_seen() {
        use Outcome::{Broken, Held, Unknown};
        let two: &[u64] = &[1_000_000, 1_400_000];
        for (granted, refused, limit, expected) in [
            (&two[..1], true, 1, [Held, Held]),
            (two, false, 1, [Broken, Broken]),
            (&[], true, 1, [Broken, Held]),
            (&two[..1], true, 2, [Held, Held]),
            (&two[..1], false, 1, [Held, Unknown]),
            (&[], false, 1, [Unknown, Unknown]),
        ] {
            let answer = judged(|answer| evictions(granted, refused, limit).answer(answer));
            let outcomes: Vec<Outcome> = answer.rulings.iter().map(|ruling| ruling.outcome).collect();
            assert_eq!(outcomes[..2], expected, "{granted:?} {refused} {limit}");
            assert_eq!(outcomes[2], Held);
        }
    }

    #[test]
    fn an_eviction_too_many_is_told_with_its_moment() {
        let answer = judged(|answer| evictions(&[1_000_000, 1_400_000], false, 1).answer(answer));
        assert_eq!(
            told(&answer),
            [
                "2 of 3 nats pods were evicted within 0.4 s; the budget allows 1",
                "2 nats pods were asked to leave at once and none was refused; the budget allows 1"
            ]
        );
        assert_eq!(moments(&answer), [1_400, 1_400]);
        assert_eq!(answer.violations[0].client, None);
    }

    #[test]
    fn pods_that_do_not_come_back_are_told_with_the_end_of_their_time() {
        let late = Late { at_us: 7_000_000, why: "2/3 ready".into() };
        let question = Evictions { not_back: Some(late), ..evictions(&[1_000_000], true, 1) };
        let answer = judged(|answer| question.answer(answer));
        assert_eq!(told(&answer), ["nats was not whole again after 1 of its 3 pods was evicted: 2/3 ready"]);
        assert_eq!(moments(&answer), [7_000]);
    }

    fn quorum(seen: &[(u64, u32, &str)]) -> Quorum {
        let members = |(at_us, ready, leaving): &(u64, u32, &str)| Members {
            at_us: *at_us,
            ready: *ready,
            leaving: leaving.split_whitespace().map(str::to_owned).collect(),
        };
        let began = |at_us, what: &str| Began { at_us, what: what.into() };
        Quorum {
            promise: "p".into(),
            workload: "nats".into(),
            members: 3,
            floor: 2,
            disturbances: vec![began(0, "the drain of n1"), began(1_000_000, "the drain of n2")],
            seen: seen.iter().map(members).collect(),
        }
    }

    #[test]
    fn only_what_an_eviction_left_counts_for_a_quorum() {
        for (seen, outcome, detail) in [
            (&[(0, 3, ""), (5, 2, "n-0")][..], Outcome::Held, "2 at the lowest"),
            // It failed by itself later.
            (&[(0, 3, ""), (5, 2, "n-0"), (9, 1, "")], Outcome::Held, "2 at the lowest"),
            (&[(0, 3, ""), (5, 2, "n-0"), (9, 1, "n-1")], Outcome::Broken, "an eviction left 1"),
            (&[(0, 2, ""), (5, 1, "n-0")], Outcome::Broken, "an eviction left 1"),
            (&[(0, 3, ""), (5, 2, "")], Outcome::Unknown, "no member was ever seen to leave"),
        ] {
            let answer = judged(|answer| quorum(seen).answer(answer));
            assert_eq!((answer.rulings[0].outcome, answer.rulings[0].detail.as_str()), (outcome, detail), "{seen:?}");
        }
    }

    #[test]
    fn a_lost_quorum_is_told_with_the_moment_of_the_eviction() {
        let seen = [(0, 3, ""), (2_000_000, 2, "n-0"), (13_300_000, 1, "n-1"), (20_000_000, 0, "")];
        let answer = judged(|answer| quorum(&seen).answer(answer));
        assert_eq!(told(&answer), ["12.3 s into the drain of n2 only 1 of 3 nats was ready; 2 are a quorum"]);
        assert_eq!(moments(&answer), [13_300]);
        assert_eq!(answer.figures[0].value, 0.0);
    }

    #[test]
    fn what_was_done_is_judged_again_from_its_line() {
        for question in
            [Question::Evictions(evictions(&[1, 2], false, 1)), Question::Quorum(quorum(&[(0, 3, ""), (5, 1, "n-0")]))]
        {
            let line = serde_json::to_string(&question).unwrap();
            let again: Question = serde_json::from_str(&line).unwrap();
            assert_eq!(again.answer(|_| None), question.answer(|_| None), "{line}");
            assert!(again.clients().is_empty());
        }
    }

    #[test]
    fn a_drain_that_does_not_end_is_told_with_the_end_of_its_time() {
        let drain = |came_to| Drain {
            promise: "p".into(),
            node: "n2".into(),
            within_us: 120_000_000,
            from_us: 1_000_000,
            to_us: 121_000_000,
            came_to,
        };
        let answer = judged(|answer| drain(Drained::Not { why: "still there: a".into() }).answer(answer));
        assert_eq!(told(&answer), ["n2 was not empty 120 s after its drain had begun: still there: a"]);
        assert_eq!(moments(&answer), [121_000]);
        let answer = judged(|answer| drain(Drained::Empty { evicted: 3, refusals: 1 }).answer(answer));
        assert_eq!(answer.rulings[0].detail, "3 pods evicted, 1 refusals");
        assert_eq!((answer.figures[0].value, answer.figures[0].limit), (120.0, Some(120.0)));
    }

    #[test]
    fn a_steady_state_that_is_not_reached_is_told_with_its_deadline() {
        let steady = |seen: &[(u64, &str)]| Steady {
            promise: "p".into(),
            check: "steady again".into(),
            after: "the drain of n2".into(),
            from_us: 1_000_000,
            within_us: 120_000_000,
            seen: seen.iter().map(|(at_us, what)| Lacking { at_us: *at_us, what: (*what).to_owned() }).collect(),
            held: "everything is ready".into(),
        };
        let answer = judged(|answer| steady(&[(2_000_000, "db 2/3 ready"), (9_000_000, "")]).answer(answer));
        assert_eq!(answer.rulings[0].detail, "everything is ready");
        let answer = judged(|answer| steady(&[(2_000_000, "db 2/3 ready")]).answer(answer));
        assert_eq!(answer.rulings[0].detail, "waited 2m for the steady state; last seen: db 2/3 ready");
        assert_eq!(told(&answer), ["the system was not as it has to be 120 s after the drain of n2: db 2/3 ready"]);
        assert_eq!(moments(&answer), [121_000]);
    }
}
