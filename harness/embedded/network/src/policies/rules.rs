//! What policies are compiled to: which chain judges the packets of which pod, and what each chain lets pass.
//!
//! A packet between two addresses passes when it belongs to a connection's answers, or when it is in `always`, or when
//! the source's egress chain and the destination's ingress chain, as far as there are any, both let it pass.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::addresses::Addresses;
use super::model::Protocol;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The pods that were compiled. Others are not to talk before they are.
    pub known: BTreeSet<Ipv4Addr>,
    /// Sources and destinations that policies do not part: a pod from itself and from its own node.
    pub always: BTreeSet<(Ipv4Addr, Ipv4Addr)>,
    /// The chain, by its place in `chains`, of each source that is restricted.
    pub egress: BTreeMap<Ipv4Addr, usize>,
    /// As `egress`, of each destination.
    pub ingress: BTreeMap<Ipv4Addr, usize>,
    pub chains: Vec<Chain>,
}

/// What may pass to pods that the same policies select. What no element allows is dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chain {
    pub direction: Direction,
    pub allows: Vec<Allow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    Ingress,
    Egress,
}

/// What one rule of a policy allows. `None` means all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allow {
    /// `namespace/name` of the policy, for people.
    pub policy: String,
    pub peers: Option<Addresses>,
    pub ports: Option<BTreeSet<PortRange>>,
}

/// Ports of a protocol, both ends included. Ranges of one rule do not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    pub protocol: Protocol,
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    /// Ranges that meet become one.
    pub(super) fn join(ranges: impl IntoIterator<Item = Self>) -> BTreeSet<Self> {
        let sorted: BTreeSet<Self> = ranges.into_iter().filter(|range| range.first <= range.last).collect();
        let mut joined: Vec<Self> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match joined.last_mut() {
                Some(before) if before.protocol == range.protocol && range.first <= before.last.saturating_add(1) => {
                    before.last = before.last.max(range.last);
                }
                _ => joined.push(range),
            }
        }
        joined.into_iter().collect()
    }
}
