//! The address plan of a cluster. Every cluster uses the same one, since every cluster has a namespace of its own.
//!
//! | what | addresses |
//! |---|---|
//! | pods of node *i* | `10.244.i.2` to `10.244.i.254` |
//! | node *i* | `10.200.0.i` |
//! | control plane: the API server | `10.200.0.254` |
//! | DNS, among the addresses of pods since that is what it is to policies | `10.244.0.10` |
//! | Services | `10.96.0.0/16`, of which `10.96.0.1` is `kubernetes` and `10.96.0.10` DNS |
//! | the pods' default gateway | `169.254.1.1`, which nobody has: its link address is known to every pod |
//! | a host outside the cluster | `192.0.2.10` |
//! | the cloud's metadata service | `169.254.169.254` |

use std::net::Ipv4Addr;

/// Where the API server listens inside the cluster's namespace.
pub const CONTROL_PLANE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 254);

/// Where the DNS server listens inside the cluster's namespace. Elsewhere DNS is a pod, and policies select it as one;
/// no node has this number, so no other pod has this address.
pub const DNS_SERVER: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 10);

/// A host outside the cluster, for what may or may not leave it: documentation addresses (RFC 5737) are nobody's.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// Where clouds tell their machines about themselves.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Node addresses, and with them the addresses that node ports are reachable at.
pub const NODE_CIDR: &str = "10.200.0.0/24";

pub const POD_CIDR: &str = "10.244.0.0/16";

pub const SERVICE_NETWORK: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 0);
pub const SERVICE_PREFIX: u8 = 16;
pub const SERVICE_CIDR: &str = "10.96.0.0/16";

/// The ClusterIP of the `kubernetes` Service.
pub const KUBERNETES_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The ClusterIP of the `kube-dns` Service: the name server of every pod.
pub const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

pub const POD_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The link address of the cluster's end of every veth pair.
pub const GATEWAY_MAC: [u8; 6] = [0xee; 6];

/// The zone of cluster-internal names.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// A node's number, from 1 to [`NodeIndex::MAX`]: its addresses follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(u8);

impl NodeIndex {
    /// Higher ones would collide with [`CONTROL_PLANE`].
    pub const MAX: u8 = 250;

    /// `None` for 0 and beyond [`Self::MAX`].
    pub fn new(index: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&index).then_some(Self(index))
    }

    pub fn get(self) -> u8 {
        self.0
    }

    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 200, 0, self.0)
    }

    /// `spec.podCIDR` of the node.
    pub fn pod_cidr(self) -> String {
        format!("10.244.{}.0/24", self.0)
    }

    /// The address of the pod with this number on this node.
    pub fn pod_address(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.0, host)
    }

    /// The node that a pod's address belongs to; `None` for other addresses.
    pub fn of_pod(address: Ipv4Addr) -> Option<Self> {
        match address.octets() {
            [10, 244, node, _] => Self::new(node),
            _ => None,
        }
    }
}

/// The link address of a pod's interface.
pub fn pod_mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_node_follows_from_its_address() {
        let node = NodeIndex::new(3).unwrap();
        assert_eq!(NodeIndex::of_pod(node.pod_address(9)), Some(node));
        assert_eq!(NodeIndex::of_pod(node.address()), None);
        assert_eq!(NodeIndex::of_pod(DNS_SERVICE), None);
    }

    #[test]
    fn no_node_takes_the_control_planes_address() {
        let all = (0..=u8::MAX).filter_map(NodeIndex::new);
        assert!(all.clone().all(|node| node.address() != CONTROL_PLANE));
        assert_eq!(all.count(), usize::from(NodeIndex::MAX));
    }
}
