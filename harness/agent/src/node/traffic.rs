//! Faults of the traffic in the networks of pods: a table of nftables each, with counters.
//!
//! Packets are seen within the pod's own network, where a packet that comes in has its sender's address even when it was
//! sent to a Service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use gauntlet_core::node_agent::{Answer, End, PacketEffect, Rule, Way};
use serde_json::Value;

use super::netns::{self, Network};

/// What may exceed a limited rate at once, in kilobytes: the kernel hands packets over in bundles of up to 64.
const BURST: u32 = 128;

/// The faults in effect: the networks of the pods that each is in.
pub struct Faults {
    /// What the names of all tables of the run begin with.
    prefix: String,
    by_id: BTreeMap<String, BTreeMap<String, Network>>,
}

impl Faults {
    /// # Errors
    /// The name of the run cannot be part of a table's.
    pub fn of(run: &str) -> Result<Self> {
        check_name(run)?;
        Ok(Self { prefix: format!("gauntlet-{run}-"), by_id: BTreeMap::new() })
    }

    fn table(&self, id: &str) -> Result<String> {
        check_name(id)?;
        Ok(format!("{}{id}", self.prefix))
    }

    /// # Errors
    /// What could not be put into effect; the rest of it is.
    pub fn put(&mut self, proc: &Path, id: &str, rules: Vec<Rule>) -> Result<()> {
        let table = self.table(id)?;
        let known = self.by_id.entry(id.to_owned()).or_default();
        let pods: BTreeSet<String> = rules.iter().map(|rule| rule.pod.clone()).collect();
        let mut failed = Vec::new();
        for (pod, network) in std::mem::take(known) {
            if pods.contains(&pod) {
                known.insert(pod, network);
            } else {
                // A network that is gone took the table with it.
                let _ = remove_from(&network, &table);
            }
        }
        for pod in pods {
            let own: Vec<&Rule> = rules.iter().filter(|rule| rule.pod == pod).collect();
            let network = known.get(&pod).cloned().map_or_else(|| netns::of_pod(proc, &pod), Ok);
            let put = network.and_then(|network| network.nft(&["-f", "-"], &render(&table, &own)).map(|_| network));
            match put {
                Ok(network) => drop(known.insert(pod, network)),
                Err(error) => failed.push(format!("pod {pod}: {error:#}")),
            }
        }
        if failed.is_empty() { Ok(()) } else { bail!("not in effect everywhere: {}", failed.join("; ")) }
    }

    /// Whether it was there.
    ///
    /// # Errors
    /// What could not be removed; it stays known.
    pub fn remove(&mut self, id: &str) -> Result<bool> {
        let table = self.table(id)?;
        let Some(pods) = self.by_id.remove(id) else { return Ok(false) };
        let mut left = BTreeMap::new();
        let mut failed = Vec::new();
        for (pod, network) in pods {
            if let Err(error) = remove_from(&network, &table) {
                failed.push(format!("pod {pod}: {error:#}"));
                left.insert(pod, network);
            }
        }
        if failed.is_empty() {
            return Ok(true);
        }
        self.by_id.insert(id.to_owned(), left);
        bail!("still in effect: {}", failed.join("; "))
    }

    /// How many there were.
    pub fn remove_all(&mut self) -> usize {
        let ids: Vec<String> = self.by_id.keys().cloned().collect();
        for id in &ids {
            if let Err(error) = self.remove(id) {
                tracing::error!(error = format!("{error:#}"), "a fault of the traffic is left");
            }
        }
        ids.len()
    }

    /// # Errors
    /// There is no such fault here.
    pub fn count(&self, id: &str) -> Result<Answer> {
        let pods = self.by_id.get(id).with_context(|| format!("there is no fault {id} here"))?;
        let table = self.table(id)?;
        let (mut seen, mut dropped) = (0, 0);
        for network in pods.values() {
            let answer = network.nft(&["-j", "list", "counters", "table", "inet", &table], "")?;
            let answer: Value = serde_json::from_str(&answer).context("`nft` does not answer with JSON")?;
            seen += packets(&answer, "seen");
            dropped += packets(&answer, "dropped");
        }
        Ok(Answer::Packets { seen, dropped })
    }

    /// Removes every table of the run from every container's network.
    ///
    /// # Errors
    /// The first that cannot be removed; the others are.
    pub fn remove_left(&self, proc: &Path) -> Result<()> {
        let mut result = Ok(());
        for network in netns::all(proc) {
            let removed = network.nft(&["list", "tables"], "").and_then(|tables| {
                let names = tables.lines().filter_map(|line| line.strip_prefix("table inet "));
                let mut left = names.filter(|name| name.starts_with(&self.prefix));
                left.try_for_each(|table| remove_from(&network, table))
            });
            result = result.and(removed);
        }
        result
    }
}

fn remove_from(network: &Network, table: &str) -> Result<()> {
    network.nft(&["-f", "-"], &format!("table inet {table} {{}}\ndelete table inet {table}\n")).map(drop)
}

/// It becomes part of a table's name.
fn check_name(name: &str) -> Result<()> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=48).contains(&name.len()) && name.chars().all(letter) {
        return Ok(());
    }
    bail!("the name {name:?} is not made of 1 to 48 of a-z, 0-9 and -")
}

/// The whole table; when it is there already, its rules are replaced at once and its counters go on.
fn render(table: &str, rules: &[&Rule]) -> String {
    let mut text = format!("table inet {table} {{\n\tcounter seen {{}}\n\tcounter dropped {{}}\n");
    for way in [Way::In, Way::Out] {
        let hook = hook(way);
        let _ = writeln!(text, "\tchain {hook} {{ type filter hook {hook} priority -150; }}");
    }
    let _ =
        writeln!(text, "}}\nflush chain inet {table} {}\nflush chain inet {table} {}", hook(Way::In), hook(Way::Out));
    for rule in rules {
        for line in lines(rule) {
            let _ = writeln!(text, "add rule inet {table} {} {line}", hook(rule.way));
        }
    }
    text
}

fn hook(way: Way) -> &'static str {
    match way {
        Way::In => "input",
        Way::Out => "output",
    }
}

fn lines(rule: &Rule) -> Vec<String> {
    let (six, four): (Vec<&String>, Vec<&String>) = rule.peers.iter().partition(|peer| peer.contains(':'));
    let side = match rule.way {
        Way::In => "saddr",
        Way::Out => "daddr",
    };
    let families = [("ip", four), ("ip6", six)].into_iter().filter(|(_, peers)| !peers.is_empty());
    let ports = ports(rule);
    let effect = match rule.effect {
        PacketEffect::Cut => String::new(),
        PacketEffect::Loss { percent } => format!("numgen random mod 100 < {percent} "),
        PacketEffect::Rate { kilobytes_per_second } => {
            format!("limit rate over {kilobytes_per_second} kbytes/second burst {BURST} kbytes ")
        }
    };
    let line = |(family, peers): (&str, Vec<&String>)| {
        let peers: Vec<&str> = peers.into_iter().map(String::as_str).collect();
        format!("{family} {side} {{ {} }} {ports}counter name seen {effect}counter name dropped drop", peers.join(", "))
    };
    families.map(line).collect()
}

fn ports(rule: &Rule) -> String {
    if rule.ports.is_empty() {
        return String::new();
    }
    let end = match rule.ports_of {
        End::Source => "sport",
        End::Destination => "dport",
    };
    let ports: Vec<String> = rule.ports.iter().map(u16::to_string).collect();
    format!("meta l4proto {{ tcp, udp, sctp }} th {end} {{ {} }} ", ports.join(", "))
}

fn packets(answer: &Value, name: &str) -> u64 {
    let counters = answer["nftables"].as_array().into_iter().flatten().filter_map(|entry| entry.get("counter"));
    counters.filter(|counter| counter["name"] == name).filter_map(|counter| counter["packets"].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(way: Way, peers: &[&str], ports: &[u16], effect: PacketEffect) -> Rule {
        let peers = peers.iter().map(|peer| (*peer).to_owned()).collect();
        Rule { pod: "u".into(), way, peers, ports: ports.to_vec(), ports_of: End::Destination, effect }
    }

    #[test]
    fn rules_say_who_which_way_and_what() {
        for (rule, expected) in [
            (
                rule(Way::In, &["10.0.0.1", "10.0.1.0/24"], &[], PacketEffect::Cut),
                vec!["ip saddr { 10.0.0.1, 10.0.1.0/24 } counter name seen counter name dropped drop"],
            ),
            (
                rule(Way::Out, &["10.0.0.1", "fd00::1"], &[1, 2], PacketEffect::Loss { percent: 5 }),
                vec![
                    "ip daddr { 10.0.0.1 } meta l4proto { tcp, udp, sctp } th dport { 1, 2 } counter name seen numgen \
                     random mod 100 < 5 counter name dropped drop",
                    "ip6 daddr { fd00::1 } meta l4proto { tcp, udp, sctp } th dport { 1, 2 } counter name seen numgen \
                     random mod 100 < 5 counter name dropped drop",
                ],
            ),
            (rule(Way::In, &[], &[], PacketEffect::Cut), vec![]),
        ] {
            assert_eq!(lines(&rule), expected);
        }
    }

    #[test]
    fn a_table_that_is_there_keeps_its_counters() {
        let text = render("gauntlet-a", &[&rule(Way::In, &["10.0.0.1"], &[], PacketEffect::Cut)]);
        assert!(text.starts_with("table inet gauntlet-a {\n\tcounter seen {}"), "{text}");
        assert!(!text.contains("delete"), "{text}");
        assert!(text.contains("flush chain inet gauntlet-a input"), "{text}");
        assert!(text.contains("add rule inet gauntlet-a input ip saddr { 10.0.0.1 } counter name seen"), "{text}");
    }

    #[test]
    fn what_cannot_name_a_table_are_refused() {
        assert!(check_name("traffic-0a").is_ok());
        for bad in ["", "a b", "a;b", "A"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
