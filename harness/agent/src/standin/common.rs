//! What every stand-in needs: settings, its end, its dependencies and its listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_nats::jetstream;
use axum::Router;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::metrics::Metrics;
use crate::nats_link::NatsSettings;
use crate::redis_link::{Link, RedisSettings, Timeouts};
use crate::{http_server, lifecycle};

/// The stream of jobs and the stream of what became of them, with the subjects they take.
pub const JOBS: (&str, &str) = ("CORDUM_JOBS", "job.>");
pub const SYS: (&str, &str) = ("CORDUM_SYS", "sys.>");

/// How often a dependency is looked after, and how long it may take to answer.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// How long a handshake with Redis may take, TLS included, and how long an answer. A loaded machine is slow, and to
/// break off and begin again makes it slower.
const REDIS_CONNECT: Duration = Duration::from_secs(5);
const REDIS_ANSWER: Duration = Duration::from_secs(3);

/// How long JetStream may take to answer, or to acknowledge a message.
const NATS_ANSWER: Duration = Duration::from_secs(3);

pub struct Common {
    /// This instance among its replicas.
    pub instance: String,
    /// Told to end.
    pub shutdown: CancellationToken,
    /// Time to stop serving: a while after `shutdown`.
    pub stop: CancellationToken,
    pub health: Arc<Health>,
    pub metrics: Arc<Metrics>,
    startup: Duration,
}

/// A variable of the process's environment, if it is set and not empty.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A variable that must be there.
///
/// # Errors
/// It is not, or is empty.
pub fn required(name: &str) -> Result<String> {
    match env(name) {
        Some(value) => Ok(value),
        None => bail!("{name} is not set; it is needed (see the Secret that holds it)"),
    }
}

/// A number of milliseconds.
///
/// # Errors
/// The variable is set to something else.
pub fn millis(name: &str, default: u64) -> Result<Duration> {
    let text = env(name);
    let millis = match &text {
        Some(text) => text.parse().with_context(|| format!("{name} is {text:?}, not a number of milliseconds"))?,
        None => default,
    };
    Ok(Duration::from_millis(millis))
}

impl Common {
    /// Reads the settings that all share and listens for TERM.
    ///
    /// # Errors
    /// A malformed setting.
    pub fn from_process() -> Result<Self> {
        let shutdown = lifecycle::shutdown_on_signal()?;
        let drain = millis("DRAIN_MS", 2000)?;
        let stop = CancellationToken::new();
        let (told, stopping) = (shutdown.clone(), stop.clone());
        tokio::spawn(async move {
            told.cancelled().await;
            tokio::time::sleep(drain).await;
            stopping.cancel();
        });
        Ok(Self {
            instance: env("HOSTNAME").unwrap_or_else(|| format!("process-{}", std::process::id())),
            shutdown,
            stop,
            health: Arc::new(Health::new(millis("HEALTH_GRACE_MS", 60_000)?)),
            metrics: Arc::new(Metrics::default()),
            startup: millis("STARTUP_DEADLINE_MS", 60_000)?,
        })
    }

    /// Where to listen: as documented, unless the variable says otherwise.
    ///
    /// # Errors
    /// The variable is no socket address.
    pub fn address(&self, name: &str, port: u16) -> Result<SocketAddr> {
        match env(name) {
            Some(text) => text.parse().with_context(|| format!("{name} is {text:?}, not address:port")),
            None => Ok(SocketAddr::from(([0, 0, 0, 0], port))),
        }
    }

    /// Reaches Redis and goes on watching it.
    ///
    /// # Errors
    /// Not in time, or bad settings.
    pub async fn redis(&self) -> Result<(Link, RedisSettings)> {
        self.redis_as("redis").await
    }

    /// As [`Common::redis`], on a connection of its own, which the health report calls `name`.
    ///
    /// # Errors
    /// As [`Common::redis`].
    pub async fn redis_as(&self, name: &'static str) -> Result<(Link, RedisSettings)> {
        let settings = RedisSettings::from_env(env)?;
        let timeouts = Timeouts { connect: REDIS_CONNECT, response: REDIS_ANSWER };
        let link = lifecycle::reach(name, self.startup, &self.shutdown, || async {
            let mut link = settings.connect(timeouts).await?;
            probe_redis(&mut link).await?;
            Ok::<_, anyhow::Error>(link)
        })
        .await?;
        let watched = link.clone();
        self.watch(name, move || {
            let mut link = watched.clone();
            async move { probe_redis(&mut link).await }
        });
        Ok((link, settings))
    }

    /// Reaches NATS, makes sure that both streams are there, and goes on watching.
    ///
    /// # Errors
    /// Not in time, or bad settings.
    pub async fn jetstream(&self, name: &str) -> Result<jetstream::Context> {
        let settings = NatsSettings::from_env(env)?;
        let js = lifecycle::reach("nats", self.startup, &self.shutdown, || async {
            let client = settings.connect(name).await?;
            let js = jetstream::ContextBuilder::new().timeout(NATS_ANSWER).ack_timeout(NATS_ANSWER).build(client);
            for (stream, subject) in [JOBS, SYS] {
                js.get_or_create_stream(settings.stream(stream, subject))
                    .await
                    .with_context(|| format!("stream {stream} could neither be found nor made"))?;
            }
            Ok::<_, anyhow::Error>(js)
        })
        .await?;
        let watched = js.clone();
        self.watch("nats", move || {
            let js = watched.clone();
            async move {
                js.get_stream(JOBS.0).await.with_context(|| format!("stream {} does not answer", JOBS.0))?;
                Ok(())
            }
        });
        Ok(js)
    }

    /// Asks again and again whether a dependency is usable, and tells the health report.
    pub fn watch<F>(&self, name: &'static str, mut ask: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = Result<()>> + Send,
    {
        let (health, stop) = (self.health.clone(), self.stop.clone());
        health.seen(name, Ok(()));
        tokio::spawn(async move {
            loop {
                let seen = match tokio::time::timeout(WATCH_PERIOD * 5, ask()).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(format!("{error:#}")),
                    Err(_) => Err("no answer".into()),
                };
                health.seen(name, seen);
                tokio::select! {
                    () = tokio::time::sleep(WATCH_PERIOD) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Serves `/metrics` and `/health` next to `router` until it is time to stop.
    ///
    /// # Errors
    /// The port is taken, or the listener breaks.
    pub async fn serve(&self, address: SocketAddr, router: Router) -> Result<()> {
        let listener = http_server::bind(address).await?;
        tracing::info!(%address, "serving HTTP");
        http_server::serve(listener, router, self.stop.clone()).await
    }
}

/// A read that any node's owner must answer: usable, not merely alive.
async fn probe_redis(link: &mut Link) -> Result<()> {
    let config: Option<String> =
        redis::cmd("GET").arg("cfg:system:default").query_async(link).await.context("redis does not answer")?;
    drop(config);
    Ok(())
}
