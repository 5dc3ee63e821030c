//! Steps of a launch that fail: told, and nothing is left.

use crate::machine::{Machine, NOWHERE};
use crate::support::elsewhere::Elsewhere;

#[test]
fn a_step_that_fails_is_told_and_nothing_is_left() {
    for step in ["docker build", "kind create cluster"] {
        let machine = Machine::new(NOWHERE);
        let ended = machine.run(&[], &[("FAKE_FAIL", step)]);
        assert_eq!(ended.code, 3, "{step}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(&format!("no luck with {step}")), "{step}: {}", ended.stdout);
        assert!(machine.was_told("kind delete cluster --name gauntlet-"), "{step}: {:?}", machine.calls());
        machine.assert_nothing_is_left();
    }
}

#[test]
fn a_kubeconfig_that_is_of_no_use_is_told_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig").display().to_string();
    std::fs::write(&kubeconfig, "no: [kubeconfig").unwrap();
    let machine = Machine::new(&kubeconfig);
    let ended = machine.run(&[], &[]);
    assert_ne!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("the kubeconfig"), "{}", ended.stdout);
    assert!(machine.was_told("kind create"), "{:?}", machine.calls());
    machine.assert_nothing_is_left();
}

#[test]
fn what_cannot_be_listed_or_removed_is_told_and_found_again() {
    for step in ["docker ps", "docker image ls", "docker image rm"] {
        // Nothing can be created here either, so the cluster is deleted at once.
        let machine = Machine::new(NOWHERE);
        let ended = machine.run(&[], &[("FAKE_FAIL", step)]);
        assert_eq!(ended.code, 3, "{step}: {}{}", ended.stdout, ended.stderr);
        let told = format!("{}{}", ended.stdout, ended.stderr);
        for said in ["cannot delete the cluster gauntlet-", &format!("no luck with {step}"), "gauntlet clean"] {
            assert!(told.contains(said), "{step}: {said}: {told}");
        }
        assert!(!machine.left().is_empty(), "{step}: the cluster is forgotten");
        let cleaned = machine.clean();
        assert_eq!(cleaned.code, 0, "{step}: {}{}", cleaned.stdout, cleaned.stderr);
        machine.assert_nothing_is_left();
    }
}

#[test]
fn nodes_and_agents_that_do_not_come_in_time_are_told_and_nothing_is_left() {
    let Some(cluster) = Elsewhere::start() else { return };
    for (more, said) in [
        (&["--nodes", "9", "--ready-within", "3s"][..], "waited 3s for the nodes of gauntlet-"),
        // A node could run it, if it could get it.
        (
            &["--agent-image", "example.com/no-agent:1", "--ready-within", "15s"],
            "cannot bring agents to the nodes: waited 15s for the agents on the nodes to run",
        ),
    ] {
        let machine = Machine::new(&cluster.kubeconfig);
        let ended = machine.run(more, &[]);
        assert_eq!(ended.code, 3, "{more:?}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(said), "{more:?}: {}", ended.stdout);
        assert!(ended.stdout.contains(" of 10 nodes have joined") || !more.contains(&"9"), "{}", ended.stdout);
        assert!(machine.was_told("kind delete cluster --name gauntlet-"), "{more:?}: {:?}", machine.calls());
        machine.assert_nothing_is_left();
    }
}

#[test]
fn what_kind_cannot_delete_goes_by_its_label_and_what_does_not_go_is_told_and_found_again() {
    let machine = Machine::new(NOWHERE);
    let ended = machine.run(&[], &[("FAKE_FAIL", "kind delete")]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(machine.was_told("docker rm --force --volumes gauntlet-"), "{:?}", machine.calls());
    machine.assert_nothing_is_left();

    // Now neither can, and a later clean-up succeeds.
    let ended = machine.run(&[], &[("FAKE_FAIL", "kind delete"), ("FAKE_STUCK", "1")]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    for said in [
        "cannot delete the cluster gauntlet-",
        "containers are left after 30s: gauntlet-",
        "remove them with `docker rm --force --volumes gauntlet-",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(!machine.left().is_empty());
    let cleaned = machine.clean();
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    machine.assert_nothing_is_left();
}

#[test]
fn images_that_cannot_be_loaded_are_told_and_nothing_is_left() {
    let Some(cluster) = Elsewhere::start() else { return };
    for (step, of) in [
        // The archives of the user, which come first, and those on the way from the engine.
        ("kind load image-archive more.tar", ""),
        ("kind load image-archive /", "cannot load gauntlet/agent:"),
        ("docker image save", "cannot load gauntlet/agent:"),
    ] {
        let machine = Machine::new(&cluster.kubeconfig);
        std::fs::write(machine.place.path("more.tar"), "more").unwrap();
        let ended = machine.run(&["--image-archive", "more.tar"], &[("FAKE_FAIL", step)]);
        assert_eq!(ended.code, 3, "{step}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(&format!("no luck with {step}")), "{step}: {}", ended.stdout);
        assert!(ended.stdout.contains(of), "{step}: {}", ended.stdout);
        assert!(machine.was_told("kind delete cluster --name gauntlet-"), "{step}: {:?}", machine.calls());
        machine.assert_nothing_is_left();
    }
}
