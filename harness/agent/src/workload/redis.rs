//! Unique values under unique keys, on every shard of a Redis Cluster (or on a single server).
//!
//! Every shard has workers of its own, so that one that is down does not keep the others from being measured. Workers
//! that write plainly and workers that follow each write by `WAIT` are apart.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use gauntlet_core::history::{Operation, Outcome, Reply, SLOTS, slot_of};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio_util::sync::CancellationToken;

use super::config::{Config, RedisConfig};
use super::recorder::{Completion, Recorder};
use super::redis_dump;
use super::router::Router;
use super::runner::Workers;
use crate::lifecycle;
use crate::redis_link::{RedisSettings, Timeouts};
use crate::standin::env;

/// How often one write may be sent on to another node.
const REDIRECTS: u32 = 3;

pub struct RedisWorkload {
    router: Router,
    is_cluster: bool,
    config: RedisConfig,
    pause: Duration,
    op_timeout: Duration,
    verify_timeout: Duration,
}

impl RedisWorkload {
    /// Takes the servers from the environment.
    ///
    /// # Errors
    /// Bad settings.
    pub fn new(config: &Config) -> Result<Self> {
        let settings = RedisSettings::from_env(env)?;
        ensure!(
            config.redis.wait_ms < config.op_timeout_ms,
            "redis.wait_ms ({}) must be below op_timeout_ms ({}), or every WAIT that is not met times out",
            config.redis.wait_ms,
            config.op_timeout_ms
        );
        let timeouts = Timeouts { connect: config.op_timeout(), response: config.op_timeout() };
        Ok(Self {
            is_cluster: settings.is_cluster(),
            router: Router::new(settings, timeouts),
            config: config.redis.clone(),
            pause: config.pause(),
            op_timeout: config.op_timeout(),
            verify_timeout: config.verify_timeout(),
        })
    }

    /// Waits until every slot has an owner, then starts the workers.
    ///
    /// # Errors
    /// Not in time.
    pub async fn start(
        self: Arc<Self>,
        recorder: Arc<Recorder>,
        running: CancellationToken,
        timeout: Duration,
    ) -> Result<Workers> {
        lifecycle::reach("redis", timeout, &running, || async {
            self.router.refresh().await?;
            let covered = self.router.map().covered();
            ensure!(covered >= usize::from(SLOTS), "{covered} of {SLOTS} slots have an owner");
            Ok(())
        })
        .await?;
        tokio::spawn(self.router.clone().follow(running.clone()));
        let mut workers = Workers::new();
        let mut process = 0;
        for (owner, slots) in self.router.map().shards() {
            let group = if self.is_cluster { format!("shard of {owner}") } else { "redis".to_owned() };
            let kinds =
                [(self.config.plain_workers, None), (self.config.wait_workers, Some(self.config.wait_replicas))];
            for (count, wait) in kinds {
                for _ in 0..count {
                    let writer = Writer {
                        workload: self.clone(),
                        recorder: recorder.clone(),
                        process,
                        group: group.clone(),
                        slots: slots.clone(),
                        wait,
                        written: 0,
                        connection: None,
                    };
                    workers.spawn(writer.run(running.clone()));
                    process += 1;
                }
            }
        }
        Ok(workers)
    }

    /// Reads back every key that was ever written.
    ///
    /// # Errors
    /// Not all of them could be read in time.
    pub async fn verify(&self, recorder: &Recorder) -> Result<()> {
        redis_dump::dump(&self.router, &self.config.prefix, recorder, self.verify_timeout).await
    }
}

/// One sequential worker, on one shard.
struct Writer {
    workload: Arc<RedisWorkload>,
    recorder: Arc<Recorder>,
    process: u32,
    group: String,
    slots: Vec<(u16, u16)>,
    wait: Option<u32>,
    written: u64,
    connection: Option<(String, MultiplexedConnection)>,
}

impl Writer {
    async fn run(mut self, running: CancellationToken) -> Result<()> {
        while !running.is_cancelled() {
            let (key, value) = self.next();
            let op = Operation::RedisWrite { key: key.clone(), value: value.clone(), wait: self.wait };
            let id = self.recorder.invoke(self.process, &self.group, op)?;
            let completion = self.write(&key, &value).await;
            self.recorder.complete(id, completion)?;
            tokio::time::sleep(self.workload.pause).await;
        }
        Ok(())
    }

    /// The next key of this shard that was never used.
    fn next(&mut self) -> (String, String) {
        loop {
            self.written += 1;
            let unique = format!("{}:{}:{}", self.recorder.client(), self.process, self.written);
            let key = format!("{}:{unique}", self.workload.config.prefix);
            let slot = slot_of(&key);
            if self.slots.iter().any(|(from, to)| (*from..=*to).contains(&slot)) {
                return (key, format!("v:{unique}"));
            }
        }
    }

    async fn write(&mut self, key: &str, value: &str) -> Completion {
        let slot = slot_of(key);
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors().cmd("SET").arg(key).arg(value);
        if let Some(replicas) = self.wait {
            pipeline.cmd("WAIT").arg(replicas).arg(self.workload.config.wait_ms);
        }
        let mut owner = self.workload.router.owner(slot);
        for _ in 0..=REDIRECTS {
            let Some(node) = owner else { return Completion::failed(format!("nobody owns slot {slot}")) };
            match self.attempt(&node, &pipeline).await {
                Attempt::Done(completion) => return completion,
                Attempt::Moved(to) => owner = Some(to),
            }
        }
        Completion::failed(format!("sent on more than {REDIRECTS} times"))
    }

    async fn attempt(&mut self, node: &str, pipeline: &Pipeline) -> Attempt {
        if let Err(error) = self.connect(node).await {
            self.workload.router.mark_stale();
            // Connecting failed, so the write never left.
            return Attempt::Done(Completion::failed(format!("{error:#}")));
        }
        let Some((_, connection)) = &mut self.connection else {
            return Attempt::Done(Completion::failed("no connection"));
        };
        let sent = connection.req_packed_commands(pipeline, 0, pipeline.len());
        let answer = match tokio::time::timeout(self.workload.op_timeout, sent).await {
            Ok(Ok(values)) => judge(values),
            Ok(Err(error)) => Attempt::Done(Completion::unknown(error.to_string())),
            Err(_) => Attempt::Done(Completion::unknown(format!("{node} gave no answer in time"))),
        };
        match &answer {
            Attempt::Done(completion) if completion.outcome == Outcome::Ok => {}
            // An answer that is a refusal came over a connection that works.
            Attempt::Moved(_) => self.workload.router.mark_stale(),
            Attempt::Done(completion) => {
                self.workload.router.mark_stale();
                if completion.outcome == Outcome::Unknown {
                    self.connection = None;
                }
            }
        }
        answer
    }

    async fn connect(&mut self, node: &str) -> Result<()> {
        if self.connection.as_ref().is_none_or(|(to, _)| to != node) {
            self.connection = None;
            self.connection = Some((node.to_owned(), self.workload.router.connect(node).await?));
        }
        Ok(())
    }
}

enum Attempt {
    Done(Completion),
    Moved(String),
}

/// What the answers to `SET` and perhaps `WAIT` amount to.
fn judge(values: Vec<Value>) -> Attempt {
    let mut values = values.into_iter().map(Value::extract_error);
    match values.next() {
        Some(Ok(Value::Okay)) => {
            let replicas = match values.next() {
                Some(Ok(Value::Int(replicas))) => u32::try_from(replicas).ok(),
                _ => None,
            };
            Attempt::Done(Completion::ok(Reply::RedisWrite { replicas }))
        }
        Some(Err(error)) => refused(&error),
        other => Attempt::Done(Completion::unknown(format!("redis answered {}", shape(other.as_ref())))),
    }
}

fn refused(error: &RedisError) -> Attempt {
    match (error.kind(), error.redirect_node()) {
        (ErrorKind::Server(ServerErrorKind::Moved), Some((node, _))) => Attempt::Moved(node.to_owned()),
        // The server said that it did not do it.
        (ErrorKind::Server(_) | ErrorKind::Extension, _) => Attempt::Done(Completion::failed(error.to_string())),
        _ => Attempt::Done(Completion::unknown(error.to_string())),
    }
}

fn shape(value: Option<&RedisResult<Value>>) -> &'static str {
    match value {
        None => "nothing",
        Some(_) => "something other than OK",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_error(text: &str) -> Value {
        redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap()
    }

    fn outcome(values: Vec<Value>) -> Outcome {
        match judge(values) {
            Attempt::Done(completion) => completion.outcome,
            Attempt::Moved(to) => panic!("moved to {to}"),
        }
    }

    #[test]
    fn refusal_by_the_server_is_a_failure() {
        for text in
            ["CLUSTERDOWN The cluster is down", "READONLY You can't write", "NOREPLICAS Not enough good replicas"]
        {
            assert_eq!(outcome(vec![server_error(text), Value::Int(0)]), Outcome::Failed, "{text}");
        }
    }

    #[test]
    fn moved_is_followed() {
        assert!(matches!(judge(vec![server_error("MOVED 7 b.svc:6379")]), Attempt::Moved(to) if to == "b.svc:6379"));
    }

    #[test]
    fn replicas_are_those_that_answered_wait() {
        let done = judge(vec![Value::Okay, Value::Int(1)]);
        assert!(matches!(done, Attempt::Done(Completion { reply: Some(Reply::RedisWrite { replicas: Some(1) }), .. })));
    }

    #[test]
    fn anything_else_is_unknown() {
        assert_eq!(outcome(vec![Value::Nil]), Outcome::Unknown);
        assert_eq!(outcome(vec![]), Outcome::Unknown);
    }
}
