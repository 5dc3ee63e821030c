//! NetworkPolicies as rows of a table. A contract must not be derived from the policies under test, so no row counts until
//! a person has held it against the documentation.

mod parties;
mod peers;

use super::manifests::{Manifest, Manifests, list};
use super::row::{Row, flow, one_line, section};
use super::workload::Workload;
use parties::{METADATA, Party, is_dns, named};
use peers::Peers;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What the policies amount to.
#[derive(Default)]
pub struct Guess {
    restricted_ingress: BTreeSet<String>,
    restricted_egress: BTreeSet<String>,
    /// Parties that are not in the manifests.
    peers: Peers,
    ingress: Vec<Row>,
    egress: Vec<Row>,
    /// What was not understood of the others: nothing is denied by it.
    open: Vec<Row>,
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

const METADATA_QUESTION: &str =
    "The block leaves out private addresses and not 169.254.0.0/16. Is the cloud's metadata service meant?";

pub fn guess(manifests: &Manifests<'_>) -> Guess {
    let names = manifests.workloads.iter().map(|workload| workload.name);
    let mut guess = Guess { peers: Peers::beside(names), ..Guess::default() };
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

/// What a rule says of one destination.
#[derive(Default)]
struct Said {
    ports: Ports,
    /// Ports that no row can list.
    unclear: Vec<String>,
}

/// A rule of a policy and whom it is about.
#[derive(Clone, Copy)]
struct Rule<'r, 'm, 'a> {
    policy: &'r Manifest,
    rule: &'r Value,
    selected: &'r [&'m Workload<'a>],
    direction: Direction,
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
                let rule = Rule { policy, rule, selected: &selected, direction };
                self.rule(manifests, rule, &rule.rule[peers]);
            }
        }
    }

    fn rule<'a>(&mut self, manifests: &Manifests<'a>, rule: Rule<'_, '_, 'a>, peers: &Value) {
        let (parties, unclear) = self.parties(manifests, rule.policy, peers, is_dns(rule.rule));
        if !parties.is_empty() {
            self.rows(manifests, rule, parties, None);
        }
        if !unclear.is_empty() {
            self.rows(manifests, rule, vec![named("anywhere")], Some(&unclear.join(", ")));
        }
    }

    /// The rows of a rule for these parties. Names of ports are those of the destination, so destinations may need rows of
    /// their own.
    fn rows<'a>(
        &mut self,
        manifests: &Manifests<'a>,
        rule: Rule<'_, '_, 'a>,
        parties: Vec<Party<'_, 'a>>,
        unclear: Option<&str>,
    ) {
        let here = || rule.selected.iter().map(|workload| Party::Workload(workload));
        let (from, to): (Vec<Party<'_, 'a>>, Vec<Party<'_, 'a>>) = match rule.direction {
            Direction::Ingress => (parties, here().collect()),
            Direction::Egress => (here().collect(), parties),
        };
        let from: Vec<String> = from.iter().map(Party::name).collect();
        let mut by_ports: BTreeMap<Ports, Vec<String>> = BTreeMap::new();
        for party in &to {
            let Some(said) = self.said(manifests, rule, party) else { continue };
            if !said.unclear.is_empty() {
                let (why, every) = (said.unclear.join(", "), Ports::default());
                self.row(rule, (&from, &[party.name()]), &every, Some(&why));
            }
            if said.unclear.is_empty() || !said.ports.numbers.is_empty() {
                by_ports.entry(said.ports).or_default().push(party.name());
            }
        }
        for (ports, to) in by_ports.into_iter().flat_map(|(ports, to)| apart(&ports, to)) {
            if !to.is_empty() {
                self.row(rule, (&from, &to), &ports, unclear);
            }
        }
    }

    fn row(
        &mut self,
        rule: Rule<'_, '_, '_>,
        (from, to): (&[String], &[String]),
        ports: &Ports,
        unclear: Option<&str>,
    ) {
        let name = rule.policy.name();
        let protocols = match ports.numbers.is_empty() {
            true => json!(["tcp", "udp"]),
            false if ports.protocols.contains("udp") => json!(ports.protocols),
            false => Value::Null,
        };
        let reference = match unclear {
            Some(what) => format!("not understood, so left open: {what} of NetworkPolicy {name}"),
            None => format!("not written down yet, guessed from NetworkPolicy {name}"),
        };
        let row = Row::new(rule.policy.origin())
            .asking((to == [METADATA]).then_some(METADATA_QUESTION))
            .with("from", json!(from))
            .with("to", json!(to))
            .with("ports", if ports.numbers.is_empty() { Value::Null } else { json!(ports.numbers) })
            .with("protocols", protocols)
            .with("reference", reference)
            .with("guessed", true);
        match (unclear, rule.direction) {
            (Some(_), _) => &mut self.open,
            (None, Direction::Ingress) => &mut self.ingress,
            (None, Direction::Egress) => &mut self.egress,
        }
        .push(row);
    }

    /// What a rule says of one destination; nothing where none of its ports is one of it.
    fn said(&mut self, manifests: &Manifests<'_>, rule: Rule<'_, '_, '_>, to: &Party<'_, '_>) -> Option<Said> {
        let mut said = Said::default();
        let asked: Vec<&Value> = list(rule.rule, "ports").collect();
        for port in &asked {
            let (numbers, is_clear) = to.ports(manifests, port);
            let what = || format!("port {} of {}", flow(port), to.name());
            if !numbers.is_empty() {
                said.ports.numbers.extend(numbers);
                said.ports.protocols.insert(if port["protocol"] == "UDP" { "udp" } else { "tcp" });
            } else if is_clear {
                let note = format!("{}: {}", rule.policy.origin(), what());
                self.not_understood.extend((!self.not_understood.contains(&note)).then_some(note));
            }
            if !is_clear {
                said.unclear.push(what());
            }
        }
        let is_something = asked.is_empty() || !said.ports.numbers.is_empty() || !said.unclear.is_empty();
        is_something.then_some(said)
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
        text.push_str("network:\n  promise: network\n  guessed: true\n");
        let lists = [("restrictedIngress", &self.restricted_ingress), ("restrictedEgress", &self.restricted_egress)];
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            let _ = writeln!(text, "  {key}: {}", flow(&json!(list)));
        }
        section(text, "  ", "peers", "", &self.peers.rows());
        section(text, "  ", "ingress", "", &self.ingress);
        section(text, "  ", "egress", "", &self.egress);
        section(text, "  ", "open", OPEN, &self.open);
    }
}

const COMMENT: &str = "\
Who may reach whom, read from the policies themselves: hold each row against what your documentation says, and take
`guessed` away from the rows and peers that are meant, and from the table itself once the lists of who is restricted are
right: then what no row covers is denied, and what a guessed row covers is left open. Nothing of it counts before the
promise `network`, in the list of promises, is confirmed too.";
const OPEN: &str = "\
What was not understood. As long as it is guessed nothing that it covers is denied; put rows of your own in its place.";

/// The metadata service is seldom meant, so it is confirmed or deleted alone.
fn apart(ports: &Ports, to: Vec<String>) -> Vec<(Ports, Vec<String>)> {
    let (metadata, others): (Vec<String>, Vec<String>) = to.into_iter().partition(|party| party == METADATA);
    vec![(ports.clone(), others), (ports.clone(), metadata)]
}
