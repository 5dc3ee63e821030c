//! Contracts as people write them: what is accepted, and what is said about mistakes.

use gauntlet_core::Contract;

const CORDUM: &str = include_str!("../../../scenarios/systems/cordum/system.yaml");

/// Cordum's contract with one text replaced, and everything that is said about it.
fn mistakes(from: &str, to: &str) -> String {
    assert!(CORDUM.contains(from), "the contract no longer contains {from:?}");
    match Contract::parse("system.yaml", &CORDUM.replacen(from, to, 1)) {
        Ok(_) => panic!("{to:?} was accepted"),
        Err(problems) => problems.to_string(),
    }
}

/// The line on which `text` first stands.
fn line_of(text: &str) -> usize {
    CORDUM.lines().position(|line| line.contains(text)).expect("text is in the contract") + 1
}

#[test]
fn the_bundled_contract_is_accepted() {
    if let Err(problems) = Contract::parse("system.yaml", CORDUM) {
        panic!("{problems}");
    }
}

#[test]
fn the_address_of_the_document_is_one_that_a_link_may_have() {
    let told = mistakes("document: cordum.md", "document: cordum.md\ndocumentUrl: 'javascript:alert(1)'");
    assert!(told.contains("is no address of a document") && told.contains("https:// or http://"), "{told}");
}

#[test]
fn a_place_in_the_document_is_a_part_of_an_address_that_is_known() {
    let from = "    reference: cordum.md, 1. Base Manifests, Resource Inventory\n";
    let told = mistakes(from, &format!("{from}    at: resource-inventory\n"));
    assert!(told.contains("there is no address that this is a part of"), "{told}");
    for (at, accepted) in [("'#resource-inventory'", true), ("resource-inventory", true), ("'two words'", false)] {
        let promise = format!("{from}    at: {at}\n    quote: The inventory lists what runs.\n");
        let text =
            CORDUM.replacen(from, &promise, 1).replacen("document:", "documentUrl: https://d.example\ndocument:", 1);
        let parsed = Contract::parse("system.yaml", &text);
        assert_eq!(parsed.is_ok(), accepted, "{at}");
        if let Err(problems) = parsed {
            assert!(problems.to_string().contains("is no part of an address"), "{problems}");
        }
    }
}

#[test]
fn overlays_resolve_what_they_override_and_leave_out() {
    let contract = Contract::parse("system.yaml", CORDUM).unwrap();
    let production = contract.deployment(None).unwrap();
    assert_eq!(production.overlay_name, "production");
    assert_eq!(production.replicas(production.workload("cordum-scheduler").unwrap()), 2);
    assert!(production.workload("nats").is_none(), "production replaces the single NATS");
    let base = contract.deployment(Some("base")).unwrap();
    assert_eq!(base.replicas(base.workload("cordum-scheduler").unwrap()), 1);
    assert_eq!(base.stores().count(), 0);
    assert!(contract.deployment(Some("staging")).is_none());
}

#[test]
fn mistakes_are_located_and_explained() {
    for (from, to, expected) in [
        ("document: cordum.md", "documnt: cordum.md", "unknown key `documnt`\nhint: did you mean `document`?"),
        (
            "    kind: StatefulSet",
            "    kind: StatefullSet",
            "unknown value `StatefullSet`\nhint: did you mean `StatefulSet`?",
        ),
        (
            "workload: cordum-nats\n    minReady",
            "workload: cordum-nat\n    minReady",
            "no workload is called `cordum-nat`\nhint: did you mean `cordum-nats`?",
        ),
        ("within: 5m\n  completed", "within: 300\n  completed", "`300` is not a length of time"),
        (
            "minAvailable: 4",
            "minAvailable: 7",
            "wants 7 pods of `cordum-redis` available, but overlay `production` has 6",
        ),
        ("minAvailable: 2", "minAvailable: 1", "lets `cordum-nats` go down to 1 pods, but its quorum is 2"),
        ("minReady: 2", "minReady: 4", "`cordum-nats` needs 4 ready pods, but overlay `production` has 3"),
        ("streamReplicas: 3", "streamReplicas: 5", "streams with 5 copies do not fit on 3 servers"),
        ("replicasPerPrimary: 1", "replicasPerPrimary: 2", "are 9 members, not 6"),
        ("    default: true\n", "", "exactly one overlay must say `default: true`; 0 do"),
        (
            "clientTls: cordum-client-tls",
            "clientTls: cordum-client",
            "no certificate's secret is called `cordum-client`",
        ),
        ("key: REDIS_PASSWORD}", "key: PASSWORD}", "no key of the secret `cordum-redis-secret` is called `PASSWORD`"),
        ("probe: {tcp: {port: 4222}}", "probe: {tcp: {port: 4223}}", "is probed on port 4223, which it does not list"),
        ("promise: quota", "promise: qouta", "no promise is called `qouta`"),
        ("- id: replicas", "- id: inventory", "a second promise is called `inventory`"),
        ("doneState: succeeded", "doneState: done", "doneState `done` is not among finalStates"),
        ("plainLossPercent: 1", "plainLossPercent: 101", "is not between 0 and 100"),
        (
            "    - store: nats\n      resume",
            "    - store: redis\n      resume",
            "the members of store `redis` do not vote",
        ),
        ("resume: {elections: 2", "resume: {elections: 0", "`elections` is 1 or more"),
        ("resume: {elections: 2", "resume: {election: 2", "unknown key `election`"),
        ("- {of: jobs, window: 30s}", "- {of: job, window: 30s}", "no store or pipeline is called `job`"),
        ("min: 2, max: 10", "min: 20, max: 10", "scales from 20 up to 10"),
        (
            "to: [cordum-nats]\n      ports: [4222, 6222, 8222]",
            "to: [cordum-nats]\n      ports: [4222, 6223, 8222]",
            "no destination of this row has a port 6223",
        ),
        ("- name: prometheus", "- name: cordum-redis", "`cordum-redis` is the name of another party already"),
        ("- name: prometheus", "- name: ext-My_App.v1", "Kubernetes takes no peer that is called \"ext-My_App.v1\""),
        ("  - name: cordum-dashboard\n    kind", "  - name: Dash_board\n    kind", "takes no workload that is called"),
        ("  - name: cordum-dashboard\n    kind", "  - name: \"\"\n    kind", "a name is empty"),
        ("namespaces: [", "namespaces: [\"a b\", ", "takes no namespace that is called \"a b\""),
        ("to: [dns]", "to: [dnss]", "no workload or peer is called `dnss`"),
        ("protocols: [udp, tcp]", "protocols: [upd, tcp]", "unknown value `upd`"),
    ] {
        let said = mistakes(from, to);
        assert!(said.contains(expected), "for {to:?} this was said:\n{said}");
        assert!(said.starts_with("system.yaml:"), "no position for {to:?}:\n{said}");
    }
}

#[test]
fn a_dangling_reference_is_reported_where_it_stands() {
    let said = mistakes("clientTls: cordum-client-tls", "clientTls: nowhere-at-all");
    let expected = format!("system.yaml:{}:16: no certificate's secret", line_of("clientTls: cordum-client-tls"));
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let broken = CORDUM.replace("promise: quota", "promise: a").replace("promise: limits", "promise: b");
    let problems = Contract::parse("system.yaml", &broken).unwrap_err();
    assert_eq!(problems.0.len(), 2, "{problems}");
}
