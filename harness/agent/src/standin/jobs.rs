//! A job and its state in Redis.
//!
//! Every key of a job carries the job's id as hash tag, so that one script on one node changes it atomically. An end
//! is final: the script that ends a job does nothing to one that has ended. In a cluster the end is confirmed by a
//! replica (`WAIT 1`) before the job's message is acknowledged, so that a failover cannot take back an end whose
//! message is gone.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use redis::{FromRedisValue, Value};
use serde::{Deserialize, Serialize};

use crate::redis_link::Link;

/// Where the end of every job is announced.
pub const ENDED_SUBJECT: &str = "sys.job.ended";

/// Jobs that run, by the time they began (milliseconds since the Unix epoch).
pub const RUNNING_INDEX: &str = "cordum:jobs:running";

/// How long a replica may take to have an end, in milliseconds, before the job is put off: it holds up other ends.
const CONFIRM_MS: u64 = 50;

/// What JetStream carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub id: String,
    pub topic: String,
    #[serde(default)]
    pub payload: serde_json::Value,
    pub submitted_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    Pending,
    Running,
    Succeeded,
    Denied,
    Failed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Denied => "DENIED",
            Self::Failed => "FAILED",
        }
    }

    pub fn is_terminal(name: &str) -> bool {
        [Self::Succeeded, Self::Denied, Self::Failed].iter().any(|state| state.name() == name)
    }
}

/// What anybody may ask of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    pub id: String,
    pub state: String,
    /// Every transition in order: `STATE by INSTANCE at MILLISECONDS`.
    pub transitions: Vec<String>,
    /// How many of them were ends.
    pub ends: u32,
}

/// How an attempt to end a job came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The state that the job is in now; of an earlier end, if there was one.
    pub state: String,
    /// Whether this attempt ended it.
    pub by_us: bool,
    /// Whether a replica has it, where replicas are expected.
    pub confirmed: bool,
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

const IS_TERMINAL: &str = "local function terminal(s) return s == 'SUCCEEDED' or s == 'DENIED' or s == 'FAILED' end ";

/// KEYS: job, log. ARGV: log entry. Gives the state.
const BEGIN: &str = "local s = redis.call('HGET', KEYS[1], 'state') \
    if s and terminal(s) then return s end \
    redis.call('HSET', KEYS[1], 'state', 'RUNNING') \
    redis.call('RPUSH', KEYS[2], ARGV[1]) \
    return 'RUNNING'";

/// KEYS: job, log. ARGV: state, log entry. Gives 1 or 0 for whether this ended the job, and the state. Writes in both
/// cases, so that `WAIT` on the same connection speaks of the end.
const END: &str = "local s = redis.call('HGET', KEYS[1], 'state') \
    if s and terminal(s) then redis.call('HINCRBY', KEYS[1], 'confirmations', 1) return {0, s} end \
    redis.call('HSET', KEYS[1], 'state', ARGV[1]) \
    redis.call('HINCRBY', KEYS[1], 'ends', 1) \
    redis.call('RPUSH', KEYS[2], ARGV[2]) \
    return {1, ARGV[1]}";

/// KEYS: lock. ARGV: owner.
const UNLOCK: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// The jobs' states, as one instance of a service sees them.
#[derive(Clone)]
pub struct Jobs {
    link: Link,
    /// `WAIT` holds up what follows it on its connection, so ends have one of their own.
    ends: Link,
    instance: String,
    /// How many replicas must have an end before it counts; none where there are none.
    replicas: u32,
}

impl Jobs {
    pub fn new(link: Link, ends: Link, instance: &str, replicas: u32) -> Self {
        Self { link, ends, instance: instance.into(), replicas }
    }

    /// Notes a job that was accepted, unless more is known of it already.
    ///
    /// # Errors
    /// Redis did not do it.
    pub async fn register(&self, job: &Job) -> Result<()> {
        let mut pipeline = redis::pipe();
        pipeline.hset_nx(key(&job.id), "state", State::Pending.name()).hset_nx(key(&job.id), "topic", &job.topic);
        self.run(&job.id, pipeline).await.map(drop)
    }

    /// Notes that the job begins. Gives its state: `RUNNING`, or how it had ended before.
    ///
    /// # Errors
    /// Redis did not do it, or it is unknown whether it did.
    pub async fn begin(&self, id: &str) -> Result<String> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("EVAL").arg(format!("{IS_TERMINAL}{BEGIN}")).arg(2).arg(key(id)).arg(log_key(id));
        pipeline.arg(self.entry(State::Running));
        let state: String = self.first(id, pipeline).await?;
        if !State::is_terminal(&state) {
            let _: () = redis::cmd("ZADD")
                .arg(RUNNING_INDEX)
                .arg("NX")
                .arg(now_ms())
                .arg(id)
                .query_async(&mut self.link.clone())
                .await
                .context("the index of running jobs could not be written")?;
        }
        Ok(state)
    }

    /// Ends the job, unless it has ended.
    ///
    /// # Errors
    /// Redis did not do it, or it is unknown whether it did: ending again is safe.
    pub async fn end(&self, id: &str, state: State) -> Result<Ended> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("EVAL").arg(format!("{IS_TERMINAL}{END}")).arg(2).arg(key(id)).arg(log_key(id));
        pipeline.arg(state.name()).arg(self.entry(state));
        pipeline.cmd("WAIT").arg(self.replicas).arg(CONFIRM_MS);
        let ended = self.ends.clone().on_owner_of(&key(id), pipeline).await;
        let values = ended.with_context(|| format!("redis failed on the end of job {id}"))?;
        let [ended, replicas] = &values[..] else { bail!("redis gave {} answers to two commands", values.len()) };
        let (by_us, state) = <(u32, String)>::from_redis_value_ref(ended).context("redis answered something else")?;
        let replicas = u32::from_redis_value_ref(replicas).context("redis answered something else to WAIT")?;
        Ok(Ended { state, by_us: by_us == 1, confirmed: replicas >= self.replicas })
    }

    /// Takes the job off the index of running ones; what stays on it by mistake is found by the leader.
    ///
    /// # Errors
    /// Redis did not do it.
    pub async fn unlist(&self, id: &str) -> Result<()> {
        let mut link = self.link.clone();
        redis::cmd("ZREM").arg(RUNNING_INDEX).arg(id).query_async::<()>(&mut link).await.context("not unlisted")
    }

    /// Ids of jobs that began before `before_ms` and are on the index of running ones.
    ///
    /// # Errors
    /// Redis did not answer.
    pub async fn running_since(&self, before_ms: u64) -> Result<Vec<String>> {
        let mut query = redis::cmd("ZRANGEBYSCORE");
        query.arg(RUNNING_INDEX).arg("-inf").arg(before_ms).arg("LIMIT").arg(0).arg(100);
        query.query_async(&mut self.link.clone()).await.context("the index of running jobs could not be read")
    }

    /// Takes the job's lock for `ttl_ms`, so that no other scheduler runs it meanwhile. Gives whether it was free.
    ///
    /// # Errors
    /// Redis did not answer.
    pub async fn lock(&self, id: &str, ttl_ms: u64) -> Result<bool> {
        let mut query = redis::cmd("SET");
        query.arg(lock_key(id)).arg(&self.instance).arg("NX").arg("PX").arg(ttl_ms);
        let taken: Option<String> =
            query.query_async(&mut self.link.clone()).await.context("the job's lock could not be taken")?;
        Ok(taken.is_some())
    }

    /// Gives the lock back; one that is not given back runs out.
    ///
    /// # Errors
    /// Redis did not do it.
    pub async fn unlock(&self, id: &str) -> Result<()> {
        let mut query = redis::cmd("EVAL");
        query.arg(UNLOCK).arg(1).arg(lock_key(id)).arg(&self.instance);
        query.query_async::<()>(&mut self.link.clone()).await.context("the job's lock could not be given back")
    }

    /// The job as Redis knows it.
    ///
    /// # Errors
    /// Redis did not answer.
    pub async fn view(&self, id: &str) -> Result<Option<JobView>> {
        let mut pipeline = redis::pipe();
        pipeline.hmget(key(id), &["state", "ends"]).lrange(log_key(id), 0, -1);
        let values = self.run(id, pipeline).await?;
        let [fields, log] = &values[..] else { bail!("redis gave {} answers to two commands", values.len()) };
        let (state, ends) = <(Option<String>, Option<u32>)>::from_redis_value_ref(fields).context("not a job")?;
        let transitions = Vec::<String>::from_redis_value_ref(log).context("not a job's log")?;
        Ok(state.map(|state| JobView { id: id.into(), state, transitions, ends: ends.unwrap_or(0) }))
    }

    fn entry(&self, state: State) -> String {
        format!("{} by {} at {}", state.name(), self.instance, now_ms())
    }

    async fn first<T: FromRedisValue>(&self, id: &str, pipeline: redis::Pipeline) -> Result<T> {
        let values = self.run(id, pipeline).await?;
        let Some(value) = values.first() else { bail!("redis gave no answer") };
        T::from_redis_value_ref(value).context("redis answered something else")
    }

    async fn run(&self, id: &str, pipeline: redis::Pipeline) -> Result<Vec<Value>> {
        self.link.clone().on_owner_of(&key(id), pipeline).await.with_context(|| format!("redis failed on job {id}"))
    }
}

fn key(id: &str) -> String {
    format!("job:{{{id}}}")
}

fn log_key(id: &str) -> String {
    format!("job:{{{id}}}:log")
}

fn lock_key(id: &str) -> String {
    format!("job:{{{id}}}:lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_terminal_and_nothing_else_is() {
        let terminal = |state: State| State::is_terminal(state.name());
        assert!([State::Succeeded, State::Denied, State::Failed].into_iter().all(terminal));
        assert!(![State::Pending, State::Running].into_iter().any(terminal));
    }
}
