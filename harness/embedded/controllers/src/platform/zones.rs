//! How many nodes of a zone are lost, and what follows for evictions: when most are, the trouble is likely not theirs.
//!
//! Rules: kubernetes.io/docs/concepts/architecture/nodes, "Rate limits on eviction", with the defaults of
//! kube-controller-manager for small clusters: evictions stop in a zone of which most nodes are lost.

use std::time::Duration;

use embedded_apimachinery::object;
use serde_json::Value;

/// `--node-eviction-rate`: 0.1 nodes per second.
pub const BETWEEN_EVICTIONS: Duration = Duration::from_secs(10);

/// `--unhealthy-zone-threshold`, in percent.
const THRESHOLD: usize = 55;

/// Fewer lost nodes than this are no disruption of a zone, whatever their share.
const AT_LEAST: usize = 3;

/// What the loss of nodes amounts to, for the pods of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disruption {
    /// Single nodes are lost.
    None,
    /// Most nodes of the zone are lost, and some are well.
    Partial,
    /// Every node of every zone is lost.
    Everywhere,
}

/// The zone of a node; nodes without labels share one.
pub fn zone(node: &Value) -> (&str, &str) {
    let label = |name: &str| object::label(node, name).unwrap_or_default();
    (label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

/// `nodes` are the zones of all nodes and whether each is ready.
pub fn disruption<Z: PartialEq>(nodes: impl Iterator<Item = (Z, bool)>, zone: Z) -> Disruption {
    let (mut lost_here, mut here, mut ready) = (0, 0, 0);
    for (of, is_ready) in nodes {
        ready += usize::from(is_ready);
        here += usize::from(of == zone);
        lost_here += usize::from(of == zone && !is_ready);
    }
    match (ready, lost_here) {
        (0, _) => Disruption::Everywhere,
        // A zone that is lost as a whole is evicted as single nodes are, since others can take its pods.
        (_, lost) if lost < here && lost >= AT_LEAST && lost * 100 >= THRESHOLD * here => Disruption::Partial,
        _ => Disruption::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_nodes_most_of_a_zone_and_everything_are_told_apart() {
        for (nodes, expected) in [
            ("a+ a+ a+ a-", Disruption::None),
            ("a+ a+ a- a-", Disruption::None),
            ("a+ a-", Disruption::None),
            ("a+ a- a-", Disruption::None),
            ("a+ a- a- a-", Disruption::Partial),
            ("a+ a+ a+ a- a- a-", Disruption::None),
            ("a+ a+ a- a- a-", Disruption::Partial),
            ("a-", Disruption::Everywhere),
            ("a- a- a- a-", Disruption::Everywhere),
            ("a- a- a- a- b-", Disruption::Everywhere),
            ("a- a- a- a- b+", Disruption::None),
            ("a+ a- a- a- b+ b+ b+ b+", Disruption::Partial),
        ] {
            let all = nodes.split(' ').map(|node| (&node[..1], node.ends_with('+')));
            assert_eq!(disruption(all, "a"), expected, "{nodes}");
        }
    }
}
