//! Which pod addresses of a node are taken.
//!
//! Addresses are handed out in turn, so that a freed one comes back only after all others: clients that still hold the
//! address of a dead pod then reach nobody rather than somebody else.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::address::NodeIndex;

const FIRST: u8 = 2;
const LAST: u8 = 254;

/// The addresses of one node.
#[derive(Debug)]
pub struct Pool {
    node: NodeIndex,
    taken: BTreeSet<u8>,
    next: u8,
}

impl Pool {
    pub fn new(node: NodeIndex) -> Self {
        Self { node, taken: BTreeSet::new(), next: FIRST }
    }

    /// The next free address; `None` when the node has none left.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let host = (self.next..=LAST).chain(FIRST..self.next).find(|host| !self.taken.contains(host))?;
        self.taken.insert(host);
        self.next = if host == LAST { FIRST } else { host + 1 };
        Some(self.node.pod_address(host))
    }

    /// Gives an address back. One of another node, or one that is free, changes nothing.
    pub fn release(&mut self, address: Ipv4Addr) {
        if NodeIndex::of_pod(address) == Some(self.node) {
            self.taken.remove(&address.octets()[3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::new(NodeIndex::new(1).unwrap())
    }

    #[test]
    fn freed_addresses_come_back_last() {
        let mut pool = pool();
        let first = pool.take().unwrap();
        pool.release(first);
        let rest: Vec<_> = (0..252).map(|_| pool.take().unwrap()).collect();
        assert!(!rest.contains(&first));
        assert_eq!(pool.take(), Some(first));
    }

    #[test]
    fn a_full_node_has_no_address() {
        let mut pool = pool();
        let all: BTreeSet<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(all.len(), 253);
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn addresses_of_other_nodes_are_not_released() {
        let mut pool = pool();
        while pool.take().is_some() {}
        pool.release(NodeIndex::new(2).unwrap().pod_address(5));
        assert_eq!(pool.take(), None);
    }
}
