//! What is told before anything is started.

use crate::machine::{Machine, NOWHERE};

#[test]
fn everything_that_is_missing_is_told_at_once_and_nothing_is_started() {
    let machine = Machine::new(NOWHERE);
    let empty = machine.place.path("empty").display().to_string();
    let ended = machine.run(&[], &[("PATH", &empty)]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    for (gap, remedy) in [
        ("docker is not installed", "install Docker Engine"),
        ("kind is not installed", "install kind from"),
        ("kubectl is not installed", "install kubectl from"),
    ] {
        assert!(ended.stderr.contains(gap) && ended.stderr.contains(remedy), "{}", ended.stderr);
    }

    let ended = machine.run(&[], &[("FAKE_KIND", "0.29.0"), ("FAKE_FAIL", "docker version")]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("kind 0.29.0 is too old: 0.33.0 or later"), "{}", ended.stderr);
    assert!(ended.stderr.contains("no luck with docker version"), "an engine that does not answer: {}", ended.stderr);
    assert!(!machine.was_told("kind create"), "{:?}", machine.calls());
    assert!(!machine.place.path("reports").exists(), "a run was begun");
}

#[test]
fn a_program_that_is_too_old_is_told_with_what_it_is_needed_for() {
    let machine = Machine::new(NOWHERE);
    let ended = machine.run(&[], &[("FAKE_DOCKER", "19.03.15"), ("FAKE_KUBECTL", "1.26.9")]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    for gap in ["docker 19.3.15 is too old: 20.10.0 or later", "kubectl 1.26.9 is too old: 1.27.0 or later"] {
        assert!(ended.stderr.contains(gap), "{gap}: {}", ended.stderr);
    }
    assert!(!machine.was_told("kind create"), "{:?}", machine.calls());
}

#[test]
fn images_that_the_engine_has_not_are_named_before_anything_is_started() {
    let machine = Machine::new(NOWHERE);
    let fails = [("FAKE_FAIL", "kind create")];
    let message = "not in the local engine, so nodes pull it unless an archive has it: redis:7.2\n";
    let ended = machine.run(&[], &fails);
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
    machine.has_image("redis:7.2");
    let ended = machine.run(&[], &fails);
    assert!(!ended.stderr.contains("not in the local engine"), "{}", ended.stderr);
}

#[test]
fn bad_choices_are_told_before_anything_is_started() {
    let machine = Machine::new(NOWHERE);
    for (more, message) in [
        (&["--kubernetes", "1.12"][..], "no node image of Kubernetes 1.12 is known"),
        (&["--kubernetes", "1.35", "--node-image", "mine:1"], "cannot be used with"),
        (&["--node-image", ""], "a value is required for '--node-image <IMAGE>'"),
        (&["--kind-config", "no-such"], "cannot read the configuration of the cluster no-such"),
        (&["--image-archive", "no-such.tar"], "no such archive of images: no-such.tar"),
        (&["--ready-within", "5"], "a length of time has a unit"),
        (&["--context", "staging"], "use --cluster kubeconfig with it"),
    ] {
        let ended = machine.run(more, &[]);
        assert_eq!(ended.code, 2, "{more:?}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(message), "{more:?}: {}", ended.stderr);
        assert!(!machine.was_told("kind create"), "{more:?}: {:?}", machine.calls());
    }
}

#[test]
fn the_kind_of_a_pinned_image_is_asked_for_only_where_that_is_used() {
    let machine = Machine::new(NOWHERE);
    let file = machine.place.path("mine.yaml");
    let text = "{kind: Cluster, apiVersion: kind.x-k8s.io/v1alpha4, nodes: [{role: control-plane, image: 'mine:1'}]}";
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let old = [("FAKE_KIND", "0.20.0"), ("FAKE_FAIL", "kind create")];
    for (more, image) in [
        (&["--node-image", "mine:2"][..], "mine:2"),
        (&["--kind-config", &file], "mine:1"),
        (&["--kind-config", &file, "--node-image", "mine:2"], "mine:2"),
    ] {
        let ended = machine.run(more, &old);
        assert!(ended.stdout.contains("no luck with kind create"), "{more:?}: {}{}", ended.stdout, ended.stderr);
        let config = machine.last_config();
        let nodes = config["nodes"].as_array().expect("it has nodes");
        assert!(nodes.iter().all(|node| node["image"] == image), "{more:?}: {config}");
        machine.assert_nothing_is_left();
    }
    for more in [&[][..], &["--kind-config", &file, "--kubernetes", "1.35"]] {
        let ended = machine.run(more, &old);
        assert_eq!(ended.code, 2, "{more:?}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("kind 0.20.0 is too old"), "{more:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("--node-image"), "{more:?}: {}", ended.stderr);
    }
}
