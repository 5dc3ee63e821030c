//! Tables: what is said of a connection, rule by rule.

use super::*;
use serde_json::{Value, json};

fn policy(name: &str, spec: Value) -> NetworkPolicy {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec})).unwrap()
}

fn pod(namespace: &str, app: &str, address: &str) -> End {
    let ports = [("sql".to_owned(), 5432)].into();
    let labels = [("app".to_owned(), app.to_owned())].into();
    let subject = Subject { namespace: namespace.to_owned(), labels, ports };
    End { pod: Some(subject), address: address.parse().ok() }
}

fn policies(items: Vec<NetworkPolicy>) -> Policies {
    let named = |name: &str, team: &str| (name.to_owned(), [("team".to_owned(), team.to_owned())].into());
    Policies { items, namespaces: [named("shop", "a"), named("other", "b")].into() }
}

#[test]
fn a_policy_acts_where_its_types_or_their_defaults_say() {
    let everybody = json!({});
    for (spec, ingress, egress) in [
        (json!({"podSelector": everybody}), true, false),
        (json!({"podSelector": everybody, "egress": [{}]}), true, true),
        (json!({"podSelector": everybody, "egress": []}), true, false),
        (json!({"podSelector": everybody, "policyTypes": ["Egress"]}), false, true),
    ] {
        let policy = policy("p", spec);
        assert_eq!(acts_on(&policy, Direction::Ingress), ingress, "{policy:?}");
        assert_eq!(acts_on(&policy, Direction::Egress), egress, "{policy:?}");
    }
}

#[test]
fn both_ends_are_explained_by_the_policies_that_decide() {
    let db = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "cache"]}]});
    let from_api = json!([{"from": [{"podSelector": {"matchLabels": {"app": "api"}}}], "ports": [{"port": 5432}]}]);
    let policies = policies(vec![
        policy("db-in", json!({"podSelector": db, "policyTypes": ["Ingress"], "ingress": from_api})),
        policy("db-nothing", json!({"podSelector": db, "policyTypes": ["Ingress"]})),
        policy("api-out", json!({"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Egress"]})),
    ]);
    let (api, web) = (pod("shop", "api", "10.0.0.1"), pod("shop", "web", "10.0.0.2"));
    let (db, elsewhere) = (pod("shop", "db", "10.0.0.3"), pod("other", "db", "10.0.0.4"));
    let says = |from: &End, to: &End, port: u16| policies.explain(from, to, port, Protocol::Tcp);
    assert_eq!(
        says(&api, &db, 5432),
        [
            "egress of the source is denied: no rule of api-out allows it",
            "ingress of the destination is allowed by db-in"
        ]
    );
    assert_eq!(
        says(&web, &db, 5432),
        [
            "no policy selects the source for egress: it is open there",
            "ingress of the destination is denied: no rule of db-in, db-nothing allows it"
        ]
    );
    assert_eq!(says(&web, &elsewhere, 1)[1], "no policy selects the destination for ingress: it is open there");
    assert_eq!(says(&api, &End::default(), 443).len(), 1, "an end that is no pod has no sentence");
}

/// Whether one ingress rule lets somebody reach the pod `db` on a port.
fn rule_admits(rule: Value, from: &End, port: u16, protocol: Protocol) -> bool {
    let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]});
    let said = policies(vec![policy("p", spec)]).explain(from, &pod("shop", "db", "10.0.0.3"), port, protocol);
    said.last().is_some_and(|said| said.ends_with("is allowed by p"))
}

#[test]
fn a_rule_admits_by_peer_and_port() {
    use Protocol::{Tcp, Udp};
    let (api, foreign) = (pod("shop", "api", "10.0.0.1"), pod("other", "api", "10.0.9.1"));
    let outside = End { pod: None, address: "192.0.2.7".parse().ok() };
    let labelled = json!({"matchLabels": {"app": "api"}});
    let team = json!({"matchLabels": {"team": "b"}});
    let block = json!({"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.9.0/24"]}});
    for (rule, from, port, protocol, admits) in [
        (json!({}), &api, 1, Udp, true),
        (json!({"from": [{"podSelector": labelled}]}), &api, 1, Tcp, true),
        (json!({"from": [{"podSelector": labelled}]}), &foreign, 1, Tcp, false),
        (json!({"from": [{"namespaceSelector": team}]}), &foreign, 1, Tcp, true),
        (json!({"from": [{"namespaceSelector": team}]}), &api, 1, Tcp, false),
        (
            json!({"from": [{"namespaceSelector": team, "podSelector": {"matchLabels": {"app": "x"}}}]}),
            &foreign,
            1,
            Tcp,
            false,
        ),
        (json!({"from": [block]}), &api, 1, Tcp, true),
        (json!({"from": [block]}), &foreign, 1, Tcp, false),
        (json!({"from": [block]}), &outside, 1, Tcp, false),
        (json!({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}), &outside, 1, Tcp, true),
        (json!({"from": [{"podSelector": {}}]}), &outside, 1, Tcp, false),
        (json!({"ports": [{"port": 5432}]}), &api, 5432, Tcp, true),
        (json!({"ports": [{"port": 5432}]}), &api, 5432, Udp, false),
        (json!({"ports": [{"port": 5432}]}), &api, 5433, Tcp, false),
        (json!({"ports": [{"port": 5000, "endPort": 6000}]}), &api, 5433, Tcp, true),
        (json!({"ports": [{"port": "sql"}]}), &api, 5432, Tcp, true),
        (json!({"ports": [{"port": "sql"}]}), &api, 5433, Tcp, false),
        (json!({"ports": [{"protocol": "UDP"}]}), &api, 53, Udp, true),
    ] {
        assert_eq!(rule_admits(rule.clone(), from, port, protocol), admits, "{rule} {from:?} {port}/{protocol}");
    }
}

#[test]
fn of_an_address_that_is_rewritten_nothing_is_claimed() {
    let to = json!([{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]);
    let policies = policies(vec![policy("out", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": to}))]);
    let said = policies.explain(&pod("shop", "api", "10.0.0.1"), &End::default(), 443, Protocol::Tcp);
    assert_eq!(said, ["egress of the source may be allowed by out: its address is rewritten on the way"]);
}
