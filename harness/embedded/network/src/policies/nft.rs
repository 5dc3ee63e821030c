//! The nftables table for compiled policies, and the changes that lead from one to the next.
//!
//! Pods pass `forward` on their way to each other, and `input` on their way to what the cluster's namespace itself
//! holds: nodes, the API server, DNS, hosts outside. What comes from there passes `output`, where nothing is judged:
//! it counts as the pod's own node. Packets are seen with the addresses behind Services, since destinations are
//! changed before either hook.
//!
//! Only packets of the side that opened a connection are judged, and each of them: answers pass, and a change of
//! policies acts on connections that stand.
//!
//! A pod that is in no map is closed. A table is changed, not replaced: a packet that is on its way through rules when
//! their generation ends no longer finds what ended with it. Sets of peers and chains are therefore named by their
//! content and never changed, and pods that nothing happened to stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use super::model::Protocol;
use super::rules::{Allow, Chain, Direction, PortRange, Rules};
use crate::address::POD_CIDR;
use crate::faults::nft::pass_returning;
use crate::nft::{replace_table, set};

/// The table that belongs to policies.
pub const TABLE: &str = "policies";

/// nft refuses longer comments.
const COMMENT_LIMIT: usize = 120;

/// A set of peers in the words of nftables.
const PEERS: &str = "ipv4_addr\n\t\tflags interval";

/// The table, in parts that can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Elements by set.
    peers: BTreeMap<String, Vec<String>>,
    /// Rules by chain.
    chains: BTreeMap<String, Vec<String>>,
    always: BTreeSet<(Ipv4Addr, Ipv4Addr)>,
    /// What becomes of packets from a pod, and to a pod.
    egress: BTreeMap<Ipv4Addr, String>,
    ingress: BTreeMap<Ipv4Addr, String>,
}

impl Table {
    pub fn of(rules: &Rules) -> Self {
        let mut table = Self { always: rules.always.clone(), ..Self::default() };
        let names: Vec<String> = rules.chains.iter().map(|chain| table.add_chain(chain)).collect();
        let verdict = |chains: &BTreeMap<Ipv4Addr, usize>, pod: &Ipv4Addr, open: &str| {
            chains.get(pod).map_or_else(|| open.to_owned(), |place| format!("goto {}", names[*place]))
        };
        table.egress = rules.known.iter().map(|pod| (*pod, verdict(&rules.egress, pod, "goto arrive"))).collect();
        table.ingress = rules.known.iter().map(|pod| (*pod, verdict(&rules.ingress, pod, "accept"))).collect();
        table
    }

    fn add_chain(&mut self, chain: &Chain) -> String {
        let (direction, side, pass) = match chain.direction {
            Direction::Ingress => ("ingress", "saddr", "accept"),
            Direction::Egress => ("egress", "daddr", "goto arrive"),
        };
        let mut lines: Vec<String> = chain.allows.iter().flat_map(|allow| self.lines(allow, side, pass)).collect();
        lines.push("drop".to_owned());
        let name = format!("{direction}-{}", digest(&lines));
        self.chains.insert(name.clone(), lines);
        name
    }

    /// One rule per protocol.
    fn lines(&mut self, allow: &Allow, side: &str, pass: &str) -> Vec<String> {
        let peers = allow.peers.as_ref().map_or_else(String::new, |peers| {
            let elements: Vec<String> = peers.texts().collect();
            let name = format!("peers-{}", digest(&elements));
            self.peers.insert(name.clone(), elements);
            format!("ip {side} @{name} ")
        });
        let mut comment = allow.policy.clone();
        comment.truncate(COMMENT_LIMIT);
        ports(allow).into_iter().map(|ports| format!("{peers}{ports}{pass} comment \"{comment}\"")).collect()
    }

    /// Everything, replacing what is there when it is loaded.
    pub fn render(&self) -> String {
        let mut text = replace_table(TABLE);
        set(&mut text, "set always", "ipv4_addr . ipv4_addr", self.always.iter().map(pair));
        for (name, elements) in &self.peers {
            set(&mut text, &format!("set {name}"), PEERS, elements.iter().cloned());
        }
        for (name, verdicts) in [("egress", &self.egress), ("ingress", &self.ingress)] {
            set(&mut text, &format!("map {name}"), "ipv4_addr : verdict", verdicts.iter().map(verdict));
        }
        for (name, lines) in &self.chains {
            chain(&mut text, name, lines);
        }
        text.push_str(&hooks());
        text.push_str("}\n");
        text
    }

    /// What leads from this table to the next, in one transaction; nothing where they are equal.
    pub fn update(&self, next: &Self) -> String {
        let mut added = String::new();
        for (name, elements) in next.peers.iter().filter(|(name, _)| !self.peers.contains_key(*name)) {
            set(&mut added, &format!("set {name}"), PEERS, elements.iter().cloned());
        }
        for (name, lines) in next.chains.iter().filter(|(name, _)| !self.chains.contains_key(*name)) {
            chain(&mut added, name, lines);
        }
        let mut text = String::new();
        if !added.is_empty() {
            let _ = write!(text, "table ip {TABLE} {{\n{added}}}\n");
        }
        let mut change = |verb: &str, set: &str, elements: Vec<String>| {
            if !elements.is_empty() {
                let _ = writeln!(text, "{verb} element ip {TABLE} {set} {{ {} }}", elements.join(", "));
            }
        };
        change("delete", "always", self.always.difference(&next.always).map(pair).collect());
        change("add", "always", next.always.difference(&self.always).map(pair).collect());
        let maps = [("egress", &self.egress, &next.egress), ("ingress", &self.ingress, &next.ingress)];
        for (name, before, after) in maps {
            let gone = before.iter().filter(|(pod, verdict)| after.get(*pod) != Some(verdict));
            change("delete", name, gone.map(|(pod, _)| pod.to_string()).collect());
            let come = after.iter().filter(|(pod, verdict)| before.get(*pod) != Some(verdict));
            change("add", name, come.map(verdict).collect());
        }
        for name in self.chains.keys().filter(|name| !next.chains.contains_key(*name)) {
            let _ = writeln!(text, "delete chain ip {TABLE} {name}");
        }
        for name in self.peers.keys().filter(|name| !next.peers.contains_key(*name)) {
            let _ = writeln!(text, "delete set ip {TABLE} {name}");
        }
        text
    }
}

fn pair((from, to): &(Ipv4Addr, Ipv4Addr)) -> String {
    format!("{from} . {to}")
}

fn verdict((pod, verdict): (&Ipv4Addr, &String)) -> String {
    format!("{pod} : {verdict}")
}

fn chain(text: &mut String, name: &str, lines: &[String]) {
    let _ = writeln!(text, "\tchain {name} {{");
    for line in lines {
        let _ = writeln!(text, "\t\t{line}");
    }
    text.push_str("\t}\n");
}

/// A short name for a content (FNV-1a).
fn digest(lines: &[String]) -> String {
    let bytes = lines.iter().flat_map(|line| line.bytes().chain([0]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// One match per protocol; an empty one for everything.
fn ports(allow: &Allow) -> Vec<String> {
    let Some(ranges) = &allow.ports else { return vec![String::new()] };
    let mut by_protocol: BTreeMap<Protocol, Vec<String>> = BTreeMap::new();
    for PortRange { protocol, first, last } in ranges {
        let ports = by_protocol.entry(*protocol).or_default();
        match (first, last) {
            (0, &u16::MAX) => {}
            (first, last) if first == last => ports.push(first.to_string()),
            (first, last) => ports.push(format!("{first}-{last}")),
        }
    }
    let matches = by_protocol.into_iter().map(|(protocol, ports)| match ports.is_empty() {
        true => format!("meta l4proto {} ", protocol.name()),
        false => format!("{} dport {{ {} }} ", protocol.name(), ports.join(", ")),
    });
    matches.collect()
}

fn hooks() -> String {
    format!(
        "\tchain arrive {{
\t\tip daddr != {POD_CIDR} accept
\t\tip daddr vmap @ingress
\t\tdrop
\t}}
\tchain judge {{
\t\tct state established ct direction reply accept
\t\tct state related accept
\t\tip saddr . ip daddr @always accept
\t\tip saddr != {POD_CIDR} goto arrive
\t\tip saddr vmap @egress
\t\tdrop
\t}}
\tchain forward {{
\t\ttype filter hook forward priority 10
\t\t{}
\t\tjump judge
\t}}
\tchain input {{
\t\ttype filter hook input priority 10
\t\tiif != \"lo\" jump judge
\t}}
",
        pass_returning()
    )
}
