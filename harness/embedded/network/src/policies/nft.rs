//! The nftables ruleset for compiled policies.
//!
//! Pods pass `forward` on their way to each other, and `input` on their way to what the cluster's namespace itself
//! holds: nodes, the API server, DNS, hosts outside. What comes from there passes `output`, where nothing is judged:
//! it counts as the pod's own node. Packets are seen with the addresses behind Services, since destinations are
//! changed before either hook.
//!
//! Only packets of the side that opened a connection are judged, and each of them: answers pass, and a change of
//! policies acts on connections that stand.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::addresses::Addresses;
use super::model::Protocol;
use super::rules::{Allow, Chain, Direction, PortRange, Rules};
use crate::address::POD_CIDR;
use crate::nft::{replace_table, set};

/// The table that belongs to policies.
pub const TABLE: &str = "policies";

/// nft refuses longer comments.
const COMMENT_LIMIT: usize = 120;

/// Everything of [`TABLE`], replacing what is there when it is loaded.
pub fn render(rules: &Rules) -> String {
    let mut text = replace_table(TABLE);
    set(&mut text, "set known", "ipv4_addr", rules.known.iter().map(ToString::to_string));
    let pairs = rules.always.iter().map(|(from, to)| format!("{from} . {to}"));
    set(&mut text, "set always", "ipv4_addr . ipv4_addr", pairs);
    for (name, chains) in [("egress", &rules.egress), ("ingress", &rules.ingress)] {
        let jumps = chains.iter().map(|(pod, place)| format!("{pod} : jump {name}-{place}"));
        set(&mut text, &format!("map {name}"), "ipv4_addr : verdict", jumps);
    }
    let mut peers = PeerSets::default();
    let chains: Vec<String> = rules.chains.iter().enumerate().map(|(n, chain)| peers.chain(n, chain)).collect();
    for (addresses, name) in &peers.names {
        let kind = "ipv4_addr\n\t\tflags interval";
        set(&mut text, &format!("set {name}"), kind, addresses.texts());
    }
    text.push_str(&chains.concat());
    text.push_str(&hooks());
    text.push_str("}\n");
    text
}

/// Named sets of peers: rules with equal peers share one.
#[derive(Default)]
struct PeerSets {
    names: BTreeMap<Addresses, String>,
}

impl PeerSets {
    fn chain(&mut self, place: usize, chain: &Chain) -> String {
        let (name, side) = match chain.direction {
            Direction::Ingress => ("ingress", "saddr"),
            Direction::Egress => ("egress", "daddr"),
        };
        let mut text = format!("\tchain {name}-{place} {{\n");
        for allow in &chain.allows {
            self.allow(&mut text, side, allow);
        }
        text.push_str("\t\tdrop\n\t}\n");
        text
    }

    fn allow(&mut self, text: &mut String, side: &str, allow: &Allow) {
        let peers = allow.peers.as_ref().map_or_else(String::new, |peers| {
            let next = format!("peers-{}", self.names.len());
            format!("ip {side} @{} ", self.names.entry(peers.clone()).or_insert(next))
        });
        let mut comment = allow.policy.clone();
        comment.truncate(COMMENT_LIMIT);
        for ports in ports(allow) {
            let _ = writeln!(text, "\t\t{peers}{ports}return comment \"{comment}\"");
        }
    }
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
        "\tchain judge {{
\t\tct state established ct direction reply accept
\t\tct state related accept
\t\tip saddr {POD_CIDR} ip saddr != @known drop
\t\tip daddr {POD_CIDR} ip daddr != @known drop
\t\tip saddr . ip daddr @always accept
\t\tip saddr vmap @egress
\t\tip daddr vmap @ingress
\t}}
\tchain forward {{
\t\ttype filter hook forward priority 10
\t\tjump judge
\t}}
\tchain input {{
\t\ttype filter hook input priority 10
\t\tiif != \"lo\" jump judge
\t}}
"
    )
}
