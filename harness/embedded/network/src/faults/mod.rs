//! Faults of the network between some parties: traffic cut, lossy, late or slow, one way or both ways, with counters.
//!
//! - [`nft`]: the table of a fault (pure)
//! - [`delay`]: how packets are made late
//!
//! Each fault has a table of its own, so that it comes and goes without touching anything else. Packets are seen where
//! policies see them, but before connections are told apart: a cut acts on those that stand, too.
//!
//! A node's probes are spared unless the node itself is named: blocks of addresses never mean nodes. Only what passes
//! between pods can be delayed, and by one fault at a time.

mod check;
pub mod delay;
pub mod nft;

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

use serde_json::Value;
use tokio::sync::Mutex;

use crate::address::{CONTROL_PLANE, NODE_CIDR, NodeIndex};
use crate::error::{Doing, Result};
use crate::netns::NetNs;
use crate::nft as tables;
use crate::policies::addresses::Addresses;
use check::{check, check_name};
use delay::{Detour, Wait};

/// Where each pod is, by namespace and name.
pub(crate) type PodAddresses = BTreeMap<(String, String), Vec<Ipv4Addr>>;

/// What happens to the traffic between two groups of parties.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    Pod {
        namespace: String,
        name: String,
    },
    /// The node's own address and all pods on it. Its pods talk to each other as before.
    Node(NodeIndex),
    /// An address or a block of them. A block means no nodes, whatever it spans.
    Addresses(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// Nothing arrives.
    Cut,
    /// Each packet is lost with this chance.
    Loss { percent: f64 },
    /// What exceeds this much in each direction is lost.
    Rate { kilobytes_per_second: u32 },
    /// Each packet arrives later.
    Delay(Wait),
}

/// The packets that a fault has looked at, and those it has dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub seen: u64,
    pub dropped: u64,
    /// Those that went on after their time.
    pub delayed: u64,
}

/// The faults of one network.
#[derive(Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pods: PodAddresses,
    standing: BTreeMap<String, Standing>,
    /// How many detours there have been: the number of the next one.
    detours: u16,
}

struct Standing {
    fault: Fault,
    /// The addresses that the kernel has.
    sides: Sides,
    /// For a delay.
    detour: Option<Detour>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    pub from: Addresses,
    pub to: Addresses,
}

impl Faults {
    pub async fn put(&self, namespace: &NetNs, name: &str, fault: Fault) -> Result<()> {
        let doing = || format!("disturb the network ({name})");
        check(name, &fault).map_err(io::Error::other).doing(doing)?;
        let mut state = self.state.lock().await;
        let unknown = |party: &&Party| match party {
            Party::Pod { namespace, name } => !state.pods.contains_key(&(namespace.clone(), name.clone())),
            _ => false,
        };
        if let Some(Party::Pod { namespace, name }) = fault.from.iter().chain(&fault.to).find(unknown) {
            return Err(io::Error::other(format!("no pod {namespace}/{name} is on the network"))).doing(doing);
        }
        let sides = sides(&fault, &state.pods);
        let detour = match fault.effect {
            Effect::Delay(wait) => {
                state.detours = state.detours.wrapping_add(1);
                Some(Detour::open(namespace, state.detours, wait).await?)
            }
            _ => None,
        };
        let text = nft::render(name, &fault, &sides, detour.as_ref());
        if let Err(error) = tables::load(namespace, "load the rules of a fault with `nft`", text).await {
            // The first error is the one to report.
            let _ = close(Some(Standing { fault, sides, detour })).await;
            return Err(error);
        }
        let replaced = state.standing.insert(name.to_owned(), Standing { fault, sides, detour });
        close(replaced).await
    }

    pub async fn remove(&self, namespace: &NetNs, name: &str) -> Result<()> {
        check_name(name).map_err(io::Error::other).doing(|| format!("restore the network ({name})"))?;
        let mut state = self.state.lock().await;
        tables::load(namespace, "remove the rules of a fault with `nft`", nft::remove(name)).await?;
        close(state.standing.remove(name)).await
    }

    pub async fn counters(&self, namespace: &NetNs, name: &str) -> Result<Counters> {
        let doing = || format!("read the counters of {name}");
        let state = self.state.lock().await;
        let Some(standing) = state.standing.get(name) else {
            return Err(io::Error::other("there is no such fault")).doing(doing);
        };
        let (delayed, dropped) = standing.detour.as_ref().map_or((0, 0), Detour::counts);
        let table = nft::table(name);
        let command = ["list", "counters", "table", "ip", &table].map(str::to_owned).to_vec();
        let answer = tables::ask(namespace, "read the counters of a fault with `nft`", command).await?;
        let counted = read_counters(&answer);
        Ok(Counters { delayed, dropped: counted.dropped + dropped, ..counted })
    }

    /// Takes note of where pods are; faults follow them. What fails is tried again at the next change.
    pub async fn follow(&self, namespace: &NetNs, pods: PodAddresses) {
        let mut state = self.state.lock().await;
        if state.pods == pods {
            return;
        }
        let now = state.standing.iter().map(|(name, standing)| (name.clone(), sides(&standing.fault, &pods)));
        let now: BTreeMap<String, Sides> = now.collect();
        let moved = now.iter().filter(|(name, now)| state.standing.get(*name).is_some_and(|old| old.sides != **now));
        let text: String = moved.map(|(name, now)| nft::update(name, now)).collect();
        if !text.is_empty()
            && let Err(error) = tables::load(namespace, "update the rules of faults with `nft`", text).await
        {
            tracing::error!(%error, "network faults are not up to date");
            return;
        }
        for (name, sides) in now {
            if let Some(standing) = state.standing.get_mut(&name) {
                standing.sides = sides;
            }
        }
        state.pods = pods;
    }
}

/// A fault that is gone leaves no detour.
async fn close(fault: Option<Standing>) -> Result<()> {
    match fault.and_then(|standing| standing.detour) {
        Some(detour) => detour.close().await,
        None => Ok(()),
    }
}

fn sides(fault: &Fault, pods: &PodAddresses) -> Sides {
    let side = |parties: &[Party]| {
        let mut all = Addresses::default();
        for party in parties {
            all.add(&addresses(party, pods));
        }
        all
    };
    Sides { from: side(&fault.from), to: side(&fault.to) }
}

fn addresses(party: &Party, pods: &PodAddresses) -> Addresses {
    match party {
        Party::Pod { namespace, name } => {
            let found = pods.get(&(namespace.clone(), name.clone()));
            found.into_iter().flatten().copied().collect()
        }
        Party::Node(node) => {
            let mut all: Addresses = std::iter::once(node.address()).collect();
            all.add(&Addresses::block(&node.pod_cidr()).unwrap_or_default());
            all
        }
        Party::Addresses(text) => block(text).unwrap_or_default(),
    }
}

/// The addresses of a block without the nodes', or the one address.
fn block(text: &str) -> Option<Addresses> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(std::iter::once(address).collect());
    }
    let all = Addresses::block(text)?;
    let mut nodes = Addresses::block(NODE_CIDR)?;
    nodes = nodes.without(&std::iter::once(CONTROL_PLANE).collect());
    Some(all.without(&nodes))
}

fn read_counters(answer: &Value) -> Counters {
    let count = |name: &str| {
        let counters = answer["nftables"].as_array().into_iter().flatten().filter_map(|entry| entry.get("counter"));
        counters.filter(|counter| counter["name"] == name).filter_map(|counter| counter["packets"].as_u64()).sum()
    };
    Counters { seen: count("seen"), dropped: count("dropped"), delayed: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(addresses: &Addresses) -> Vec<String> {
        addresses.texts().collect()
    }

    #[test]
    fn parties_stand_for_their_addresses() {
        let pods = PodAddresses::from([(("ns".into(), "a".into()), vec![Ipv4Addr::new(10, 244, 1, 2)])]);
        let pod = |name: &str| Party::Pod { namespace: "ns".into(), name: name.into() };
        for (party, expected) in [
            (pod("a"), vec!["10.244.1.2"]),
            (pod("gone"), vec![]),
            (Party::Node(NodeIndex::new(2).unwrap()), vec!["10.200.0.2", "10.244.2.0-10.244.2.255"]),
            (Party::Addresses("10.200.0.1".into()), vec!["10.200.0.1"]),
            (Party::Addresses("10.200.0.0/24".into()), vec!["10.200.0.254"]),
            (Party::Addresses("10.244.0.0/16".into()), vec!["10.244.0.0-10.244.255.255"]),
        ] {
            assert_eq!(texts(&addresses(&party, &pods)), expected, "{party:?}");
        }
    }

    #[test]
    fn counters_are_read_by_name() {
        let answer = serde_json::json!({"nftables": [
            {"metainfo": {}},
            {"counter": {"name": "seen", "packets": 7, "bytes": 1}},
            {"counter": {"name": "dropped", "packets": 3, "bytes": 1}},
        ]});
        assert_eq!(read_counters(&answer), Counters { seen: 7, dropped: 3, delayed: 0 });
    }
}
