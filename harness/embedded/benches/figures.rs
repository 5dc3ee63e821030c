//! How fast a cluster is, against what is wanted of it: `cargo bench -p gauntlet-embedded [-- NAME…]`.
//!
//! Prints figures and judges nothing: they depend on the machine. Needs root, `runc` and `nft`.

// Tests use more of it.
#[allow(dead_code)]
#[path = "../tests/support/client.rs"]
mod client;

use std::error::Error;
use std::time::{Duration, Instant};

use client::Client;
use futures::future::try_join_all;
use gauntlet_embedded::{Config, Handle, launch};
use serde_json::{Value, json};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const DEADLINE: Duration = Duration::from_secs(120);
const IMAGE: &str = "registry.k8s.io/pause:3.10";

fn main() -> Result<()> {
    gauntlet_embedded::dispatch();
    // `cargo bench` adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let state = tempfile::tempdir()?;
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()));
    println!("{:<44} {:>12} {:>12} {:>7}", "figure", "measured", "target", "ratio");
    if is_wanted("ready") {
        runtime.block_on(ready(&config(&state)))?;
    }
    if is_wanted("objects") {
        runtime.block_on(with_cluster(&config(&state), objects))?;
    }
    if is_wanted("pods") {
        runtime.block_on(with_cluster(&config(&state), pods))?;
    }
    Ok(())
}

fn config(state: &tempfile::TempDir) -> Config {
    Config { state_dir: state.path().to_owned(), ..Config::new("figures", 4) }
}

/// Runs a benchmark on a new cluster, which is ended also when it fails.
async fn with_cluster<F>(config: &Config, bench: impl FnOnce(Client, i32) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let cluster = launch(config.clone(), DEADLINE).await?;
    let result = match Client::new(cluster.kubeconfig()).await {
        Ok(client) => bench(client, cluster.info().pid).await,
        Err(error) => Err(error),
    };
    end(cluster).await?;
    result
}

async fn end(cluster: Handle) -> Result<()> {
    Ok(cluster.stop(DEADLINE).await?)
}

/// From the launch to the first answer of the API.
async fn ready(config: &Config) -> Result<()> {
    let (mut started, mut ended) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let start = Instant::now();
        let cluster = launch(config.clone(), DEADLINE).await?;
        let client = Client::new(cluster.kubeconfig()).await?;
        client.get("/readyz").await?;
        started.push(start.elapsed());
        let start = Instant::now();
        end(cluster).await?;
        ended.push(start.elapsed());
    }
    time("launch until the API answers", &median(&mut started), Some(Duration::from_secs(1)));
    time("end of an empty cluster", &median(&mut ended), None);
    Ok(())
}

/// Lists and watches among 1,000 objects.
async fn objects(client: Client, server: i32) -> Result<()> {
    const COUNT: usize = 1000;
    const PATH: &str = "/api/v1/namespaces/default/configmaps";
    let object = |name: String| json!({"metadata": {"name": name}, "data": {"key": "value".repeat(20)}});
    let start = Instant::now();
    for chunk in (0..COUNT).collect::<Vec<_>>().chunks(50) {
        try_join_all(chunk.iter().map(|n| client.post(PATH, object(format!("object-{n}"))))).await?;
    }
    time("create one of 1,000 objects, 50 at a time", &(start.elapsed() / 1000), None);
    let mut listed = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        let list = client.get(PATH).await?;
        listed.push(start.elapsed());
        let items = list["items"].as_array().map_or(0, Vec::len);
        if items < COUNT {
            return Err(format!("{items} of {COUNT} objects were listed").into());
        }
    }
    time("list 1,000 objects", &median(&mut listed), None);
    let mut seen = Vec::new();
    let mut events = client.watch(PATH).await?;
    for n in 0..50 {
        let start = Instant::now();
        let name = format!("watched-{n}");
        client.post(PATH, object(name.clone())).await?;
        while events.next().await?["object"]["metadata"]["name"] != *name {}
        seen.push(start.elapsed());
    }
    time("create until a watch shows it", &median(&mut seen), None);
    memory("server's memory with 1,000 objects", server, None)
}

/// Pods that await nothing.
async fn pods(client: Client, server: i32) -> Result<()> {
    const PATH: &str = "/api/v1/namespaces/default/pods";
    let mut single = Vec::new();
    for n in 0..10 {
        let name = format!("single-{n}");
        let mut events = client.watch(PATH).await?;
        let start = Instant::now();
        client.post(PATH, pod(&name)).await?;
        loop {
            let event = events.next().await?;
            if event["object"]["metadata"]["name"] == *name && event["object"]["status"]["phase"] == "Running" {
                break;
            }
        }
        single.push(start.elapsed());
        client.delete(&format!("{PATH}/{name}")).await?;
    }
    time("one pod, create until running", &median(&mut single), Some(Duration::from_millis(300)));
    let mut events = client.watch(PATH).await?;
    let start = Instant::now();
    try_join_all((0..50).map(|n| client.post(PATH, pod(&format!("many-{n}"))))).await?;
    let mut running = std::collections::BTreeSet::new();
    while running.len() < 50 {
        let event = events.next().await?;
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
        if name.starts_with("many-") && event["object"]["status"]["phase"] == "Running" {
            running.insert(name.to_owned());
        }
    }
    time("50 pods at once on 4 nodes, until running", &start.elapsed(), Some(Duration::from_secs(5)));
    memory("server's memory with 50 pods", server, Some(150))
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": IMAGE}], "terminationGracePeriodSeconds": 0},
    })
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn time(what: &str, measured: &Duration, target: Option<Duration>) {
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    line(what, millis(*measured), target.map(|target| (millis(target), measured.as_secs_f64() / target.as_secs_f64())));
}

/// Resident memory of a process, in MiB.
fn memory(what: &str, pid: i32, target: Option<u32>) -> Result<()> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line_of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB"));
    let kib: f64 = line_of("VmRSS:").ok_or("the process has no VmRSS")?.trim().parse()?;
    let mib = kib / 1024.0;
    line(what, format!("{mib:.1} MiB"), target.map(|target| (format!("{target} MiB"), mib / f64::from(target))));
    Ok(())
}

fn line(what: &str, measured: String, target: Option<(String, f64)>) {
    let (target, ratio) = target.map_or(("-".into(), "-".into()), |(target, ratio)| (target, format!("{ratio:.2}")));
    println!("{what:<44} {measured:>12} {target:>12} {ratio:>7}");
}
