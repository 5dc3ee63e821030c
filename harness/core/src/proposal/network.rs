//! NetworkPolicies as rows of a table. A contract must not be derived from the policies under test, so no row counts until
//! a person has held it against the documentation.

use super::manifests::{Manifest, Manifests, list};
use super::row::{Row, flow, one_line, section};
use super::workload::Workload;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What the policies amount to.
#[derive(Default)]
pub struct Guess {
    restricted_ingress: BTreeSet<String>,
    restricted_egress: BTreeSet<String>,
    /// Parties that are not in the manifests, by name.
    peers: BTreeMap<String, Row>,
    ingress: Vec<Row>,
    egress: Vec<Row>,
    /// What has no row, and why.
    not_understood: Vec<String>,
    /// Where the policies are.
    pub origins: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

const METADATA: &str = "metadata";
/// Its addresses are no private ones, so a block that leaves out those has them.
const METADATA_ADDRESSES: &str = "169.254.";
const METADATA_QUESTION: &str =
    "The block leaves out private addresses and not 169.254.0.0/16. Is the cloud's metadata service meant?";

pub fn guess(manifests: &Manifests<'_>) -> Guess {
    let mut guess = Guess::default();
    for policy in manifests.of_kind("NetworkPolicy") {
        guess.policy(manifests, policy);
    }
    guess
}

/// Ports of a rule by protocol; no port means every one.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Ports {
    numbers: BTreeSet<u16>,
    protocols: BTreeSet<&'static str>,
}

/// Who is meant by a peer of a rule.
enum Party<'m, 'a> {
    Workload(&'m Workload<'a>),
    Named(String),
}

impl Party<'_, '_> {
    fn name(&self) -> String {
        match self {
            Self::Workload(workload) => workload.name.to_owned(),
            Self::Named(name) => name.clone(),
        }
    }
}

impl Guess {
    pub fn restricts(&self) -> bool {
        !self.restricted_ingress.is_empty() || !self.restricted_egress.is_empty()
    }

    fn policy(&mut self, manifests: &Manifests<'_>, policy: &Manifest) {
        let spec = &policy.object["spec"];
        let selected: Vec<&Workload<'_>> = manifests.selected(policy.namespace(), &spec["podSelector"]).collect();
        if selected.is_empty() {
            self.not_understood.push(format!("{} selects no workload of the manifests", policy.origin()));
            return;
        }
        self.origins.insert(policy.file.clone());
        let says = |kind: &str| list(spec, "policyTypes").any(|known| known == kind);
        let unsaid = spec["policyTypes"].is_null();
        for (direction, applies, rules, peers) in [
            (Direction::Ingress, unsaid || says("Ingress"), "ingress", "from"),
            (Direction::Egress, says("Egress") || (unsaid && !spec["egress"].is_null()), "egress", "to"),
        ] {
            if !applies {
                continue;
            }
            let restricted = match direction {
                Direction::Ingress => &mut self.restricted_ingress,
                Direction::Egress => &mut self.restricted_egress,
            };
            restricted.extend(selected.iter().map(|workload| workload.name.to_owned()));
            for rule in list(spec, rules) {
                self.rule(manifests, policy, &selected, direction, (rule, &rule[peers]));
            }
        }
    }

    /// The rows of a rule. Names of ports are those of the destination, so destinations may need rows of their own.
    fn rule<'a>(
        &mut self,
        manifests: &Manifests<'a>,
        policy: &Manifest,
        selected: &[&Workload<'a>],
        direction: Direction,
        (rule, peers): (&Value, &Value),
    ) {
        let parties = self.parties(manifests, policy, peers, is_dns(rule));
        let here = || selected.iter().map(|workload| Party::Workload(workload));
        let (from, to): (Vec<Party<'_, 'a>>, Vec<Party<'_, 'a>>) = match direction {
            Direction::Ingress => (parties, here().collect()),
            Direction::Egress => (here().collect(), parties),
        };
        let mut by_ports: BTreeMap<Ports, Vec<String>> = BTreeMap::new();
        for party in &to {
            if let Some(ports) = self.ports(manifests, policy, rule, party) {
                by_ports.entry(ports).or_default().push(party.name());
            }
        }
        let from: Vec<String> = from.iter().map(Party::name).collect();
        for (ports, to) in by_ports.into_iter().flat_map(|(ports, to)| apart(&ports, to)) {
            if from.is_empty() || to.is_empty() {
                continue;
            }
            let is_metadata = to == [METADATA];
            let row = Row::new(policy.origin())
                .asking(is_metadata.then_some(METADATA_QUESTION))
                .with("from", json!(from))
                .with("to", json!(to))
                .with("ports", if ports.numbers.is_empty() { Value::Null } else { json!(ports.numbers) })
                .with("protocols", if ports.protocols.contains("udp") { json!(ports.protocols) } else { Value::Null })
                .with("reference", format!("not written down yet, guessed from NetworkPolicy {}", policy.name()))
                .with("guessed", true);
            match direction {
                Direction::Ingress => &mut self.ingress,
                Direction::Egress => &mut self.egress,
            }
            .push(row);
        }
    }

    /// The ports of a rule at one destination; nothing where none of them is one of it.
    fn ports(
        &mut self,
        manifests: &Manifests<'_>,
        policy: &Manifest,
        rule: &Value,
        to: &Party<'_, '_>,
    ) -> Option<Ports> {
        let mut ports = Ports::default();
        let asked: Vec<&Value> = list(rule, "ports").collect();
        for port in &asked {
            let protocol = if port["protocol"] == "UDP" { "udp" } else { "tcp" };
            let number = match to {
                Party::Workload(workload) => {
                    let known = manifests.ports(workload);
                    workload.port(&port["port"]).filter(|number| known.iter().any(|(_, port)| port == number))
                }
                Party::Named(_) => port["port"].as_u64().and_then(|number| u16::try_from(number).ok()),
            };
            match number.filter(|_| port["endPort"].is_null()) {
                Some(number) => {
                    ports.numbers.insert(number);
                    ports.protocols.insert(protocol);
                }
                None => self.not_understood.push(format!("{}: port {} of {}", policy.origin(), flow(port), to.name())),
            }
        }
        (asked.is_empty() || !ports.numbers.is_empty()).then_some(ports)
    }

    /// Who is meant by the peers of a rule. None listed means everybody.
    fn parties<'m, 'a>(
        &mut self,
        manifests: &'m Manifests<'a>,
        policy: &Manifest,
        peers: &Value,
        is_dns: bool,
    ) -> Vec<Party<'m, 'a>> {
        let Some(peers) = peers.as_array().filter(|peers| !peers.is_empty()) else { return vec![named("anywhere")] };
        let mut parties: BTreeMap<String, Party<'m, 'a>> = BTreeMap::new();
        for peer in peers {
            match self.party(manifests, policy, peer, is_dns) {
                Some(found) => parties.extend(found.into_iter().map(|party| (party.name(), party))),
                None => self.not_understood.push(format!("{}: peer {}", policy.origin(), flow(peer))),
            }
        }
        parties.into_values().collect()
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
        let found: Vec<Party<'m, 'a>> = manifests.selected(space, pods).map(Party::Workload).collect();
        if !found.is_empty() {
            return Some(found);
        }
        if !list(pods, "matchExpressions").collect::<Vec<_>>().is_empty() {
            return None;
        }
        let labels = pods["matchLabels"].as_object().filter(|labels| !labels.is_empty());
        let label = labels.and_then(|labels| labels.values().next()).and_then(Value::as_str);
        let name = label.map_or_else(|| format!("pods-of-{space}"), |label| format!("{space}-{label}"));
        let row = Row::new(policy.origin()).with("name", name.clone()).with("namespace", space);
        self.peers.insert(name.clone(), row.with("labels", labels.map_or(Value::Null, |labels| json!(labels))));
        Some(vec![Party::Named(name)])
    }

    /// The table, for a person to confirm row by row.
    pub fn write(&self, text: &mut String) {
        if !self.restricts() {
            return;
        }
        for line in COMMENT.lines() {
            let _ = writeln!(text, "# {line}");
        }
        for what in &self.not_understood {
            let _ = writeln!(text, "# Not understood, so add a row if one is meant: {}", one_line(what));
        }
        text.push_str("network:\n  promise: network\n");
        let lists = [("restrictedIngress", &self.restricted_ingress), ("restrictedEgress", &self.restricted_egress)];
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            let _ = writeln!(text, "  {key}: {}", flow(&json!(list)));
        }
        let peers: Vec<Row> = self.peers.values().cloned().collect();
        section(text, "  ", "peers", "", &peers);
        section(text, "  ", "ingress", "", &self.ingress);
        section(text, "  ", "egress", "", &self.egress);
    }
}

const COMMENT: &str = "\
Who may reach whom, read from the policies themselves: hold each row against what your documentation says, and take
`guessed` away from those that are meant. What a guessed row covers is probed and told; what no row covers is denied.
`promise: network` is confirmed above, among the promises.";

fn named<'m, 'a>(name: &str) -> Party<'m, 'a> {
    Party::Named(name.to_owned())
}

/// The metadata service is seldom meant, so it is confirmed or deleted alone.
fn apart(ports: &Ports, to: Vec<String>) -> Vec<(Ports, Vec<String>)> {
    let (metadata, others): (Vec<String>, Vec<String>) = to.into_iter().partition(|party| party == METADATA);
    vec![(ports.clone(), others), (ports.clone(), metadata)]
}

/// Whether a rule is about nothing but names.
fn is_dns(rule: &Value) -> bool {
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
    ["kubernetes.io/metadata.name", "name"].iter().find_map(|key| labels[*key].as_str())
}
