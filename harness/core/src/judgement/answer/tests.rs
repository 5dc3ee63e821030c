//! Questions and their answers. What the checkers find is tested with them.

use super::*;
use crate::checkers::nats::Span as Times;
use crate::checkers::testing::{history, message, publish, set, set_wait, stream, value};
use crate::contract::network::{Expected, Protocol};
use crate::history::{Dump, Observation, Outcome as Came};
use crate::judgement::{
    Allowance, Client, Control, Gap, Jobs, Messages, Read, Refusals, Restored, Saved, Store, Telling, Writes,
};
use crate::kept::Compared;
use crate::kept::redis::{RedisDump, RedisKey};
use crate::matrix::Seen;
use crate::matrix::asked::{Asked, AskedCell};
use crate::matrix::judge::{Enforcement, Flanks, Probed};
use std::collections::BTreeMap;

fn writes() -> Question {
    Question::Writes(Writes {
        client: "redis".into(),
        promise: "p".into(),
        has_replicas: true,
        allowance: Allowance { plain_percent: 1.0, replicated: 0 },
    })
}

/// Thirty plain writes and thirty that a replica acknowledged, of which those named are not there in the end.
fn written(missing: &[&str]) -> History {
    let plain = (0..30_u64).map(|n| (format!("p{n}"), set(&format!("p{n}"), "v", n * 10, Came::Ok)));
    let waited = (0..30_u64).map(|n| (format!("w{n}"), set_wait(&format!("w{n}"), "v", n * 10 + 5, 1)));
    let (keys, attempts): (Vec<String>, Vec<_>) = plain.chain(waited).unzip();
    let read = |key: &String| value(key, (!missing.contains(&key.as_str())).then_some("v"));
    history(attempts, keys.iter().map(read).collect(), Dump::Redis)
}

fn outcomes(answer: &Answer) -> Vec<Outcome> {
    answer.rulings.iter().map(|ruling| ruling.outcome).collect()
}

#[test]
fn what_is_not_there_any_more_is_broken_with_its_moment() {
    let clean = written(&[]);
    let answer = writes().answer(|_| Some(&clean));
    assert_eq!(outcomes(&answer), [Outcome::Held; 3]);
    assert_eq!(answer.figures.iter().map(|figure| figure.value).collect::<Vec<f64>>(), [0.0, 0.0]);
    let lossy = written(&["w3"]);
    let answer = writes().answer(|_| Some(&lossy));
    assert_eq!(answer.rulings[0].outcome, Outcome::Broken);
    assert_eq!(answer.violations[0].check, "writes that a replica acknowledged are there");
    let told = "1 of 30 writes to redis that a replica had acknowledged was lost; 0 may be";
    assert_eq!(answer.rulings[0].told.as_deref(), Some(told));
}

#[test]
fn without_a_history_nothing_can_be_told() {
    let questions = [
        writes(),
        Question::Jobs(Jobs { client: "jobs".into(), promise: "p".into(), check: "c".into() }),
        refusals(),
        gap(None),
    ];
    for question in questions {
        let answer = question.answer(|_| None);
        assert_eq!(outcomes(&answer), [Outcome::Unknown], "{question:?}");
    }
}

fn gap(groups: Option<Vec<String>>) -> Question {
    Question::Gap(Gap {
        client: "redis".into(),
        groups,
        span: Times { from_us: 0, to_us: 5_000_000 },
        allowed_us: 1_000_000,
        promise: "p".into(),
        check: "served in time".into(),
        telling: Telling::After,
        figure: Some("failover time".into()),
    })
}

/// Writes every tenth of a second, but for two seconds and a half in which each of them fails.
fn interrupted() -> History {
    let outcome = |n: u64| if (10..35).contains(&n) { Came::Failed } else { Came::Ok };
    let mut attempts: Vec<Attempt> = (0..60_u64).map(|n| set("k", "v", n * 100_000, outcome(n))).collect();
    attempts.iter_mut().for_each(|attempt| attempt.group = Some("shard a".into()));
    history(attempts, vec![], Dump::Redis)
}

#[test]
fn a_gap_is_measured_and_the_moment_at_which_it_became_too_long_shown() {
    let history = interrupted();
    let answer = gap(Some(vec!["shard a".into()])).answer(|_| Some(&history));
    assert_eq!(answer.rulings[0].outcome, Outcome::Broken);
    assert_eq!(answer.rulings[0].detail, "after 2.6 s, 1s allowed");
    let told = "redis did not serve its clients for 2.6 s (shard a); 1 s are allowed";
    assert_eq!(answer.rulings[0].told.as_deref(), Some(told));
    assert_eq!(answer.figures[0].name, "failover time");
    assert_eq!(answer.violations[0].at_ms, 1900);
    let other = gap(Some(vec!["shard b".into()])).answer(|_| Some(&history));
    assert_eq!((outcomes(&other), other.figures.len()), (vec![Outcome::Unknown], 0));
}

fn refusals() -> Question {
    Question::Refusals(Refusals {
        client: "nats".into(),
        stream: "S".into(),
        without: Times { from_us: 100, to_us: 200 },
        within_us: 1_000,
        promise: "p".into(),
        when: "most servers down".into(),
    })
}

#[test]
fn without_a_quorum_publishes_end_in_errors_and_in_time() {
    for (outcome, count, expected) in [
        (Came::Failed, 6, [Outcome::Held, Outcome::Held]),
        (Came::Failed, 2, [Outcome::Unknown, Outcome::Unknown]),
        (Came::Ok, 6, [Outcome::Broken, Outcome::Unknown]),
    ] {
        let attempts = (0..count).map(|n| publish(&format!("m{n}"), 110 + n * 10, outcome)).collect();
        let history = history(attempts, vec![], stream());
        let answer = refusals().answer(|_| Some(&history));
        assert_eq!(outcomes(&answer), expected, "{outcome:?} {count}");
        let told = "nats acknowledged 6 publishes with most servers down; none may be".to_owned();
        assert_eq!(answer.rulings[0].told, (outcome == Came::Ok).then_some(told));
    }
}

#[test]
fn messages_that_are_gone_are_found() {
    let question = Question::Messages(Messages {
        client: "nats".into(),
        stream: "S".into(),
        promise: "p".into(),
        check: "there once and in order".into(),
    });
    let of = |missing: u64| {
        let attempts = (1..=30).map(|n| publish(&format!("m{n}"), n, Came::Ok)).collect();
        let there: Vec<Observation> =
            (1..=30).filter(|n| *n != missing).map(|n| message(n, &format!("m{n}"))).collect();
        history(attempts, there, stream())
    };
    let (whole, lossy) = (of(0), of(7));
    assert_eq!(outcomes(&question.answer(|_| Some(&whole))), [Outcome::Held]);
    let answer = question.answer(|_| Some(&lossy));
    assert_eq!(outcomes(&answer), [Outcome::Broken]);
    let told = "1 of 30 messages that nats had acknowledged was lost";
    assert_eq!(answer.rulings[0].told.as_deref(), Some(told));
}

#[test]
fn a_control_is_clean_only_where_every_client_was() {
    let question = Question::Control(Control {
        clients: vec![Client { name: "redis".into(), uses: Store::Redis }],
        stream: "S".into(),
        consumer: "c".into(),
    });
    let (clean, lossy) = (written(&[]), written(&["p1"]));
    let shown = Evidence::Shown("60 operations without the fault, nothing lost".into());
    assert_eq!(question.answer(|_| Some(&clean)).control, Some(shown));
    let Some(Evidence::Missing(why)) = question.answer(|_| Some(&lossy)).control else { panic!("clean") };
    assert!(why.starts_with("redis without the fault: "), "{why}");
    assert!(matches!(question.answer(|_| None).control, Some(Evidence::Missing(_))));
}

#[test]
fn a_question_survives_its_line() {
    for question in [writes(), gap(Some(vec!["shard a".into()])), gap(None), refusals()] {
        let histories = BTreeMap::from([(question.clients()[0].to_owned(), "h.jsonl.gz".to_owned())]);
        let saved = Saved { histories, question };
        let line = serde_json::to_string(&saved).unwrap();
        assert_eq!(serde_json::from_str::<Saved>(&line).unwrap(), saved, "{line}");
    }
}

#[test]
fn probes_of_a_network_are_judged_by_source() {
    let flanks = Flanks { before: Some(Seen::Open), after: Some(Seen::Open) };
    let asked = |seen| {
        let cell = AskedCell {
            from: "stranger".into(),
            to: "db".into(),
            port: 5432,
            protocol: Protocol::Tcp,
            expected: Expected::Denied("no row".into()),
            nothing_there: None,
            probes: vec![Probed { way: "stranger-0 → 10.0.0.1:5432".into(), seen, flanks }],
            policies: vec![],
        };
        Question::Matrix(Asked { promise: "p".into(), enforcement: Enforcement::Drops, cells: vec![cell] })
    };
    for (seen, outcome) in [(Seen::Timeout, Outcome::Held), (Seen::Open, Outcome::Broken)] {
        let answer = asked(seen).answer(|_| None);
        assert_eq!(answer.rulings[0].check, "stranger reaches what it may and no more");
        assert_eq!(outcomes(&answer), [outcome], "{seen}");
    }
}

#[test]
fn what_was_restored_is_compared_with_what_was_lost() {
    let dump = |digest: &str| {
        let key = RedisKey { shard: "a".into(), kind: "string".into(), digest: digest.into(), expires_ms: None };
        RedisDump { taken_ms: 1, keys: [("k".to_owned(), key)].into() }
    };
    let restored = |read| Question::Restored(Restored { promise: "p".into(), check: "c".into(), read });
    let compared = |now| Read::Compared(Compared::Redis { before: dump("1"), now, own: "k".into() });
    for (read, outcome, told, plainly) in [
        (compared(dump("1")), Outcome::Held, "all of 1 keys (1 on a)", None),
        (
            compared(dump("2")),
            Outcome::Broken,
            "1 differ (1 of a): k (string) has another value",
            Some("1 of 1 keys was not as it was after the restore"),
        ),
        (
            compared(RedisDump::default()),
            Outcome::Broken,
            "1 differ (1 of a): k is gone",
            Some("1 of 1 keys was not back after the restore"),
        ),
        (Read::Unread { why: "no answer".into() }, Outcome::Unknown, "nothing could be read: no answer", None),
    ] {
        let question = restored(read);
        let text = serde_json::to_string(&question).unwrap();
        let answer = serde_json::from_str::<Question>(&text).unwrap().answer(|_| None);
        assert_eq!((answer.rulings[0].outcome, answer.rulings[0].detail.as_str()), (outcome, told), "{text}");
        assert_eq!(answer.rulings[0].told.as_deref(), plainly);
    }
}
