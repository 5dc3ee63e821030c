//! A fault of the traffic as each node has to keep it, in the networks of its pods.
//!
//! What one party sends to another is caught where it arrives, when that is a pod: there the sender's address shows even
//! if it was sent to a Service. What goes to somebody who is no pod is caught where it leaves. So each packet is judged
//! once.

use crate::traffic::{Effect, Party, TrafficFault};
use crate::view::Snapshot;
use gauntlet_core::node_agent::{End, PacketEffect, Rule, Way};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Those who take part in traffic, as they are now.
enum Member {
    Pod { uid: String, node: String, addresses: Vec<String> },
    Address(String),
}

impl Member {
    fn addresses(&self) -> &[String] {
        match self {
            Self::Pod { addresses, .. } => addresses,
            Self::Address(address) => std::slice::from_ref(address),
        }
    }
}

/// The rules for every node that has something to do.
///
/// # Errors
/// Why the fault cannot be.
pub fn by_node(fault: &TrafficFault, snapshot: &Snapshot) -> Result<BTreeMap<String, Vec<Rule>>, String> {
    let effect = match fault.effect {
        Effect::Cut => PacketEffect::Cut,
        Effect::Loss { percent } => PacketEffect::Loss { percent },
        Effect::Rate { kilobytes_per_second } => PacketEffect::Rate { kilobytes_per_second },
        Effect::Delay { .. } => return Err("agents on nodes cannot delay traffic".to_owned()),
    };
    let members = |parties: &[Party]| -> Vec<Member> { parties.iter().flat_map(|party| of(party, snapshot)).collect() };
    let (from, to) = (members(&fault.from), members(&fault.to));
    let mut rules = BTreeMap::new();
    // Whole conversations have their ports on either end.
    let ends: &[End] =
        if fault.both_ways && !fault.ports.is_empty() { &[End::Destination, End::Source] } else { &[End::Destination] };
    for end in ends {
        let rule = |pod: &str, way, peers| Rule {
            pod: pod.to_owned(),
            way,
            peers,
            ports: fault.ports.clone(),
            ports_of: *end,
            effect,
        };
        one_way(&from, &to, &rule, &mut rules);
        if fault.both_ways {
            one_way(&to, &from, &rule, &mut rules);
        }
    }
    if rules.is_empty() {
        return Err("none of its parties is a pod that runs".to_owned());
    }
    Ok(rules)
}

fn one_way(
    from: &[Member],
    to: &[Member],
    rule: &impl Fn(&str, Way, Vec<String>) -> Rule,
    rules: &mut BTreeMap<String, Vec<Rule>>,
) {
    let mut add = |pod: &Member, way, others: Vec<String>| {
        let Member::Pod { uid, node, addresses } = pod else { return };
        let peers: Vec<String> = others.into_iter().filter(|other| !addresses.contains(other)).collect();
        if !peers.is_empty() {
            rules.entry(node.clone()).or_default().push(rule(uid, way, peers));
        }
    };
    let senders: Vec<String> = from.iter().flat_map(Member::addresses).cloned().collect();
    for receiver in to {
        add(receiver, Way::In, senders.clone());
    }
    let strangers = to.iter().filter(|member| matches!(member, Member::Address(_)));
    let strangers: Vec<String> = strangers.flat_map(Member::addresses).cloned().collect();
    for sender in from {
        add(sender, Way::Out, strangers.clone());
    }
}

fn of(party: &Party, snapshot: &Snapshot) -> Vec<Member> {
    match party {
        Party::Pod { namespace, name } => {
            let named = |pod: &&Pod| pod.name_any() == *name && pod.namespace().as_ref() == Some(namespace);
            snapshot.pods.iter().map(AsRef::as_ref).filter(named).filter_map(member).collect()
        }
        Party::Node(node) => {
            let here = |pod: &&Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(node);
            let pods = snapshot.pods.iter().map(AsRef::as_ref).filter(here).filter_map(member);
            let named = snapshot.nodes.iter().filter(|found| found.name_any() == *node);
            pods.chain(named.flat_map(|node| addresses_of(node)).map(Member::Address)).collect()
        }
        Party::Address(address) => vec![Member::Address(address.clone())],
    }
}

/// A pod with a network of its own and something that runs in it.
fn member(pod: &Pod) -> Option<Member> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    if spec.host_network == Some(true) || status.phase.as_deref() != Some("Running") {
        return None;
    }
    let addresses: Vec<String> = status.pod_ips.iter().flatten().map(|address| address.ip.clone()).collect();
    let addresses = if addresses.is_empty() { vec![status.pod_ip.clone()?] } else { addresses };
    Some(Member::Pod { uid: pod.uid()?, node: spec.node_name.clone()?, addresses })
}

fn addresses_of(node: &Node) -> Vec<String> {
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    addresses.filter(|address| address.type_ == "InternalIP").map(|address| address.address.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn snapshot() -> Snapshot {
        let pod = |name: &str, node: &str, ip: &str, host: bool| -> Arc<Pod> {
            let pod = json!({
                "metadata": {"namespace": "ns", "name": name, "uid": format!("uid-{name}")},
                "spec": {"nodeName": node, "hostNetwork": host, "containers": []},
                "status": {"phase": "Running", "podIP": ip},
            });
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        let node = json!({"metadata": {"name": "n2"},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.2"}, {"type": "Hostname", "address": "n2"}]}});
        Snapshot {
            pods: vec![
                pod("a", "n1", "10.0.0.1", false),
                pod("b", "n2", "10.0.0.2", false),
                pod("h", "n2", "192.0.2.2", true),
            ],
            nodes: vec![Arc::new(serde_json::from_value(node).unwrap())],
            ..Snapshot::default()
        }
    }

    fn texts(fault: &TrafficFault) -> Vec<String> {
        let text = |node: &String, rule: &Rule| {
            let Rule { pod, way, peers, ports, ports_of, .. } = rule;
            format!("{node} {pod} {way:?} {} {ports:?} {ports_of:?}", peers.join(","))
        };
        let rules = by_node(fault, &snapshot()).unwrap();
        rules.iter().flat_map(|(node, rules)| rules.iter().map(move |rule| text(node, rule))).collect()
    }

    fn cut(from: Party, to: Party) -> TrafficFault {
        TrafficFault { from: vec![from], to: vec![to], both_ways: false, ports: vec![], effect: Effect::Cut }
    }

    #[test]
    fn packets_are_caught_where_they_arrive_or_else_where_they_leave() {
        let (a, b) = (Party::pod("ns", "a"), Party::pod("ns", "b"));
        let there = "n2 uid-b In 10.0.0.1 [] Destination";
        assert_eq!(texts(&cut(a.clone(), b.clone())), [there]);
        let both = TrafficFault { both_ways: true, ..cut(a.clone(), b) };
        assert_eq!(texts(&both), ["n1 uid-a In 10.0.0.2 [] Destination", there]);
        let outside = cut(a.clone(), Party::Address("198.51.100.0/24".into()));
        assert_eq!(texts(&outside), ["n1 uid-a Out 198.51.100.0/24 [] Destination"]);
        let node = cut(a, Party::Node("n2".into()));
        assert_eq!(texts(&node), ["n1 uid-a Out 192.0.2.2 [] Destination", there]);
    }

    #[test]
    fn conversations_on_ports_are_cut_on_both_of_their_ends() {
        let (a, b) = (Party::pod("ns", "a"), Party::pod("ns", "b"));
        let fault = TrafficFault { both_ways: true, ports: vec![80], ..cut(a, b) };
        let expected = [
            "n1 uid-a In 10.0.0.2 [80] Destination",
            "n1 uid-a In 10.0.0.2 [80] Source",
            "n2 uid-b In 10.0.0.1 [80] Destination",
            "n2 uid-b In 10.0.0.1 [80] Source",
        ];
        assert_eq!(texts(&fault), expected);
    }

    #[test]
    fn what_nobody_can_keep_is_refused() {
        let gone = cut(Party::pod("ns", "gone"), Party::pod("ns", "gone"));
        assert!(by_node(&gone, &snapshot()).unwrap_err().contains("none of its parties"));
        let delay = Effect::Delay { ms: 5, jitter_ms: 0 };
        let late = TrafficFault { effect: delay, ..cut(Party::pod("ns", "a"), Party::pod("ns", "b")) };
        assert!(by_node(&late, &snapshot()).unwrap_err().contains("cannot delay"));
    }
}
