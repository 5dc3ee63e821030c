//! How fast a network matrix is probed: `cargo bench -p scenarios --bench matrix`.
//!
//! 20 pods × 20 pods × 6 ports, where a policy denies everything to half of the pods, so that half of the cells is
//! silence that has to be listened to: all at once, as the scenario does it, against the same cells by one `kubectl exec`
//! each. Of the latter a sample is measured, and the rest extrapolated from it.
//!
//! Prints figures and judges nothing: they depend on the machine. Needs what `gauntlet run` needs, and `kubectl`.

use gauntlet_cluster::probe::Target;
use gauntlet_cluster::progress::Quiet;
use gauntlet_cluster::provider::Wanted;
use gauntlet_cluster::provider::embedded::Embedded;
use gauntlet_cluster::view::{Snapshot, View};
use gauntlet_cluster::{Cluster, Provider, apply};
use gauntlet_core::contract::model::Labels;
use gauntlet_core::contract::network::Protocol;
use gauntlet_core::matrix::Seen;
use scenarios::network::members::{self, Member, Place, Role};
use scenarios::network::parties;
use scenarios::network::plan::Who;
use scenarios::network::rounds::{self, Wanted as Cells};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const NAMESPACE: &str = "matrix";
const PODS: usize = 20;
const PORTS: [u16; 6] = [7001, 7002, 7003, 7004, 7005, 7006];
const PATIENCE: Duration = Duration::from_secs(3);
const RUNNING_WITHIN: Duration = Duration::from_secs(180);
/// Cells that are probed one at a time.
const SAMPLE: usize = 24;

fn main() -> ExitCode {
    // This program is the cluster's server and the agent inside it too.
    gauntlet_embedded::dispatch();
    if let Some(arguments) = gauntlet_agent::asked() {
        return gauntlet_agent::dispatch(arguments);
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    match tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(bench())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn bench() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let provider = Embedded { state_dir: directory.path().to_owned() };
    let cluster = provider.launch(Wanted::bare(NAMESPACE, 3)).await?;
    let measured = measure(cluster.as_ref()).await;
    cluster.shutdown().await?;
    measured
}

async fn measure(cluster: &dyn Cluster) -> Result<()> {
    let members = place(cluster).await?;
    let mut cells = Cells::new();
    for prober in 0..members.len() {
        let targets = members.iter().flat_map(|to| PORTS.map(|port| Target::new(&to.address, port, Protocol::Tcp)));
        cells.entry(prober).or_default().extend(targets);
    }
    let count: usize = cells.values().map(std::collections::BTreeSet::len).sum();
    let start = Instant::now();
    let round = rounds::ask(cluster.access(), &members, &cells, PATIENCE).await;
    let at_once = start.elapsed();
    if let Some(trouble) = round.troubles.first() {
        return Err(trouble.clone().into());
    }
    let mut seen: BTreeMap<Seen, usize> = BTreeMap::new();
    round.seen.values().for_each(|seen_there| *seen.entry(*seen_there).or_default() += 1);
    let told: Vec<String> = seen.iter().map(|(seen, n)| format!("{n} {seen}")).collect();
    println!(
        "{PODS} × {PODS} pods × {} ports: {count} cells ({}), silence is listened to for {PATIENCE:?}",
        PORTS.len(),
        told.join(", ")
    );
    println!("all at once: {:.2} s", at_once.as_secs_f64());

    // Evenly over all cells, so that the sample has the same share of silence.
    let all: Vec<(usize, &Target)> =
        cells.iter().flat_map(|(prober, targets)| targets.iter().map(move |target| (*prober, target))).collect();
    let sample: Vec<(usize, &Target)> =
        (0..SAMPLE).map(|n| all[(n * all.len() + n * 7) / SAMPLE % all.len()]).collect();
    let silent = sample.iter().filter(|(prober, target)| round.of(*prober, target) == Seen::Timeout).count();
    let kubeconfig = &cluster.access().kubeconfig;
    let start = Instant::now();
    for (prober, target) in &sample {
        kubectl_exec(kubeconfig, &members[*prober], target)?;
    }
    let each = start.elapsed() / u32::try_from(SAMPLE)?;
    let extrapolated = each * u32::try_from(count)?;
    println!(
        "one `kubectl exec` at a time: {:.2} s a cell over a sample of {SAMPLE} ({silent} silent), which makes {:.0} s for all (extrapolated), {:.0} times as long",
        each.as_secs_f64(),
        extrapolated.as_secs_f64(),
        extrapolated.as_secs_f64() / at_once.as_secs_f64()
    );
    Ok(())
}

async fn place(cluster: &dyn Cluster) -> Result<Vec<Member>> {
    let half =
        |n: usize| Labels::from([("half".to_owned(), if n.is_multiple_of(2) { "open" } else { "denied" }.to_owned())]);
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "half", "namespace": NAMESPACE},
            "spec": {"podSelector": {"matchLabels": {"half": "denied"}}, "policyTypes": ["Ingress"]}}),
    ];
    let name = |n: usize| format!("pod-{n}");
    objects.extend((0..PODS).map(|n| parties::pod(cluster.agent_image(), NAMESPACE, &name(n), &half(n), &PORTS)));
    apply::apply(cluster.access(), "bench", objects).await?;
    let view = View::of(cluster.access());
    let running = |snapshot: &Snapshot| {
        let place = |n| Place::own(Who::Foreign, NAMESPACE, &name(n), Role::Both);
        (0..PODS).map(|n| members::member(snapshot, &place(n))).collect::<Result<Vec<Member>, String>>()
    };
    Ok(view.until("the pods to run", RUNNING_WITHIN, &Quiet, running).await?)
}

fn kubectl_exec(kubeconfig: &std::path::Path, from: &Member, target: &Target) -> Result<()> {
    let ended = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["exec", "-n", &from.namespace, &from.pod, "-c", &from.container, "--", "/gauntlet", "agent", "probe"])
        .arg(format!("--timeout-ms={}", PATIENCE.as_millis()))
        .arg(format!("--tcp={}", target.address))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    if ended.status.success() {
        return Ok(());
    }
    Err(format!("kubectl exec in {} failed: {}", from.pod, String::from_utf8_lossy(&ended.stderr)).into())
}
