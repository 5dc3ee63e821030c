//! Why a pod does not fit, in the words of Kubernetes.

use std::collections::BTreeMap;

/// The sentence about the nodes: how many there are, and how many each reason concerns, in order of text.
pub fn unavailable<'a>(nodes: usize, reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut parts: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    format!("0/{nodes} nodes are available: {}.", parts.join(", "))
}

/// What a person reads when no node will do and preemption was considered.
pub fn with_preemption(nodes: &str, preemption: &str) -> String {
    format!("{nodes} no new claims to deallocate, preemption: {preemption}")
}

/// When something is wrong with the pod itself, whatever the node.
pub fn hopeless(nodes: usize, why: &str) -> String {
    format!("0/{nodes} nodes are available: {why}. not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted_as_text() {
        let reasons = ["b", "a", "b", "a", "a", "a", "a", "a", "a", "a", "a", "a"];
        assert_eq!(unavailable(12, reasons.into_iter()), "0/12 nodes are available: 10 a, 2 b.");
        assert_eq!(unavailable(3, ["b", "b", "a"].into_iter()), "0/3 nodes are available: 1 a, 2 b.");
    }
}
