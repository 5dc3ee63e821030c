//! A run's histories judged again: an untouched folder is the same, a planted violation is found, and what cannot be read
//! is bad input.

#[allow(dead_code)] // not every test uses all of it
mod support;

use gauntlet_core::event::{Event, RunHeader};
use gauntlet_core::history::{Dump, Entry, History, Observation, Operation, Outcome, Reply, Stamp};
use gauntlet_core::judgement::{Allowance, Answer, Client, Control, Question, Saved, Store, Writes};
use gauntlet_core::{Check, Evidence, FaultEvidence, Observations, Record, Redactor, RunId, Seed};
use gauntlet_engine::histories;
use std::path::{Path, PathBuf};
use support::{Ended, Place};

const SCENARIO: &str = "redis.failover";

/// Forty writes, half of them acknowledged by a replica too, and what is there in the end; without the value of `missing`.
fn entries(missing: Option<u64>) -> Vec<Entry> {
    let client = || "c".to_owned();
    let at = |us| Stamp { mono_us: us, wall_us: us };
    let mut entries = Vec::new();
    for id in 0..40 {
        let wait = (id % 2 == 0).then_some(1);
        let op = Operation::RedisWrite { key: format!("k{id}"), value: format!("v{id}"), wait };
        entries.push(Entry::Invoke { client: client(), process: 0, id, at: at(id * 1000), group: None, op });
        let reply = Some(Reply::RedisWrite { replicas: wait });
        let (at, outcome) = (at(id * 1000 + 500), Outcome::Ok);
        entries.push(Entry::Complete { client: client(), id, at, outcome, reply, error: None });
    }
    let seen =
        |id| Observation::RedisValue { key: format!("k{id}"), value: (missing != Some(id)).then(|| format!("v{id}")) };
    let end = Observation::DumpComplete { dump: Dump::Redis, count: 40 };
    let seen = (0..40).map(seen).chain([end]);
    entries.extend(seen.map(|seen| Entry::Observe { client: client(), at: at(50_000), seen }));
    entries
}

fn text(entries: &[Entry]) -> String {
    entries.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n").collect()
}

fn questions() -> [Question; 2] {
    let (client, promise) = ("redis".to_owned(), "redis.failover".to_owned());
    let clients = vec![Client { name: client.clone(), uses: Store::Redis }];
    let control = Control { clients, stream: "S".into(), consumer: "c".into() };
    let allowance = Allowance { plain_percent: 1.0, replicated: 0 };
    [Question::Control(control), Question::Writes(Writes { client, promise, has_replicas: true, allowance })]
}

/// A run as it is saved, judged when it ran.
struct Run {
    place: Place,
    folder: PathBuf,
}

impl Run {
    fn new() -> Self {
        let place = Place::new();
        let run = Self { folder: place.path("reports").join("r1"), place };
        let scenario = run.scenario();
        std::fs::create_dir_all(&scenario).unwrap();
        let whole = entries(None);
        let history = History::from_entries(whole.clone()).unwrap();
        let mut answers = Vec::new();
        for (part, question) in ["control", "fault"].into_iter().zip(questions()) {
            let file = histories::write(&scenario, part, &text(&whole)).unwrap();
            answers.push(question.answer(|_| Some(&history)));
            let saved = Saved { histories: [("redis".to_owned(), file)].into(), question };
            histories::ask(&scenario, &saved, &Redactor::default()).unwrap();
        }
        std::fs::write(run.folder.join("events.jsonl"), events(&answers)).unwrap();
        run
    }

    fn scenario(&self) -> PathBuf {
        self.folder.join("scenarios").join(SCENARIO)
    }

    /// Puts another history in the place of that part's.
    fn plant(&self, part: &str, missing: u64) {
        histories::write(&self.scenario(), part, &text(&entries(Some(missing)))).unwrap();
    }

    fn check(&self) -> Ended {
        self.place.gauntlet(&["check", "r1", "--all"])
    }
}

/// A run of one scenario that passed.
fn events(answers: &[Answer]) -> String {
    let shown = || Evidence::Shown("seen".into());
    let control = answers.iter().find_map(|answer| answer.control.clone()).unwrap();
    let checks = answers.iter().flat_map(|answer| &answer.rulings).map(|ruling| Check {
        promise: ruling.promise.clone(),
        reference: "guide".into(),
        name: ruling.check.clone(),
        outcome: ruling.outcome,
        looks: None,
        detail: ruling.detail.clone(),
        told: None,
    });
    let steady = Check {
        promise: "redis.failover".into(),
        reference: "guide".into(),
        name: "the system is in its steady state again".into(),
        outcome: gauntlet_core::Outcome::Held,
        looks: None,
        detail: "everything is ready".into(),
        told: None,
    };
    let fault = FaultEvidence { fault: "kill".into(), took_effect: shown(), healed: shown(), control };
    let observations =
        Observations { faults: vec![fault], checks: checks.chain([steady]).collect(), ..Observations::default() };
    let verdict = observations.judge();
    assert_eq!(verdict.word(), "passed", "{verdict:?}");
    let header = RunHeader {
        run: RunId::new(0, 1),
        seed: Seed(1),
        system: "shop".into(),
        overlay: "production".into(),
        mutant: None,
        provider: "embedded".into(),
        versions: [].into(),
        scenarios: vec![SCENARIO.into()],
        again: "gauntlet run".into(),
        document: None,
        promises: vec![],
        stand_ins: [].into(),
    };
    let finished = Event::ScenarioFinished {
        scenario: SCENARIO.into(),
        verdict,
        observations,
        took_ms: 1,
        again: "gauntlet run".into(),
        evidence: None,
    };
    [Event::RunStarted(header), finished].map(|event| Record::new(0, event).to_line().unwrap() + "\n").concat()
}

#[test]
fn an_untouched_run_is_the_same() {
    let ended = Run::new().check();
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    for expected in [
        "redis.failover: passed, as before",
        "writes that a replica acknowledged are there: held",
        "1 checks count as they were judged then, since histories say nothing about them; of redis.failover",
        "the system is in its steady state again (held)",
        "judged again, everything is as it was",
    ] {
        assert!(ended.stdout.contains(expected), "{expected:?} is not in\n{}", ended.stdout);
    }
}

#[test]
fn a_planted_loss_is_found() {
    let run = Run::new();
    run.plant("fault", 4);
    let ended = run.check();
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    let expected = "redis.failover: passed → failed\n  redis.failover: writes that a replica acknowledged are there: held → broken\n    then: 0 of 20 lost, 0 allowed\n    now: ";
    assert!(ended.stdout.starts_with(expected), "{}", ended.stdout);
    assert!(ended.stdout.contains("k4"), "{}", ended.stdout);
}

#[test]
fn a_loss_planted_in_the_control_makes_it_inconclusive() {
    let run = Run::new();
    run.plant("control", 5);
    let ended = run.check();
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.starts_with("redis.failover: passed → inconclusive\n"), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_read_is_bad_input() {
    let missing = |run: &Run, path: &Path| {
        std::fs::remove_file(path).unwrap();
        let ended = run.check();
        assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
        ended.stderr
    };
    let run = Run::new();
    let says = missing(&run, &run.scenario().join("fault.jsonl.gz"));
    assert!(says.contains("cannot read the history") && says.contains("fault.jsonl.gz"), "{says}");
    let run = Run::new();
    let says = missing(&run, &run.scenario().join("questions.jsonl.gz"));
    assert!(says.contains("nothing that could be judged again"), "{says}");
    let run = Run::new();
    std::fs::write(run.scenario().join("control.jsonl.gz"), "cut off").unwrap();
    assert_eq!(run.check().code, 2);
}
