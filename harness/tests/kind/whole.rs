//! Runs that come to their end.

use crate::machine::Machine;
use crate::support::elsewhere::Elsewhere;

#[test]
fn a_whole_run_creates_loads_and_deletes() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    machine.has_image("redis:7.2");
    let archive = machine.place.path("more.tar");
    std::fs::write(&archive, "more").unwrap();
    let archive = archive.display().to_string();
    // What is deployed is no cluster of Redis, so the scenario cannot begin, but everything is brought up before: the
    // agents on the nodes, too, without which it would be skipped.
    let ended = machine.run(&["--kubernetes", "1.35", "--image-archive", &archive], &[]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("no node of the Redis Cluster answers"), "{}", ended.stdout);
    let reached = "-worker (ingress-ready=true) is reached at http://127.0.0.1:32768 and https://127.0.0.1:32769";
    assert!(ended.stderr.contains(reached), "{}", ended.stderr);
    let calls = machine.calls();
    let position = |beginning: &str| {
        let found = calls.iter().position(|call| call.starts_with(beginning));
        found.unwrap_or_else(|| panic!("`{beginning}` was not called:\n{}", calls.join("\n")))
    };
    let steps = [
        "docker build --tag gauntlet/agent:",
        "kind create cluster --name gauntlet-",
        &format!("kind load image-archive {archive} --name gauntlet-"),
        "loaded more",
        // Of images that were made for several platforms the engine may have the content of one only.
        "docker image save --platform linux/amd64 --output",
        "loaded gauntlet/agent:",
        "loaded redis:7.2",
        "kind delete cluster --name gauntlet-",
        "docker image rm --force",
    ];
    let order: Vec<usize> = steps.iter().map(|step| position(step)).collect();
    assert!(order.is_sorted(), "{}", calls.join("\n"));
    // What was there before stays.
    std::fs::remove_file(machine.place.path("fake/images/redis_7.2")).unwrap();
    machine.assert_nothing_is_left();
}

#[test]
fn a_cluster_that_is_kept_is_listed_and_ended_by_its_name() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    let ended = machine.run(&["--keep"], &[]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    let id = machine.created().concat();
    let record = machine.place.path("state/kind").join(&id);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    for said in [
        format!("reach it with KUBECONFIG={}", record.join("kubeconfig").display()),
        format!("end it with `gauntlet cluster down {id}`"),
    ] {
        assert!(told.contains(&said), "{said}: {told}");
    }
    assert!(!record.join("image.tar").exists(), "an archive is left");
    assert!(!machine.was_told("kind delete"), "{:?}", machine.calls());
    // Cleaning up leaves it alone.
    assert_eq!(machine.clean().code, 0);
    assert!(machine.gauntlet(&["cluster", "list"]).stdout.contains(&id));
    let down = machine.gauntlet(&["cluster", "down", &id]);
    assert_eq!(down.code, 0, "{}{}", down.stdout, down.stderr);
    machine.assert_nothing_is_left();
}

#[test]
fn two_clusters_are_there_at_once_and_go_both() {
    let (Some(one), Some(two)) = (Elsewhere::start(), Elsewhere::start()) else { return };
    let machine = Machine::new(&one.kubeconfig);
    // None is done being created before both are there.
    let variables = [("FAKE_AT_ONCE", "2"), ("FAKE_KUBECONFIG_2", two.kubeconfig.as_str())];
    let ended = machine.run(&["--parallel", "2", "--repeat", "2"], &variables);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("no node of the Redis Cluster answers"), "{}", ended.stdout);
    let (calls, created) = (machine.calls(), machine.created());
    let told = calls.join("\n");
    assert_eq!(created.len(), 2, "{told}");
    assert_ne!(created[0], created[1]);
    let last = |beginning: &str| calls.iter().rposition(|call| call.starts_with(beginning)).expect(beginning);
    let first = |beginning: &str| calls.iter().position(|call| call.starts_with(beginning)).expect(beginning);
    assert!(last("kind create") < first("kind delete"), "{told}");
    for id in &created {
        assert!(machine.was_told(&format!("kind delete cluster --name gauntlet-{id} ")), "{told}");
    }
    // They share an image, which goes with the last of them.
    assert_eq!(calls.iter().filter(|call| call.starts_with("docker build")).count(), 1, "{told}");
    assert!(last("kind delete") < first("docker image rm"), "{told}");
    machine.assert_nothing_is_left();
}

#[test]
fn three_control_planes_are_asked_for_and_waited_for() {
    let Some(cluster) = Elsewhere::start() else { return };
    let machine = Machine::new(&cluster.kubeconfig);
    let arguments = ["--kind-config", "three-control-planes", "--kubernetes", "1.34", "--nodes", "3"];
    let ended = machine.run(&[&arguments[..], &["--ready-within", "3s"]].concat(), &[]);
    let there = cluster.names("nodes").len();
    assert!(ended.stdout.contains(&format!("{there} of 6 nodes have joined")), "{}", ended.stdout);
    machine.assert_nothing_is_left();
    for joined in there..6 {
        cluster.join(&format!("late-{joined}"));
    }
    let ended = machine.run(&arguments, &[("FAKE_FAIL", "kind load")]);
    assert!(ended.stdout.contains("no luck with kind load"), "not all nodes were there: {}", ended.stdout);
    let config = machine.last_config();
    let nodes = config["nodes"].as_array().expect("it has nodes");
    let roles: Vec<&str> = nodes.iter().filter_map(|node| node["role"].as_str()).collect();
    assert_eq!(roles, ["control-plane", "control-plane", "control-plane", "worker", "worker", "worker"]);
    let is_asked_for = |node: &serde_json::Value| node["image"].as_str().is_some_and(|image| image.contains(":v1.34."));
    assert!(nodes.iter().all(is_asked_for), "{config}");
    machine.assert_nothing_is_left();
}
