//! How fast a bundled system comes up and a node is drained: `cargo bench -p scenarios [-- SYSTEM]`.
//!
//! - Until steady, against the floor that the manifests' own probes set: a store is ready no sooner than its probes say,
//!   and services, which need their stores, take their own probes' time after that. A probe's time is its initial delay
//!   and one period, since nothing answers at the very start.
//! - A drain as the scenarios do it, against `kubectl drain` on the same cluster. Each drains the worker that has the most
//!   pods at that moment, since pods do not move back.
//!
//! Prints figures and judges nothing: they depend on the machine. Needs what `gauntlet run` needs.

use gauntlet_cluster::evidence::Bounds;
use gauntlet_cluster::progress::Quiet;
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::{nodes, ready};
use gauntlet_core::contract::Deployment;
use gauntlet_core::event::{Consumer, Event, Record, Stage};
use gauntlet_core::{Contract, Redactor};
use gauntlet_embedded::config::Paths;
use gauntlet_engine::bus::Bus;
use gauntlet_engine::evidence::Collector;
use gauntlet_engine::setup::{Deployed, Order, System};
use scenarios::systems;
use serde_json::Value;
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const CLUSTER: &str = "figures";
const WORKERS: u8 = 4;
const DRAINS: usize = 3;
const DRAINED_WITHIN: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    // This program is the cluster's server and the agent inside it too.
    gauntlet_embedded::dispatch();
    if let Some(arguments) = gauntlet_agent::asked() {
        return gauntlet_agent::dispatch(arguments);
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    // `cargo bench` adds `--bench`.
    let system = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    match tokio::runtime::Runtime::new()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(bench(system.as_deref().unwrap_or("cordum"))))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(name: &str) -> Result<()> {
    let found = systems::load(name)?;
    let overlay = found.contract.deployment(None).ok_or("no default overlay")?.overlay_name.to_owned();
    let system = System { contract: Arc::new(found.contract), folder: found.folder, overlay, mutant: None };
    let objects = system.render().await?.objects;
    let directory = tempfile::tempdir()?;
    let provider = Embedded { state_dir: directory.path().to_owned() };
    let stages = Stages::default();
    let bus = Bus::start(&directory.path().join("events.jsonl"), vec![Box::new(stages.clone())], Redactor::default())?;
    let emitter = bus.emitter();
    let folder = directory.path().to_owned();
    let bounds = Bounds::of_bytes(1 << 20);
    let (secrets, run) = (Redactor::default(), CLUSTER.to_owned());
    let collector = Collector::new(emitter.clone(), secrets, system.clone(), run, folder, bounds);
    let order = Order {
        provider: &provider,
        system: &system,
        objects: &objects,
        collector: &collector,
        run: CLUSTER,
        emitter: &emitter,
        evidence: std::path::Path::new("evidence"),
        interrupted: &CancellationToken::new(),
    };
    let images = system.contract.images.clone();
    let wanted = Wanted { images, ..Wanted::bare(CLUSTER, WORKERS) };
    let deployed = order.deploy(wanted).await.map_err(|failed| failed.trouble)?;
    drop((emitter, collector));
    bus.close();
    println!("{:<44} {:>12} {:>12} {:>7}", "figure", "measured", "against", "ratio");
    line(&format!("{name} {} until steady", system.overlay), stages.took(), floor(&objects));
    let kubeconfig = Paths::new(directory.path(), CLUSTER).kubeconfig();
    let drained = drains(&system.contract, &system.overlay, &deployed, &kubeconfig).await;
    deployed.cluster.shutdown().await?;
    drained
}

async fn drains(contract: &Contract, overlay: &str, deployed: &Deployed, kubeconfig: &Path) -> Result<()> {
    let deployment = contract.deployment(Some(overlay)).ok_or("the overlay is gone")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..DRAINS {
        for by_kubectl in [false, true] {
            let node = fullest(deployed).ok_or("no worker has pods")?;
            let start = Instant::now();
            if by_kubectl {
                kubectl_drain(kubeconfig, &node)?;
            } else {
                nodes::cordon(deployed.cluster.access(), &node).await?;
                nodes::empty(deployed.cluster.access(), &deployed.view, &node, DRAINED_WITHIN, &Quiet).await?;
            }
            if by_kubectl { &mut theirs } else { &mut ours }.push(start.elapsed());
            nodes::uncordon(deployed.cluster.access(), &node).await?;
            steady(contract, deployment, deployed).await?;
        }
    }
    line("drain of a node, against kubectl drain", median(&mut ours), median(&mut theirs));
    Ok(())
}

/// The worker with the most pods that a drain would evict.
fn fullest(deployed: &Deployed) -> Option<String> {
    let pods = deployed.view.snapshot().pods;
    let on = |node: &str| {
        let here = |pod: &&Arc<_>| running_on(pod).is_some_and(|at| at == node);
        pods.iter().filter(here).count()
    };
    let workers = deployed.cluster.workers().iter();
    workers.map(|node| (on(node), node)).filter(|(count, _)| *count > 0).max().map(|(_, node)| node.clone())
}

fn running_on(pod: &Arc<k8s_openapi::api::core::v1::Pod>) -> Option<&str> {
    if ready::is_finished(pod) { None } else { pod.spec.as_ref()?.node_name.as_deref() }
}

fn kubectl_drain(kubeconfig: &Path, node: &str) -> Result<()> {
    let seconds = DRAINED_WITHIN.as_secs();
    let ended = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force"])
        .arg(format!("--timeout={seconds}s"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    if ended.status.success() {
        return Ok(());
    }
    Err(format!("kubectl drain {node} failed: {}", String::from_utf8_lossy(&ended.stderr)).into())
}

async fn steady(contract: &Contract, deployment: Deployment<'_>, deployed: &Deployed) -> Result<()> {
    let within = contract.steady_state.within.0;
    let condition = |snapshot: &gauntlet_cluster::view::Snapshot| match ready::lacking(deployment, snapshot) {
        lacking if lacking.is_empty() => Ok(()),
        lacking => Err(lacking.join("; ")),
    };
    Ok(deployed.view.until("the steady state", within, &Quiet, condition).await?)
}

/// Adds up how long applying and becoming steady took.
#[derive(Clone, Default)]
struct Stages(Arc<Mutex<Duration>>);

impl Stages {
    fn took(&self) -> Duration {
        *self.0.lock().expect("nobody panics while holding it")
    }
}

impl Consumer for Stages {
    fn consume(&mut self, record: &Record) {
        if let Event::StageFinished { stage: Stage::Apply | Stage::SteadyState, took_ms } = &record.event {
            *self.0.lock().expect("nobody panics while holding it") += Duration::from_millis(*took_ms);
        }
    }
}

/// The soonest that the probes of these objects let them be steady.
fn floor(objects: &[Value]) -> Duration {
    let slowest = |kind: &str| {
        let workloads = objects.iter().filter(|object| object["kind"] == *kind);
        workloads.map(floor_of).max().unwrap_or_default()
    };
    slowest("StatefulSet") + slowest("Deployment")
}

fn floor_of(workload: &Value) -> Duration {
    let containers = workload.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let probe = |container: &Value, name: &str| {
        let Some(probe) = container.get(name).filter(|probe| probe.is_object()) else { return Duration::ZERO };
        // The defaults of the API.
        let seconds = |key: &str, default: u64| probe.get(key).and_then(Value::as_u64).unwrap_or(default);
        Duration::from_secs(seconds("initialDelaySeconds", 0) + seconds("periodSeconds", 10))
    };
    let container = |container: &Value| probe(container, "startupProbe") + probe(container, "readinessProbe");
    let pod = containers.into_iter().flatten().map(container).max().unwrap_or_default();
    let in_order = workload["kind"] == "StatefulSet" && workload["spec"]["podManagementPolicy"] != "Parallel";
    let rounds = workload.pointer("/spec/replicas").and_then(Value::as_u64).filter(|_| in_order).unwrap_or(1);
    pod * u32::try_from(rounds).unwrap_or(1)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn line(what: &str, measured: Duration, against: Duration) {
    let ratio = measured.as_secs_f64() / against.as_secs_f64();
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    println!("{what:<44} {:>12} {:>12} {ratio:>7.2}", seconds(measured), seconds(against));
}
