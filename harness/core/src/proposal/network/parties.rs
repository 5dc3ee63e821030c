//! Who is meant by the peers of a policy's rules, and on which of their ports.

use super::super::manifests::{Manifest, Manifests, list};
use super::super::row::flow;
use super::super::workload::Workload;
use super::{Guess, peers};
use crate::dns;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub const METADATA: &str = "metadata";
/// Its addresses are no private ones, so a block that leaves out those has them.
const METADATA_ADDRESSES: &str = "169.254.";

/// Who is meant by a peer of a rule.
pub enum Party<'m, 'a> {
    Workload(&'m Workload<'a>),
    Named(String),
}

impl Party<'_, '_> {
    pub fn name(&self) -> String {
        match self {
            Self::Workload(workload) => workload.name.to_owned(),
            Self::Named(name) => name.clone(),
        }
    }

    /// The ports of its own that a rule's port is, and whether that is all that the rule says of it.
    pub fn ports(&self, manifests: &Manifests<'_>, port: &Value) -> (BTreeSet<u16>, bool) {
        let first = port["port"].as_u64().and_then(|number| u16::try_from(number).ok());
        let last = port["endPort"].as_u64().and_then(|number| u16::try_from(number).ok());
        match (self, last) {
            (Self::Workload(workload), None) => {
                let known = manifests.ports(workload);
                let number = workload.port(&port["port"]);
                (number.filter(|number| known.iter().any(|(_, port)| port == number)).into_iter().collect(), true)
            }
            (Self::Workload(workload), Some(last)) => {
                let among = |number: &u16| first.is_some_and(|first| (first..=last).contains(number));
                (manifests.ports(workload).into_iter().map(|(_, number)| number).filter(among).collect(), false)
            }
            (Self::Named(_), None) => (first.into_iter().collect(), first.is_some()),
            (Self::Named(_), Some(_)) => (BTreeSet::new(), false),
        }
    }
}

impl Guess {
    /// Who is meant by the peers of a rule, and those of them that are not understood. None listed means everybody.
    pub(super) fn parties<'m, 'a>(
        &mut self,
        manifests: &'m Manifests<'a>,
        policy: &Manifest,
        peers: &Value,
        is_dns: bool,
    ) -> (Vec<Party<'m, 'a>>, Vec<String>) {
        let Some(peers) = peers.as_array().filter(|peers| !peers.is_empty()) else {
            return (vec![named("anywhere")], vec![]);
        };
        let mut parties: BTreeMap<String, Party<'m, 'a>> = BTreeMap::new();
        let mut unclear = Vec::new();
        for peer in peers {
            match self.party(manifests, policy, peer, is_dns) {
                Some(found) => parties.extend(found.into_iter().map(|party| (party.name(), party))),
                None => unclear.push(format!("peer {}", flow(peer))),
            }
        }
        (parties.into_values().collect(), unclear)
    }

    fn party<'m, 'a>(
        &mut self,
        manifests: &'m Manifests<'a>,
        policy: &Manifest,
        peer: &Value,
        is_dns: bool,
    ) -> Option<Vec<Party<'m, 'a>>> {
        if let Some(block) = peer["ipBlock"]["cidr"].as_str() {
            return addresses(block, &peer["ipBlock"]["except"]);
        }
        let (pods, spaces) = (&peer["podSelector"], &peer["namespaceSelector"]);
        if !spaces.is_null() && is_dns {
            return Some(vec![named("dns")]);
        }
        let is_every_namespace = spaces.as_object().is_some_and(serde_json::Map::is_empty);
        if is_every_namespace && pods.is_null() {
            return Some(vec![named("anywhere")]);
        }
        let space = if spaces.is_null() { policy.namespace() } else { namespace_meant(spaces)? };
        let (labels, has_more) = (peers::labels(pods), list(pods, "matchExpressions").next().is_some());
        let found: Vec<Party<'m, 'a>> = manifests.selected(space, pods).map(Party::Workload).collect();
        if found.is_empty() && has_more {
            return None;
        }
        // Every pod of a namespace is more than the workloads that are known there.
        let others = (found.is_empty() || (labels.is_null() && !has_more))
            .then(|| Party::Named(self.peers.name(policy, space, labels)));
        Some(found.into_iter().chain(others).collect())
    }
}

pub fn named<'m, 'a>(name: &str) -> Party<'m, 'a> {
    Party::Named(name.to_owned())
}

/// Whether a rule is about nothing but names.
pub fn is_dns(rule: &Value) -> bool {
    let mut ports = list(rule, "ports").peekable();
    ports.peek().is_some() && ports.all(|port| port["port"] == 53)
}

/// Hosts outside by a block of addresses, where it is all of them or all but private ones.
fn addresses<'m, 'a>(block: &str, except: &Value) -> Option<Vec<Party<'m, 'a>>> {
    if block != "0.0.0.0/0" && block != "::/0" {
        return None;
    }
    let Some(except) = except.as_array().filter(|except| !except.is_empty()) else {
        return Some(vec![named("anywhere")]);
    };
    let spares_metadata = except.iter().filter_map(Value::as_str).any(|block| block.starts_with(METADATA_ADDRESSES));
    let parties = if spares_metadata { vec!["outside"] } else { vec!["outside", METADATA] };
    Some(parties.into_iter().map(named).collect())
}

/// The namespace that labels mean: by the label that every namespace has, or by the one that people give.
fn namespace_meant(selector: &Value) -> Option<&str> {
    let labels = &selector["matchLabels"];
    let name = ["kubernetes.io/metadata.name", "name"].iter().find_map(|key| labels[*key].as_str());
    name.filter(|name| dns::is_label(name))
}
