//! Compiled policies against a naive reading of the same objects, on random clusters; and each kind of rule by itself.

mod support;

use std::net::Ipv4Addr;

use embedded_network::policies::compile;
use embedded_network::policies::model::{Cluster, Pod, Policy, Protocol};
use embedded_network::policies::nft::Table;
use embedded_network::policies::rules::{Direction, Rules};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{PodSpec, World, naive, random};

fn compiled(world: &World) -> Rules {
    let node = |pod: &PodSpec| Some(Ipv4Addr::new(10, 200, 0, pod.node));
    compile(&Cluster {
        pods: world.pods.iter().map(|pod| Pod::of(&pod.object(), pod.address, node(pod))).collect(),
        namespaces: world
            .namespaces
            .iter()
            .map(|(name, labels)| (name.clone(), serde_json::from_value(labels.clone()).unwrap()))
            .collect(),
        policies: world.policies.iter().map(Policy::of).collect(),
    })
}

/// What rules do to a packet that opens a connection.
fn passes(rules: &Rules, from: Ipv4Addr, to: Ipv4Addr, protocol: Protocol, port: u16) -> bool {
    if rules.always.contains(&(from, to)) {
        return true;
    }
    let through = |place: usize, direction: Direction, peer: Ipv4Addr| {
        let chain = &rules.chains[place];
        assert_eq!(chain.direction, direction);
        chain.allows.iter().any(|allow| {
            let port_fits = allow.ports.as_ref().is_none_or(|ports| {
                ports.iter().any(|range| range.protocol == protocol && (range.first..=range.last).contains(&port))
            });
            port_fits && allow.peers.as_ref().is_none_or(|peers| peers.contains(peer))
        })
    };
    rules.egress.get(&from).is_none_or(|place| through(*place, Direction::Egress, to))
        && rules.ingress.get(&to).is_none_or(|place| through(*place, Direction::Ingress, from))
}

/// Everybody who talks: pods, nodes, a host outside, the API server.
fn parties(world: &World) -> Vec<Ipv4Addr> {
    let others = [[10, 200, 0, 1], [10, 200, 0, 2], [10, 200, 0, 254], [192, 0, 2, 10], [169, 254, 169, 254]];
    world.pods.iter().map(|pod| pod.address).chain(others.map(Ipv4Addr::from)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compiled_rules_allow_what_a_naive_reading_allows(world in random::world()) {
        let rules = compiled(&world);
        for from in parties(&world) {
            for to in parties(&world) {
                for (protocol, name) in [(Protocol::Tcp, "TCP"), (Protocol::Udp, "UDP"), (Protocol::Sctp, "SCTP")] {
                    for port in random::PORTS {
                        prop_assert_eq!(
                            passes(&rules, from, to, protocol, port),
                            naive::allows(&world, from, to, name, port),
                            "{} to {} {} {}", from, to, name, port
                        );
                    }
                }
            }
        }
    }
}

/// Two namespaces with two pods each: `web` (port `http` is 8080) and `db`, on different nodes.
fn small(policies: &[Value]) -> World {
    let pod = |namespace: &str, app: &str, node: u8, host: u8| PodSpec {
        namespace: namespace.into(),
        name: format!("{namespace}-{app}"),
        labels: json!({"app": app}),
        node,
        address: Ipv4Addr::new(10, 244, node, host),
        ports: match app {
            "web" => json!([{"name": "http", "protocol": "TCP", "containerPort": 8080}]),
            _ => json!([]),
        },
    };
    World {
        namespaces: [("one", json!({"team": "x"})), ("two", json!({"team": "y"}))]
            .map(|(name, labels)| (name.to_owned(), labels))
            .into(),
        pods: vec![pod("one", "web", 1, 2), pod("one", "db", 2, 2), pod("two", "web", 1, 3), pod("two", "db", 2, 3)],
        policies: policies.to_vec(),
    }
}

fn policy(spec: Value) -> Value {
    json!({"metadata": {"namespace": "one", "name": "p"}, "spec": spec})
}

/// The rules of the policy's only chain. Sets and chains are named by their content, which is left out.
fn chain(text: &str) -> Vec<String> {
    let chain = text.lines().skip_while(|line| !line.contains("chain ingress-") && !line.contains("chain egress-"));
    let rules = chain.skip(1).take_while(|line| line.trim() != "}").map(|line| line.trim().to_owned());
    let short = |word: &str| if word.starts_with("@peers-") { "@peers".to_owned() } else { word.to_owned() };
    let rules = rules.map(|rule| rule.replace(" comment \"one/p\"", ""));
    rules.map(|rule| rule.split(' ').map(short).collect::<Vec<_>>().join(" ")).collect()
}

/// The elements of the only set of peers.
fn peers(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with("\tset peers-"));
    let elements = lines.take_while(|line| *line != "\t}").skip_while(|line| !line.contains("elements"));
    elements.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_kind_of_ingress_rule_has_its_rule_in_the_chain() {
    let web = json!({"podSelector": {"matchLabels": {"app": "web"}}});
    for (rule, expected, expected_peers) in [
        (json!({}), vec!["accept", "drop"], ""),
        (json!({"from": []}), vec!["accept", "drop"], ""),
        (json!({"from": [web]}), vec!["ip saddr @peers accept", "drop"], "elements = { 10.244.1.2 }"),
        (
            json!({"from": [{"namespaceSelector": {"matchLabels": {"team": "y"}}}]}),
            vec!["ip saddr @peers accept", "drop"],
            "elements = { 10.244.1.3, 10.244.2.3 }",
        ),
        (
            json!({"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]}),
            vec!["ip saddr @peers accept", "drop"],
            "elements = { 10.244.1.2-10.244.1.3 }",
        ),
        (
            json!({"from": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}}]}),
            vec!["ip saddr @peers accept", "drop"],
            "elements = { 192.0.2.0-192.0.2.127 }",
        ),
        (json!({"from": [{"podSelector": {"matchLabels": {"app": "none"}}}]}), vec!["drop"], ""),
        (
            json!({"ports": [{"port": 80}, {"port": 100, "endPort": 200}, {"protocol": "UDP", "port": 53}]}),
            vec!["tcp dport { 80, 100-200 } accept", "udp dport { 53 } accept", "drop"],
            "",
        ),
        (json!({"ports": [{"protocol": "SCTP"}]}), vec!["meta l4proto sctp accept", "drop"], ""),
        (json!({"ports": [{"port": 80}, {"protocol": "TCP"}]}), vec!["meta l4proto tcp accept", "drop"], ""),
        (
            json!({"from": [web], "ports": [{"protocol": "SCTP", "port": 7}]}),
            vec!["ip saddr @peers sctp dport { 7 } accept", "drop"],
            "elements = { 10.244.1.2 }",
        ),
        // Nobody whom the policy selects has a port of this name.
        (json!({"ports": [{"port": "http"}]}), vec!["drop"], ""),
    ] {
        let spec = json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [rule]});
        let text = Table::of(&compiled(&small(&[policy(spec)]))).render();
        assert_eq!(chain(&text), expected, "{rule}\n{text}");
        assert_eq!(peers(&text), expected_peers, "{rule}\n{text}");
        assert!(text.contains("10.244.2.2 : goto ingress-"), "{text}");
    }
}

#[test]
fn names_of_ports_mean_those_of_the_destination() {
    let ports = json!([{"port": "http"}]);
    let ingress = policy(json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": ports}]}));
    let text = Table::of(&compiled(&small(&[ingress]))).render();
    assert_eq!(chain(&text), ["tcp dport { 8080 } accept", "drop"], "{text}");
    let spec =
        json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Egress"], "egress": [{"ports": ports}]});
    let text = Table::of(&compiled(&small(&[policy(spec)]))).render();
    assert_eq!(chain(&text), ["ip daddr @peers tcp dport { 8080 } goto arrive", "drop"], "{text}");
    assert_eq!(peers(&text), "elements = { 10.244.1.2-10.244.1.3 }", "{text}");
}

#[test]
fn directions_that_are_not_named_are_defaulted() {
    let restricted = |spec: Value| {
        let rules = compiled(&small(&[policy(spec)]));
        (rules.ingress.len(), rules.egress.len())
    };
    assert_eq!(restricted(json!({"podSelector": {}})), (2, 0));
    assert_eq!(restricted(json!({"podSelector": {}, "egress": []})), (2, 0));
    assert_eq!(restricted(json!({"podSelector": {}, "egress": [{}]})), (2, 2));
    assert_eq!(restricted(json!({"podSelector": {}, "policyTypes": ["Egress"]})), (0, 2));
    assert_eq!(restricted(json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})), (2, 2));
    assert_eq!(restricted(json!({"podSelector": {"matchLabels": {"app": "none"}}})), (0, 0));
}

#[test]
fn replicas_share_a_chain_and_policies_add_up() {
    let all = json!({"podSelector": {}, "ingress": [{"ports": [{"port": 1}]}]});
    let web = json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": [{"port": 2}]}]});
    let rules = compiled(&small(&[policy(all.clone())]));
    assert_eq!((rules.ingress.len(), rules.chains.len()), (2, 1));
    let rules = compiled(&small(&[policy(all), policy(web)]));
    assert_eq!((rules.ingress.len(), rules.chains.len()), (2, 2));
    let db = Ipv4Addr::new(10, 244, 2, 2);
    let web = Ipv4Addr::new(10, 244, 1, 2);
    for (from, to, port, expected) in [(db, web, 1, true), (db, web, 2, true), (web, db, 1, true), (web, db, 2, false)]
    {
        assert_eq!(passes(&rules, from, to, Protocol::Tcp, port), expected, "{from} to {to}:{port}");
    }
}

#[test]
fn a_change_touches_only_what_differs() {
    let rule = |port: u16| {
        policy(json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": [{"port": port}]}]}))
    };
    let table = |policies: &[Value]| Table::of(&compiled(&small(policies)));
    let (none, one, two) = (table(&[]), table(&[rule(1)]), table(&[rule(2)]));
    assert_eq!(one.update(&one), "");
    let verbs = |text: &str| -> Vec<String> {
        let short = |word: &str| word.split_once("gress-").map_or(word, |(start, _)| start).to_owned();
        text.lines().map(|line| line.trim().split(' ').map(short).collect::<Vec<_>>().join(" ")).collect()
    };
    let added = ["table ip policies {", "chain in {", "tcp dport { 1 } accept comment \"one/p\"", "drop", "}", "}"];
    let turned = [
        "delete element ip policies ingress { 10.244.2.2 }",
        "add element ip policies ingress { 10.244.2.2 : goto in }",
    ];
    assert_eq!(verbs(&none.update(&one)), [&added[..], &turned[..]].concat());
    let removed = "delete chain ip policies in";
    assert_eq!(verbs(&one.update(&two)).last().unwrap(), removed);
    let open = [
        "delete element ip policies ingress { 10.244.2.2 }",
        "add element ip policies ingress { 10.244.2.2 : accept }",
        removed,
    ];
    assert_eq!(verbs(&one.update(&none)), open);
}

#[test]
fn the_whole_table_of_one_policy() {
    let mut world = small(&[policy(json!({
        "podSelector": {"matchLabels": {"app": "db"}},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}]}],
    }))]);
    world.pods.truncate(2);
    assert_eq!(Table::of(&compiled(&world)).render(), include_str!("policies/one.nft"));
}
