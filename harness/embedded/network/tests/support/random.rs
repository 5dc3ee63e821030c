//! Random clusters and policies.

use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::{PodSpec, World};

/// Ports that policies name and packets go to.
pub const PORTS: [u16; 6] = [53, 79, 80, 81, 443, 8080];

pub fn world() -> impl Strategy<Value = World> {
    (vec(pod(), 1..8), vec(policy(), 0..6)).prop_map(|(pods, policies)| {
        let pods = (2_u8..).zip(pods).map(|(host, pod)| PodSpec {
            name: format!("pod-{host}"),
            address: Ipv4Addr::new(10, 244, pod.node, host),
            ..pod
        });
        let named = |(n, mut policy): (usize, Value)| {
            policy["metadata"]["name"] = json!(format!("policy-{n}"));
            policy
        };
        World {
            namespaces: [
                ("one", json!({"team": "x"})),
                ("two", json!({"team": "y", "kubernetes.io/metadata.name": "two"})),
            ]
            .map(|(name, labels)| (name.to_owned(), labels))
            .into(),
            pods: pods.collect(),
            policies: policies.into_iter().enumerate().map(named).collect(),
        }
    })
}

fn namespace() -> impl Strategy<Value = &'static str> {
    select(vec!["one", "two"])
}

fn pod() -> impl Strategy<Value = PodSpec> {
    let http = select(vec![80, 8080]).prop_map(|n| json!({"name": "http", "protocol": "TCP", "containerPort": n}));
    let dns = select(vec!["TCP", "UDP"]).prop_map(|p| json!({"name": "dns", "protocol": p, "containerPort": 53}));
    let ports =
        (option::of(http), option::of(dns)).prop_map(|(a, b)| json!(a.into_iter().chain(b).collect::<Vec<_>>()));
    (namespace(), labels(), 1..3_u8, ports).prop_map(|(namespace, labels, node, ports)| PodSpec {
        namespace: namespace.to_owned(),
        name: String::new(),
        labels,
        node,
        address: Ipv4Addr::UNSPECIFIED,
        ports,
    })
}

fn labels() -> impl Strategy<Value = Value> {
    let app = option::of(select(vec!["web", "db"]));
    let team = option::of(select(vec!["x", "y"]));
    (app, team).prop_map(|(app, team)| object([("app", app.map(Value::from)), ("team", team.map(Value::from))]))
}

fn selector() -> impl Strategy<Value = Value> {
    let expression = prop_oneof![
        (select(vec!["In", "NotIn"]), select(vec![json!(["web"]), json!(["db", "x"])]))
            .prop_map(|(operator, values)| json!({"key": "app", "operator": operator, "values": values})),
        select(vec!["Exists", "DoesNotExist"]).prop_map(|operator| json!({"key": "team", "operator": operator})),
    ];
    prop_oneof![
        Just(json!({})),
        labels().prop_map(|labels| json!({"matchLabels": labels})),
        expression.prop_map(|expression| json!({"matchExpressions": [expression]})),
    ]
}

fn policy() -> impl Strategy<Value = Value> {
    let types = option::of(select(vec![json!(["Ingress"]), json!(["Egress"]), json!(["Ingress", "Egress"])]));
    let rules = |peers| option::of(vec(rule(peers), 0..3)).prop_map(|rules| rules.map(Value::from));
    (namespace(), selector(), types, rules("from"), rules("to")).prop_map(|(ns, selector, types, ingress, egress)| {
        let fields =
            [("podSelector", Some(selector)), ("policyTypes", types), ("ingress", ingress), ("egress", egress)];
        json!({"metadata": {"namespace": ns}, "spec": object(fields)})
    })
}

fn rule(peers: &'static str) -> impl Strategy<Value = Value> {
    let ports = option::of(vec(port(), 0..3)).prop_map(|ports| ports.map(Value::from));
    let sides = option::of(vec(peer(), 0..3)).prop_map(|sides| sides.map(Value::from));
    (sides, ports).prop_map(move |(sides, ports)| object([(peers, sides), ("ports", ports)]))
}

fn peer() -> impl Strategy<Value = Value> {
    let blocks = ["0.0.0.0/0", "10.244.0.0/16", "10.244.1.0/24", "10.244.1.4/30", "192.0.2.0/24", "169.254.0.0/16"];
    let except = select(vec![json!([]), json!(["10.244.1.0/25"]), json!(["10.244.0.0/16", "192.0.2.10/32"])]);
    prop_oneof![
        selector().prop_map(|pods| json!({"podSelector": pods})),
        selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        (selector(), selector()).prop_map(|(ns, pods)| json!({"namespaceSelector": ns, "podSelector": pods})),
        (select(blocks.to_vec()), except)
            .prop_map(|(cidr, except)| json!({"ipBlock": {"cidr": cidr, "except": except}})),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        Just((None, None)),
        select(PORTS.to_vec()).prop_map(|n| (Some(json!(n)), None)),
        (select(PORTS.to_vec()), 0..400_u16).prop_map(|(n, more)| (Some(json!(n)), Some(json!(n + more)))),
        select(vec!["http", "dns"]).prop_map(|name| (Some(json!(name)), None)),
    ];
    (option::of(select(vec!["TCP", "UDP", "SCTP"])), number).prop_map(|(protocol, (port, end))| {
        object([("protocol", protocol.map(Value::from)), ("port", port), ("endPort", end)])
    })
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Value {
    let there = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}
