//! Faults on an embedded cluster, with their proofs: needs root, `runc`, `nft` and `redis-server`.
//!
//! Not an ordinary test harness, because the cluster's server is this program started again.

mod kind;
mod node_agents;
mod outage;
mod support;
mod traffic;

use gauntlet_chaos::fault::Scene;
use gauntlet_cluster::provider::embedded;
use libtest_mimic::{Arguments, Trial};
use support::{Outcome, on_a_cluster};

fn main() -> std::process::ExitCode {
    embedded::dispatch();
    // This program is the agent inside the cluster, too.
    if let Some(arguments) = gauntlet_agent::asked() {
        return gauntlet_agent::dispatch(arguments);
    }
    let arguments = Arguments::from_args();
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !root {
        eprintln!("SKIPPED: not root");
    }
    let trials = vec![
        trial("traffic_is_cut_degraded_and_healed_with_proof", async |scene| traffic::all(&scene).await),
        trial("agents_have_power_over_pods_where_the_api_has_none", async |scene| node_agents::all(&scene).await),
        trial("docker_has_nodes_in_its_hands_with_proof", async |scene| kind::all(&scene).await),
        trial("nodes_are_stopped_frozen_and_healed_with_proof", async |scene| outage::all(&scene).await),
    ];
    let trials = trials.into_iter().map(|trial| trial.with_ignored_flag(!root)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &'static str, test: impl AsyncFnOnce(Scene) -> Outcome + Send + 'static) -> Trial {
    Trial::test(name, move || {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(on_a_cluster(name, test))
    })
}
