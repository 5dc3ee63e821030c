//! Faults of the traffic between some parties, as data, and what can be asked of a cluster's network.

pub use gauntlet_core::node_agent::Dialled;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What happens to the traffic between two groups of parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrafficFault {
    pub from: Vec<Party>,
    pub to: Vec<Party>,
    /// Also from `to` to `from`. With ports this means whole conversations with these ports on either side; without it,
    /// what `from` sends to these ports of `to`.
    pub both_ways: bool,
    /// Empty means all traffic.
    pub ports: Vec<u16>,
    pub effect: Effect,
}

/// Who takes part in traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// By name: a pod that comes back with another address is meant, too.
    Pod { namespace: String, name: String },
    /// The node's own address and all pods on it; the only party that probes of the kubelet belong to.
    Node(String),
    /// `10.0.0.1` or `10.0.0.0/24`.
    Address(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing arrives, on connections that stand neither.
    Cut,
    /// Each packet is lost with this chance.
    Loss { percent: u8 },
    /// What exceeds this much in each direction is lost.
    #[serde(rename_all = "kebab-case")]
    Rate { kilobytes_per_second: u32 },
    /// Each packet between pods arrives so much later, give or take.
    #[serde(rename_all = "kebab-case")]
    Delay { ms: u32, jitter_ms: u32 },
}

/// The packets that a fault has looked at, those it has dropped, and those it has let go on after their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Counters {
    pub seen: u64,
    pub dropped: u64,
    pub delayed: u64,
}

/// A host that is not the cluster's, which pods reach where policies allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideHost {
    /// `outside`, or `metadata` for the cloud's metadata service.
    pub name: String,
    pub address: IpAddr,
    /// The ports that answer.
    pub tcp: Vec<u16>,
    pub udp: Vec<u16>,
}

impl Party {
    pub fn pod(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::Pod { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Address(address) => f.write_str(address),
        }
    }
}

/// As in `cut` or `lose 5 % of`, with what it is done to behind.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("cut"),
            Self::Loss { percent } => write!(f, "lose {percent} % of"),
            Self::Rate { kilobytes_per_second } => write!(f, "limit to {kilobytes_per_second} kB/s"),
            Self::Delay { ms, jitter_ms: 0 } => write!(f, "delay by {ms} ms"),
            Self::Delay { ms, jitter_ms } => write!(f, "delay by {ms} ± {jitter_ms} ms"),
        }
    }
}

/// As in `cut the traffic between a/b and node c on ports 1, 2`.
impl fmt::Display for TrafficFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |parties: &[Party]| parties.iter().map(Party::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "{} the traffic", self.effect)?;
        let (from, to) = (names(&self.from), names(&self.to));
        match self.both_ways {
            true => write!(f, " between {from} and {to}")?,
            false => write!(f, " from {from} to {to}")?,
        }
        match self.ports.as_slice() {
            [] => Ok(()),
            [port] => write!(f, " on port {port}"),
            ports => {
                write!(f, " on ports {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_reads_as_what_it_does() {
        let one_way = TrafficFault {
            from: vec![Party::pod("a", "b"), Party::Node("n".into())],
            to: vec![Party::Address("10.0.0.0/8".into())],
            both_ways: false,
            ports: vec![80, 81],
            effect: Effect::Cut,
        };
        assert_eq!(one_way.to_string(), "cut the traffic from a/b, node n to 10.0.0.0/8 on ports 80, 81");
        let lossy = TrafficFault { both_ways: true, ports: vec![], effect: Effect::Loss { percent: 5 }, ..one_way };
        assert_eq!(lossy.to_string(), "lose 5 % of the traffic between a/b, node n and 10.0.0.0/8");
    }

    #[test]
    fn a_fault_is_written_as_the_nodes_read_it() {
        let fault = TrafficFault {
            from: vec![Party::pod("a", "b"), Party::Node("n".into())],
            to: vec![Party::Address("10.0.0.1".into())],
            both_ways: true,
            ports: vec![],
            effect: Effect::Rate { kilobytes_per_second: 9 },
        };
        let written = serde_json::to_value(&fault).unwrap();
        let expected = json!({"from": [{"pod": {"namespace": "a", "name": "b"}}, {"node": "n"}],
            "to": [{"address": "10.0.0.1"}], "both-ways": true, "ports": [],
            "effect": {"rate": {"kilobytes-per-second": 9}}});
        assert_eq!(written, expected);
        assert_eq!(serde_json::to_value(Effect::Cut).unwrap(), "cut");
        assert_eq!(serde_json::from_value::<TrafficFault>(written).unwrap(), fault);
    }
}
