//! Clusters come and go, in order or not, and leave nothing: needs root, `runc` and `nft`.
//!
//! Not an ordinary test harness, because the server is this program started again.

mod pods;
mod support;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use embedded_network::address::{DNS_SERVICE, KUBERNETES_SERVICE};
use embedded_network::netns::NetNs;
use gauntlet_embedded::{ClusterStatus, Config, Error, Handle, clean, clean_dead, launch, list, stop};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM};
use nix::unistd::Pid;
use support::host::{Host, eventually};
use support::{DEADLINE, Sandbox};

type Outcome = Result<(), Failed>;

fn main() {
    gauntlet_embedded::dispatch();
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, trials()).exit();
}

fn trials() -> Vec<Trial> {
    vec![
        trial("stopping_leaves_nothing", stopping_leaves_nothing),
        trial("the_api_and_dns_answer_inside_the_cluster", the_api_and_dns_answer_inside_the_cluster),
        trial("sigterm_ends_a_cluster_in_order", sigterm_ends_a_cluster_in_order),
        trial("the_end_of_the_launcher_ends_the_cluster", the_end_of_the_launcher_ends_the_cluster),
        trial("a_launch_given_up_at_any_moment_leaves_nothing", a_launch_given_up_at_any_moment_leaves_nothing),
        trial("a_killed_server_is_cleaned_up_after", a_killed_server_is_cleaned_up_after),
        trial("a_server_without_supervisor_ends", a_server_without_supervisor_ends),
        trial("clean_removes_what_a_killed_cluster_left", clean_removes_what_a_killed_cluster_left),
        trial("nodes_that_stand_still_keep_nothing_alive", nodes_that_stand_still_keep_nothing_alive),
        trial("a_dead_cluster_makes_room_for_its_successor", a_dead_cluster_makes_room_for_its_successor),
        trial("a_detached_cluster_outlives_its_launcher", a_detached_cluster_outlives_its_launcher),
        trial("two_clusters_do_not_disturb_each_other", two_clusters_do_not_disturb_each_other),
        trial("of_two_racing_starts_one_wins", of_two_racing_starts_one_wins),
        trial("a_running_cluster_is_not_cleaned", a_running_cluster_is_not_cleaned),
        trial("a_taken_port_is_refused", a_taken_port_is_refused),
        trial("a_full_disk_is_refused", a_full_disk_is_refused),
        trial("an_unusable_state_directory_is_refused", an_unusable_state_directory_is_refused),
        trial("somebody_who_is_not_root_is_refused", somebody_who_is_not_root_is_refused),
        trial("a_wrong_configuration_is_refused", a_wrong_configuration_is_refused),
    ]
}

fn trial<F: Future<Output = Outcome> + 'static>(name: &str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(test())
    })
}

fn send(signal: Signal, pid: i32) -> Outcome {
    Ok(nix::sys::signal::kill(Pid::from_raw(pid), signal)?)
}

fn supervisor(cluster: &Handle) -> Result<i32, Failed> {
    Ok(cluster.supervisor().ok_or("the supervisor is gone")?.cast_signed())
}

/// Starts a cluster and pods in it.
async fn launch_busy(sandbox: &Sandbox) -> Result<Handle, Failed> {
    let cluster = launch(sandbox.config("a"), DEADLINE).await?;
    let idle = Host::look(sandbox);
    pods::run(cluster.kubeconfig(), &["pause", "redis"]).await?;
    let busy = Host::look(sandbox);
    // Without this, tests that look for what is left could be looking at nothing. Programs that only ran to set up the
    // network may have been seen before.
    let started = busy.processes.difference(&idle.processes).count();
    if started < 2 || busy.cgroups.is_empty() || busy.files.is_empty() {
        return Err(format!("pods run, but nothing is seen of them: {idle:?}, then {busy:?}").into());
    }
    Ok(cluster)
}

async fn stopping_leaves_nothing() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    let cluster = launch_busy(&sandbox).await?;
    Host::look(&sandbox).same_network_as(&before)?;
    cluster.stop(DEADLINE).await?;
    Host::look(&sandbox).same_as(&before)
}

async fn the_api_and_dns_answer_inside_the_cluster() -> Outcome {
    let sandbox = Sandbox::new()?;
    let cluster = launch(sandbox.config("a"), DEADLINE).await?;
    // The namespace is mounted where only the server and its children see it.
    let mounted = sandbox.config("a").paths().network().join("cluster");
    let seen = PathBuf::from(format!("/proc/{}/root{}", cluster.info().pid, mounted.display()));
    let namespace = NetNs::open(&seen)?;
    // The rules of Services follow the API a moment after it is ready.
    for service in [(KUBERNETES_SERVICE, 443), (DNS_SERVICE, 53)] {
        let start = Instant::now();
        while let Err(error) = namespace.connect(service.into()).await {
            if start.elapsed() > DEADLINE {
                return Err(format!("{service:?} is not reached: {error}").into());
            }
        }
    }
    Ok(cluster.stop(DEADLINE).await?)
}

async fn sigterm_ends_a_cluster_in_order() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    let cluster = launch_busy(&sandbox).await?;
    send(SIGTERM, supervisor(&cluster)?)?;
    cluster.ended().await?;
    Host::look(&sandbox).same_as(&before)
}

async fn the_end_of_the_launcher_ends_the_cluster() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    let cluster = launch_busy(&sandbox).await?;
    // As when the process ends: the pipes close, and nobody waits.
    drop(cluster);
    eventually("everything is gone", || Host::look(&sandbox).same_as(&before)).await
}

async fn a_launch_given_up_at_any_moment_leaves_nothing() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    for moment in [0, 2, 4, 8, 16, 32, 64, 128].map(Duration::from_millis) {
        // Either way the handle, or what was to become one, is dropped.
        drop(tokio::time::timeout(moment, launch(sandbox.config("a"), DEADLINE)).await);
        eventually("everything is gone", || Host::look(&sandbox).same_as(&before)).await?;
    }
    Ok(())
}

async fn a_killed_server_is_cleaned_up_after() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    let cluster = launch_busy(&sandbox).await?;
    send(SIGKILL, cluster.info().pid)?;
    let error = cluster.ended().await.err();
    if !matches!(&error, Some(Error::Died { how, .. }) if how.contains("signal 9")) {
        return Err(format!("the death was reported as {error:?}").into());
    }
    Host::look(&sandbox).same_as(&before)
}

async fn a_server_without_supervisor_ends() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    let cluster = launch_busy(&sandbox).await?;
    send(SIGKILL, supervisor(&cluster)?)?;
    eventually("no process is left", || Host::look(&sandbox).same_processes_as(&before)).await?;
    clean(&sandbox.state_dir(), "a")?;
    Host::look(&sandbox).same_as(&before)
}

async fn clean_removes_what_a_killed_cluster_left() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    kill_all(launch_busy(&sandbox).await?).await?;
    let listed = list(&sandbox.state_dir())?;
    if listed.iter().map(|cluster| &cluster.status).ne([&ClusterStatus::Dead]) {
        return Err(format!("a killed cluster is listed as {listed:?}").into());
    }
    let (cleaned, errors) = clean_dead(&sandbox.state_dir());
    if cleaned != ["a"] || !errors.is_empty() {
        return Err(format!("cleaned {cleaned:?} with {errors:?}").into());
    }
    Host::look(&sandbox).same_as(&before)
}

/// Frozen processes end with their cluster, however that ends.
async fn nodes_that_stand_still_keep_nothing_alive() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    for ending in ["in order", "killed server", "killed at once"] {
        let cluster = launch_busy(&sandbox).await?;
        for node in &cluster.info().nodes {
            let freeze = serde_json::json!({"op": "freeze-node", "node": node});
            gauntlet_embedded::admin::request(cluster.admin_socket(), &freeze).await?;
        }
        match ending {
            "in order" => cluster.stop(DEADLINE).await?,
            "killed server" => {
                send(SIGKILL, cluster.info().pid)?;
                drop(tokio::time::timeout(DEADLINE, cluster.ended()).await?);
            }
            _ => {
                kill_all(cluster).await?;
                clean(&sandbox.state_dir(), "a")?;
            }
        }
        Host::look(&sandbox)
            .same_as(&before)
            .map_err(|failed| format!("{ending}: {}", failed.message().unwrap_or_default()))?;
    }
    Ok(())
}

/// Kills supervisor and server at once, and waits until the supervisor is dead.
async fn kill_all(cluster: Handle) -> Outcome {
    send(SIGKILL, supervisor(&cluster)?)?;
    send(SIGKILL, cluster.info().pid)?;
    match cluster.ended().await {
        Err(Error::Died { .. }) => Ok(()),
        other => Err(format!("a killed cluster ended with {other:?}").into()),
    }
}

async fn a_dead_cluster_makes_room_for_its_successor() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    kill_all(launch_busy(&sandbox).await?).await?;
    let cluster = launch(sandbox.config("a"), DEADLINE).await?;
    cluster.stop(DEADLINE).await?;
    Host::look(&sandbox).same_as(&before)
}

async fn a_detached_cluster_outlives_its_launcher() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    let cluster = launch(Config { detached: true, ..sandbox.config("a") }, DEADLINE).await?;
    let info = cluster.info().clone();
    drop(cluster);
    let listed = list(&sandbox.state_dir())?;
    if listed.iter().map(|cluster| &cluster.status).ne([&ClusterStatus::Running(Some(info.clone()))]) {
        return Err(format!("a detached cluster is listed as {listed:?}").into());
    }
    let reply = gauntlet_embedded::admin::request(&info.admin_socket, &serde_json::json!({"op": "info"})).await?;
    if reply["info"] != serde_json::to_value(&info)? {
        return Err(format!("the cluster says {reply} of itself, not {info:?}").into());
    }
    stop(&sandbox.state_dir(), "a", DEADLINE).await?;
    Host::look(&sandbox).same_as(&before)
}

async fn two_clusters_do_not_disturb_each_other() -> Outcome {
    let sandbox = Sandbox::new()?;
    let (a, b) = tokio::join!(launch(sandbox.config("a"), DEADLINE), launch(sandbox.config("b"), DEADLINE));
    let (a, b) = (a?, b?);
    a.stop(DEADLINE).await?;
    gauntlet_embedded::admin::request(b.admin_socket(), &serde_json::json!({"op": "info"})).await?;
    Ok(b.stop(DEADLINE).await?)
}

async fn of_two_racing_starts_one_wins() -> Outcome {
    let sandbox = Sandbox::new()?;
    let before = Host::look(&sandbox);
    let (a, b) = tokio::join!(launch(sandbox.config("a"), DEADLINE), launch(sandbox.config("a"), DEADLINE));
    let (winner, loser) = match (a, b) {
        (Ok(winner), Err(loser)) | (Err(loser), Ok(winner)) => (winner, loser),
        (Ok(_), Ok(_)) => return Err("both won".into()),
        (Err(a), Err(b)) => return Err(format!("both lost: {a}; {b}").into()),
    };
    if loser != (Error::Running { id: "a".into() }) {
        return Err(format!("the loser was told {loser}").into());
    }
    gauntlet_embedded::admin::request(winner.admin_socket(), &serde_json::json!({"op": "info"})).await?;
    winner.stop(DEADLINE).await?;
    Host::look(&sandbox).same_as(&before)
}

async fn a_running_cluster_is_not_cleaned() -> Outcome {
    let sandbox = Sandbox::new()?;
    let cluster = launch(sandbox.config("a"), DEADLINE).await?;
    if clean(&sandbox.state_dir(), "a") != Err(Error::Running { id: "a".into() }) {
        return Err("a running cluster could be cleaned".into());
    }
    let (cleaned, errors) = clean_dead(&sandbox.state_dir());
    if !cleaned.is_empty() || !errors.is_empty() {
        return Err(format!("cleaned {cleaned:?} with {errors:?}").into());
    }
    cluster.stop(DEADLINE).await?;
    match clean(&sandbox.state_dir(), "a") {
        Err(Error::Unknown { .. }) => Ok(()),
        other => Err(format!("a stopped cluster is still known: {other:?}").into()),
    }
}

/// Expects a refusal that `matches`, names a remedy, and leaves nothing.
async fn refused(sandbox: &Sandbox, config: Config, matches: fn(&Error) -> bool) -> Outcome {
    let before = Host::look(sandbox);
    match launch(config, DEADLINE).await {
        Err(error) if matches(&error) && error.remedy().is_some() => Host::look(sandbox).same_as(&before),
        Err(error) => Err(format!("refused with {error} (remedy: {:?})", error.remedy()).into()),
        Ok(_) => Err("it was not refused".into()),
    }
}

async fn a_taken_port_is_refused() -> Outcome {
    let sandbox = Sandbox::new()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let config = Config { port: taken.local_addr()?.port(), ..sandbox.config("a") };
    refused(&sandbox, config, |error| matches!(error, Error::Port { .. })).await
}

async fn a_full_disk_is_refused() -> Outcome {
    let sandbox = Sandbox::new()?;
    let disk = sandbox.small_disk()?;
    let config = Config { state_dir: disk.path().to_owned(), ..sandbox.config("a") };
    refused(&sandbox, config, |error| matches!(error, Error::DiskFull { free_mib, .. } if *free_mib < 10)).await
}

async fn an_unusable_state_directory_is_refused() -> Outcome {
    let sandbox = Sandbox::new()?;
    let config = Config { state_dir: "/proc/gauntlet".into(), ..sandbox.config("a") };
    refused(&sandbox, config, |error| matches!(error, Error::StateDir { .. })).await
}

async fn a_wrong_configuration_is_refused() -> Outcome {
    let sandbox = Sandbox::new()?;
    match launch(sandbox.config("not/an/id"), DEADLINE).await {
        Err(Error::InvalidConfig { what }) if what.contains("not/an/id") => Ok(()),
        Err(other) => Err(format!("refused with {other}").into()),
        Ok(_) => Err("it was not refused".into()),
    }
}

async fn somebody_who_is_not_root_is_refused() -> Outcome {
    const NOBODY: u32 = 65534;
    let sandbox = Sandbox::new()?;
    // A copy that everybody may run.
    let program = sandbox.readable_copy(&std::env::current_exe()?)?;
    let mut server = Command::new(program)
        .arg("embedded-serve")
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = server.stdin.take().ok_or("no standard input")?;
    std::io::Write::write_all(&mut input, format!("{}\n", serde_json::to_string(&sandbox.config("a"))?).as_bytes())?;
    let output = server.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.trim() == r#"{"failed":"not-root"}"# && !output.status.success() {
        return Ok(());
    }
    Err(format!("it said {said:?} and ended with {}", output.status).into())
}
