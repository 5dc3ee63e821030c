//! `agent node`: powers over the pods of one node that the Kubernetes API does not give, for whoever renews the lease.
//!
//! - [`processes`]: which processes are whose; [`hold`]: containers that are kept down
//! - [`traffic`]: faults in the networks of pods; [`netns`]: the way into those networks
//!
//! It needs to see the node's processes and to signal them, so that it runs privileged. When nobody has asked for
//! anything for the length of its lease, or when it is told to end, everything is undone; what an instance that died has
//! left is undone by the next before it answers anybody.

mod hold;
mod netns;
mod processes;
mod traffic;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use gauntlet_core::node_agent::{Answer, Request};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::lifecycle;
use hold::Holds;
use traffic::Faults;

/// Between two looks for processes that were started in a container that is held: shorter than a program takes to
/// begin its work.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Subcommand)]
pub enum NodeCommand {
    /// Serve until told to end.
    Serve(ServeArgs),
    /// Ask the agent of this node something; print its answer.
    Ask {
        /// The request, as JSON.
        request: String,
        #[arg(long, default_value = SOCKET)]
        socket: PathBuf,
    },
}

#[derive(Args)]
pub struct ServeArgs {
    #[arg(long, default_value = SOCKET)]
    socket: PathBuf,
    /// What must survive a restart of this program is written here.
    #[arg(long, default_value = "/run/gauntlet/held.json")]
    held: PathBuf,
    /// Everything is undone when nobody asks for anything for this many seconds.
    #[arg(long, default_value_t = 30)]
    lease_seconds: u64,
    /// The run that asks: what is left by its own agents only is undone at the start.
    #[arg(long)]
    run: String,
    /// Where the node's processes are seen.
    #[arg(long, default_value = "/proc")]
    proc: PathBuf,
}

const SOCKET: &str = "/run/gauntlet/node.sock";

impl NodeCommand {
    pub fn serves(&self) -> bool {
        matches!(self, Self::Serve(_))
    }
}

/// # Errors
/// The agent cannot serve, or cannot be asked.
pub async fn run(command: NodeCommand) -> Result<()> {
    match command {
        NodeCommand::Serve(args) => serve(args).await,
        NodeCommand::Ask { request, socket } => ask(&socket, &request).await,
    }
}

async fn ask(socket: &Path, request: &str) -> Result<()> {
    let stream = UnixStream::connect(socket).await;
    let mut stream = stream.with_context(|| format!("no agent serves on {}", socket.display()))?;
    stream.write_all(format!("{request}\n").as_bytes()).await.context("the agent does not listen")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await.context("the agent does not answer")?;
    if answer.is_empty() {
        bail!("the agent ended before it answered");
    }
    print!("{answer}");
    Ok(())
}

async fn serve(args: ServeArgs) -> Result<()> {
    let shutdown = lifecycle::shutdown_on_signal()?;
    let node = Arc::new(Node::new(&args)?);
    node.undo_what_was_left();
    // One that died has left its socket.
    let _ = std::fs::remove_file(&args.socket);
    let listener = UnixListener::bind(&args.socket);
    let listener = listener.with_context(|| format!("cannot listen on {}", args.socket.display()))?;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tracing::info!(lease = args.lease_seconds, "serving");
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = look.tick() => node.look(),
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("cannot be asked any more")?;
                let node = node.clone();
                tokio::spawn(async move {
                    if let Err(error) = node.answer(stream).await {
                        tracing::warn!(error = format!("{error:#}"), "an answer was not given");
                    }
                });
            }
        }
    }
    node.undo("told to end");
    let _ = std::fs::remove_file(&args.socket);
    Ok(())
}

/// What is in effect on this node.
struct Node {
    proc: PathBuf,
    holds: Mutex<Holds>,
    faults: Mutex<Faults>,
    lease: Duration,
    /// When the lease was last renewed.
    heard: Mutex<Instant>,
}

impl Node {
    fn new(args: &ServeArgs) -> Result<Self> {
        for file in [&args.socket, &args.held] {
            let folder = file.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(Self {
            proc: args.proc.clone(),
            holds: Mutex::new(Holds::new(args.held.clone())),
            faults: Mutex::new(Faults::of(&args.run)?),
            lease: Duration::from_secs(args.lease_seconds),
            heard: Mutex::new(Instant::now()),
        })
    }

    /// Of an instance that died.
    fn undo_what_was_left(&self) {
        lock(&self.holds).take_up(&self.proc);
        let left = lock(&self.faults).remove_left(&self.proc);
        if let Err(error) = left {
            tracing::warn!(error = format!("{error:#}"), "faults of the traffic may be left");
        }
        self.undo("left by an instance that died");
    }

    fn look(&self) {
        lock(&self.holds).still(&self.proc);
        if lock(&self.heard).elapsed() > self.lease {
            self.undo("the lease has run out");
            *lock(&self.heard) = Instant::now();
        }
    }

    fn undo(&self, why: &str) {
        let released = lock(&self.holds).release_all(&self.proc);
        let removed = lock(&self.faults).remove_all();
        if released + removed > 0 {
            tracing::info!(why, released, removed, "everything is undone");
        }
    }

    async fn answer(self: Arc<Self>, stream: UnixStream) -> Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).await.context("the request could not be read")?;
        let answer = match serde_json::from_str::<Request>(&line) {
            Err(error) => Answer::Failed(format!("the request cannot be understood: {error}")),
            Ok(request) => {
                *lock(&self.heard) = Instant::now();
                // Signals, namespaces and nft block, and connections are waited for.
                let done = tokio::task::spawn_blocking(move || self.does(request)).await.context("it broke")?;
                done.unwrap_or_else(|error| Answer::Failed(format!("{error:#}")))
            }
        };
        let answer = serde_json::to_string(&answer).context("the answer cannot be written")?;
        writer.write_all(format!("{answer}\n").as_bytes()).await.context("the asker is gone")
    }

    fn does(&self, request: Request) -> Result<Answer> {
        match request {
            Request::Renew => {}
            Request::Hold(container) => lock(&self.holds).hold(&self.proc, container)?,
            Request::Release(container) => {
                let ran = lock(&self.holds).release(&self.proc, &container)?;
                return Ok(ran.map_or(Answer::NotInEffect, |ran| Answer::Released { ran_ms: millis(ran) }));
            }
            Request::Look(container) => return Ok(hold::processes(&self.proc, &container)),
            Request::Disturb { id, rules } => lock(&self.faults).put(&self.proc, &id, rules)?,
            Request::Restore { id } => return lock(&self.faults).remove(&id).map(undone),
            Request::Count { id } => return lock(&self.faults).count(&id),
            Request::Network => return netns::told_of_node(&self.proc).map(Answer::Text),
            Request::Dial { pod, address, within_ms } => {
                let to: SocketAddr = address.parse().with_context(|| format!("{address} is no address with a port"))?;
                let network = netns::of_pod(&self.proc, &pod)?;
                return network.dial(to, Duration::from_millis(within_ms)).map(Answer::Dialled);
            }
        }
        Ok(Answer::Done)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn undone(was_in_effect: bool) -> Answer {
    if was_in_effect { Answer::Done } else { Answer::NotInEffect }
}

/// What a thread that broke has left is as good as any: undoing goes by what is seen on the node.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
