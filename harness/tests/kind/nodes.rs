//! What a killed run had done to nodes of a cluster that was to outlive it.

use crate::machine::Machine;
use crate::support::elsewhere::Elsewhere;
use gauntlet_chaos::Disturbance;
use gauntlet_chaos::outage::Outage;
use gauntlet_cluster::traffic::Effect;
use gauntlet_core::RunId;
use gauntlet_engine::folder::RunRecord;

#[test]
fn what_a_killed_run_did_to_nodes_is_undone_by_a_clean_up() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    let ended = machine.run(&["--keep"], &[]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    let id = machine.created().concat();

    // As another run would have left it that is killed in the middle of its faults.
    let outage = |node: &str, outage| Disturbance::NodeOutage { node: node.to_owned(), outage };
    let shaped = Disturbance::ShapeNode { node: "node-4".to_owned(), effect: Effect::Loss { percent: 5 } };
    let dead = RunRecord::create(&machine.place.path("state"), &RunId::new(0, 1), "kind", true).expect("a record");
    for (disturbance, told) in [
        (outage("node-1", Outage::Stop), "kill node-1"),
        (outage("node-2", Outage::Freeze), "pause node-2"),
        (outage("node-3", Outage::Disconnect), "network disconnect kind node-3"),
        (shaped, "exec node-4 tc qdisc replace dev eth0 root handle 6a6e: netem loss 5%"),
        // It was killed before it came to this.
        (outage("node-5", Outage::Stop), "version"),
    ] {
        dead.journal.begin(&id, &disturbance).expect("it is on record");
        machine.docker(told);
    }
    drop(dead);

    // Nothing is undone where the API cannot answer: a node that is paused does not run.
    let leading = format!("gauntlet-{id}-control-plane");
    machine.docker(&format!("pause {leading}"));
    let cleaned = machine.clean();
    assert_eq!(cleaned.code, 3, "{}{}", cleaned.stdout, cleaned.stderr);
    for said in [format!("{leading} is paused"), format!("`docker unpause {leading}`")] {
        assert!(cleaned.stderr.contains(&said), "{said}: {}", cleaned.stderr);
    }
    machine.docker(&format!("unpause {leading}"));

    // How it is reached kind knows, too.
    std::fs::remove_file(machine.place.path("state/kind").join(&id).join("kubeconfig")).expect("it was there");

    // What cannot be undone stays on record, and the rest is undone.
    let cleaned = machine.clean_with(&[("FAKE_FAIL", "docker unpause")]);
    assert_eq!(cleaned.code, 3, "{}{}", cleaned.stdout, cleaned.stderr);
    assert!(cleaned.stderr.contains("cannot undo `freeze node-2`"), "{}", cleaned.stderr);
    assert_eq!(machine.node("node-2"), "paused kind");
    let cleaned = machine.clean();
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    assert!(cleaned.stdout.contains("healed the faults of a dead run in cluster"), "{}", cleaned.stdout);
    for node in ["node-1", "node-2", "node-3"] {
        assert_eq!(machine.node(node), "running kind", "{node}: {:?}", machine.calls());
    }
    assert!(machine.was_told("docker exec node-4 tc qdisc del"), "{:?}", machine.calls());
    assert!(!machine.was_told("docker start node-5"), "{:?}", machine.calls());
    assert_eq!(machine.clean().stdout, "nothing to clean\n");
    assert_eq!(machine.gauntlet(&["cluster", "down", &id]).code, 0);
    machine.assert_nothing_is_left();
}
