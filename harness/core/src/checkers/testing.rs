//! Short ways to write a history in a test.

use crate::history::{Attempt, Dump, History, Observation, Operation, Outcome, Reply, Stamp};

/// An attempt of client `c` that begins at `begin` and ends at `end` microseconds; no end, no completion.
pub fn attempt(op: Operation, begin: u64, end: Option<u64>, outcome: Outcome, reply: Option<Reply>) -> Attempt {
    let stamp = |us| Stamp { mono_us: us, wall_us: us };
    Attempt {
        client: "c".into(),
        process: 0,
        id: begin,
        group: None,
        op,
        invoked: stamp(begin),
        completed: end.map(stamp),
        outcome,
        reply,
        error: None,
    }
}

pub fn set(key: &str, value: &str, begin: u64, outcome: Outcome) -> Attempt {
    let op = Operation::RedisWrite { key: key.into(), value: value.into(), wait: None };
    let reply = (outcome == Outcome::Ok).then_some(Reply::RedisWrite { replicas: None });
    attempt(op, begin, Some(begin + 5), outcome, reply)
}

/// A write with `WAIT 1` that `replicas` answered.
pub fn set_wait(key: &str, value: &str, begin: u64, replicas: u32) -> Attempt {
    let op = Operation::RedisWrite { key: key.into(), value: value.into(), wait: Some(1) };
    attempt(op, begin, Some(begin + 5), Outcome::Ok, Some(Reply::RedisWrite { replicas: Some(replicas) }))
}

pub fn publish(msg_id: &str, begin: u64, outcome: Outcome) -> Attempt {
    let op = Operation::NatsPublish { stream: "S".into(), subject: "s.a".into(), msg_id: msg_id.into() };
    let reply = (outcome == Outcome::Ok).then_some(Reply::NatsPublish { sequence: begin, duplicate: false });
    attempt(op, begin, Some(begin + 5), outcome, reply)
}

/// The same, acknowledged as one that is there already.
pub fn publish_again(msg_id: &str, begin: u64) -> Attempt {
    let reply = Some(Reply::NatsPublish { sequence: begin, duplicate: true });
    Attempt { reply, ..publish(msg_id, begin, Outcome::Ok) }
}

pub fn submit(name: &str, job: &str, begin: u64, outcome: Outcome) -> Attempt {
    let reply = (outcome == Outcome::Ok).then_some(Reply::JobSubmit { job: job.into() });
    attempt(Operation::JobSubmit { name: name.into() }, begin, Some(begin + 5), outcome, reply)
}

pub fn value(key: &str, value: Option<&str>) -> Observation {
    Observation::RedisValue { key: key.into(), value: value.map(Into::into) }
}

pub fn message(sequence: u64, msg_id: &str) -> Observation {
    Observation::NatsMessage { stream: "S".into(), sequence, msg_id: msg_id.into() }
}

pub fn job(job: &str, state: Option<&str>, terminal: bool, ends: u32) -> Observation {
    Observation::JobState { job: job.into(), state: state.map(Into::into), terminal, ends }
}

/// A history whose dump was read to its end.
pub fn history(attempts: Vec<Attempt>, mut observations: Vec<Observation>, dump: Dump) -> History {
    observations.push(Observation::DumpComplete { dump, count: observations.len() as u64 });
    History { attempts, observations }
}

pub fn stream() -> Dump {
    Dump::Nats { stream: "S".into() }
}
