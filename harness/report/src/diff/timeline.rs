//! What happened when in two runs of a scenario, side by side. Both are aligned at their first fault, since everything
//! before it only waits for it.

use super::names::lasting;
use crate::story::{FaultWindow, Story, offset};
use gauntlet_core::timeline::PodState;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What comes within this of each other is the same: machines are not equally fast twice.
const SAME_MS: i64 = 1000;

/// Actions and changes of pods beyond this many are counted.
const SHOWN: usize = 40;

/// Faults, broken promises and times without service in full; actions and changes of pods where they differ.
pub fn render(text: &mut String, before: &Story, after: &Story) {
    faults(text, before, after);
    for pair in pairs(&violations(before), &violations(after)) {
        let _ = writeln!(text, "  broken: {}", pair.told());
    }
    unserved(text, before, after);
    let mut all = pairs(&actions(before), &actions(after));
    all.extend(pairs(&changes(before), &changes(after)));
    all.sort_by_key(|pair| pair.before.or(pair.after));
    let (same, differing): (Vec<Pair>, Vec<Pair>) = all.into_iter().partition(Pair::is_same);
    for pair in differing.iter().take(SHOWN) {
        let _ = writeln!(text, "  {}", pair.told());
    }
    if differing.len() > SHOWN {
        let _ = writeln!(text, "  and {} more actions and changes of pods that differ", differing.len() - SHOWN);
    }
    if !same.is_empty() {
        let _ = writeln!(text, "  {} actions and changes of pods came at the same time, within 1 s", same.len());
    }
}

/// The first fault of one run is held against the first of the other, whatever it hit.
fn faults(text: &mut String, before: &Story, after: &Story) {
    let told = |story: &Story, fault: Option<&FaultWindow>| {
        let at = |ms| offset(ms, story.zero_ms());
        fault.map_or("none".to_owned(), |fault| {
            format!("{} to {}", at(fault.from_ms), fault.healed_ms.map_or("the end".to_owned(), at))
        })
    };
    for n in 0..before.faults.len().max(after.faults.len()) {
        let (old, new) = (before.faults.get(n), after.faults.get(n));
        let mut names: Vec<String> = [old, new].into_iter().flatten().map(|fault| lasting(&fault.fault)).collect();
        names.dedup();
        let _ = writeln!(text, "  fault: {}: {} → {}", names.join(" → "), told(before, old), told(after, new));
    }
}

/// Things with the same name, by when they were; from the first fault on, in milliseconds.
type Moments = BTreeMap<String, Vec<i64>>;

/// The same thing in both runs.
#[derive(Debug, PartialEq)]
struct Pair {
    name: String,
    before: Option<i64>,
    after: Option<i64>,
}

impl Pair {
    fn is_same(&self) -> bool {
        self.before.zip(self.after).is_some_and(|(old, new)| (new - old).abs() < SAME_MS)
    }

    fn told(&self) -> String {
        let at = |ms: Option<i64>| ms.map_or("never".to_owned(), offset_of);
        format!("{}: {} → {}", self.name, at(self.before), at(self.after))
    }
}

/// The first of a name in one run is held against the first in the other, and so on.
fn pairs(before: &Moments, after: &Moments) -> Vec<Pair> {
    let none = vec![];
    let of = |moments: &Moments, name: &String, n: usize| moments.get(name).unwrap_or(&none).get(n).copied();
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let mut pairs: Vec<Pair> = Vec::new();
    for name in names {
        let count = |moments: &Moments| moments.get(name).map_or(0, Vec::len);
        pairs.extend((0..count(before).max(count(after))).map(|n| Pair {
            name: name.clone(),
            before: of(before, name, n),
            after: of(after, name, n),
        }));
    }
    pairs.sort_by_key(|pair| pair.before.or(pair.after));
    pairs
}

fn by_name(story: &Story, list: impl Iterator<Item = (u64, String)>) -> Moments {
    let mut moments = Moments::new();
    for (at_ms, name) in list {
        moments.entry(name).or_default().push(since(at_ms, story.zero_ms()));
    }
    moments.values_mut().for_each(|times| times.sort_unstable());
    moments
}

fn violations(story: &Story) -> Moments {
    by_name(story, story.violations.iter().map(|violation| (violation.at_ms, violation.check.clone())))
}

fn actions(story: &Story) -> Moments {
    by_name(story, story.actions.iter().map(|(at_ms, text)| (*at_ms, format!("action: {}", lasting(text)))))
}

/// Pods that came to be something else. One that is up when it is first seen was there before; our own clients are none
/// of the system.
fn changes(story: &Story) -> Moments {
    let is_new = |state| matches!(state, PodState::Pending | PodState::Starting);
    let mut changes = Vec::new();
    for ((_, pod), seen) in story.pods.iter().filter(|((_, pod), _)| !pod.starts_with("gauntlet-")) {
        let mut last = None;
        for (at_ms, seen) in seen {
            if last.map_or(is_new(seen.state), |last| last != seen.state) {
                changes.push((*at_ms, format!("pod {} {}", lasting(pod), seen.state.title())));
            }
            last = Some(seen.state);
        }
    }
    by_name(story, changes.into_iter())
}

/// The longest time in which nothing of a client succeeded, since the first fault: for how long, from when on, and of
/// which operations where only some were concerned.
#[derive(Debug, Clone, PartialEq)]
struct Unserved {
    ms: u64,
    from: i64,
    group: Option<String>,
}

impl Unserved {
    fn told(&self) -> String {
        let group = self.group.as_ref().map_or(String::new(), |group| format!(" ({group})"));
        format!("{} s from {}{group}", self.ms / 1000, offset_of(self.from))
    }
}

fn unserved(text: &mut String, before: &Story, after: &Story) {
    let (old, new) = (longest(before), longest(after));
    let mut clients: Vec<&String> = old.keys().chain(new.keys()).collect();
    clients.sort();
    clients.dedup();
    for client in clients {
        let told = |longest: &BTreeMap<String, Unserved>| longest.get(client).map_or("none".to_owned(), Unserved::told);
        let _ = writeln!(text, "  longest without service, {client}: {} → {}", told(&old), told(&new));
    }
}

fn longest(story: &Story) -> BTreeMap<String, Unserved> {
    let zero_ms = story.zero_ms();
    let mut longest: BTreeMap<String, Unserved> = BTreeMap::new();
    for series in &story.series {
        let mut ms = 0;
        for (n, ok) in series.ok.iter().enumerate() {
            let end_ms = series.from_ms + (n as u64 + 1) * series.step_ms;
            ms = if *ok > 0 || end_ms <= zero_ms { 0 } else { ms + series.step_ms };
            if ms > longest.get(&series.client).map_or(0, |known| known.ms) {
                let found = Unserved { ms, from: since(end_ms - ms, zero_ms), group: series.group.clone() };
                longest.insert(series.client.clone(), found);
            }
        }
    }
    longest
}

fn since(at_ms: u64, zero_ms: u64) -> i64 {
    i64::try_from(at_ms).unwrap_or(i64::MAX) - i64::try_from(zero_ms).unwrap_or(0)
}

fn offset_of(ms: i64) -> String {
    if ms < 0 { offset(0, ms.unsigned_abs()) } else { offset(ms.unsigned_abs(), 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::Run;
    use gauntlet_core::event::{Event, Phase, Record};
    use gauntlet_core::timeline::{PodSeen, Series, Violation};

    const A: &str = "a";

    fn pod(name: &str, state: PodState) -> Event {
        let seen = PodSeen { namespace: "n".into(), pod: name.into(), node: None, state, detail: None };
        Event::PodChanged { scenario: Some(A.into()), seen }
    }

    fn action(text: &str) -> Event {
        Event::Action { scenario: Some(A.into()), text: text.into() }
    }

    fn series(from_ms: u64, group: Option<&str>, ok: &[u32]) -> Event {
        let series = Series {
            client: "redis".into(),
            part: "fault".into(),
            group: group.map(str::to_owned),
            from_ms,
            step_ms: 1000,
            ok: ok.to_vec(),
            failed: vec![0; ok.len()],
            unknown: vec![0; ok.len()],
            p50_ms: vec![],
            p95_ms: vec![],
            p99_ms: vec![],
        };
        Event::WorkloadSeries { scenario: A.into(), series }
    }

    fn broken(at_ms: u64) -> Event {
        let (check, what) = ("served in time".to_owned(), "no success".to_owned());
        let violation = Violation { check, at_ms, what, client: None, group: None, operations: Default::default() };
        Event::Violated { scenario: A.into(), violation }
    }

    /// A scenario that begins at `from_ms` and has its fault two seconds later, with more at times since the fault.
    fn run(from_ms: u64, healed: u64, more: Vec<(u64, Event)>) -> Run {
        let zero = from_ms + 2_000;
        let fault = || "kill db-0".to_owned();
        let mut records = vec![
            Record::new(from_ms, Event::PhaseStarted { scenario: A.into(), phase: Phase::Inject }),
            Record::new(from_ms + 1, pod("db-0", PodState::Ready)),
            Record::new(from_ms + 1, pod("web-98d69bb67-8kcb4", PodState::Ready)),
            Record::new(zero, Event::FaultInjecting { scenario: A.into(), fault: fault() }),
        ];
        records.extend(more.into_iter().map(|(at, event)| Record::new(zero + at, event)));
        let evidence = gauntlet_core::Evidence::Shown("seen".into());
        records.push(Record::new(zero + healed, Event::FaultHealed { scenario: A.into(), fault: fault(), evidence }));
        Run::of(&records)
    }

    fn told(before: &Run, after: &Run) -> String {
        let mut text = String::new();
        render(&mut text, before.story(A).unwrap(), after.story(A).unwrap());
        text
    }

    #[test]
    fn both_runs_are_aligned_at_their_first_fault() {
        let one = |from: u64, late: u64, healed, ok: &[u32]| {
            let more = vec![
                (300, pod("db-0", PodState::Failing)),
                (12_000 + late, action("evict n/web-98d69bb67-8kcb4")),
                (13_000 + late, pod("db-0", PodState::Ready)),
                (14_000, broken(from + 2_000 + 5_000 + late)),
                (15_000, series(from + 1_000, None, &[9; 20])),
                (15_000, series(from + 1_000, Some("shard 1"), ok)),
            ];
            run(from, healed, more)
        };
        let before = one(50_000, 0, 37_700, &[9, 0, 0, 0, 9]);
        let after = one(900_000, 19_400, 12_100, &[9, 0, 9, 9, 9]);
        let expected = "  fault: kill db-0: +0.0 s to +37.7 s → +0.0 s to +12.1 s
  broken: served in time: +5.0 s → +24.4 s
  longest without service, redis: 3 s from +0.0 s (shard 1) → 1 s from +0.0 s (shard 1)
  action: evict n/web-*: +12.0 s → +31.4 s
  pod db-0 ready: +13.0 s → +32.4 s
  1 actions and changes of pods came at the same time, within 1 s
";
        assert_eq!(told(&before, &after), expected);
    }

    #[test]
    fn what_only_one_run_has_is_told_and_the_second_of_a_name_is_the_second_in_both() {
        let twice = |second| {
            vec![
                (1_000, action("evict n/web-98d69bb67-8kcb4")),
                (second, action("evict n/web-58bd6f4856-z7dcv")),
                (7_000, pod("web-58bd6f4856-z7dcv", PodState::Pending)),
            ]
        };
        let before = run(0, 4_000, twice(5_000));
        let after = run(0, 4_000, twice(9_000));
        let text = told(&before, &after);
        assert!(text.contains("  action: evict n/web-*: +5.0 s → +9.0 s\n"), "{text}");
        assert!(text.contains("2 actions and changes of pods came at the same time"), "{text}");
        let text = told(&before, &run(0, 4_000, vec![]));
        for expected in ["evict n/web-*: +1.0 s → never\n", "evict n/web-*: +5.0 s → never\n", "web-* pending: +7.0 s"]
        {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
    }

    #[test]
    fn times_before_the_fault_are_told_as_such() {
        for (ms, expected) in [(0, "+0.0 s"), (31_400, "+31.4 s"), (-1_500, "−1.5 s")] {
            assert_eq!(offset_of(ms), expected);
        }
    }
}
