//! Rules about what a node has left: host ports, room for pods, resources.

use super::Rejection;
use crate::cluster::NodeInfo;
use crate::pod::{HostPort, PodInfo};

pub fn host_ports(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    let taken = |wanted: &HostPort| node.pods.values().flat_map(|p| &p.host_ports).any(|used| clash(wanted, used));
    if pod.host_ports.iter().any(taken) {
        return Err(Rejection::for_now("node(s) didn't have free ports for the requested pod ports"));
    }
    Ok(())
}

fn clash(a: &HostPort, b: &HostPort) -> bool {
    let any = |port: &HostPort| port.ip == "0.0.0.0";
    a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || any(a) || any(b))
}

/// Requests may not exceed what is allocatable. All that is short is named.
pub fn fits(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    let allocatable = |name: &str| node.allocatable.get(name).copied().unwrap_or(0);
    let mut reasons = Vec::new();
    let mut preemption_may_help = true;
    let pods = i128::try_from(node.pods.len()).unwrap_or(i128::MAX);
    if (pods + 1) * 1000 > allocatable("pods") {
        reasons.push("Too many pods".to_owned());
    }
    for (name, wanted) in &pod.requests {
        if *wanted > 0 && *wanted > allocatable(name) - node.requested(name) {
            reasons.push(format!("Insufficient {name}"));
            preemption_may_help &= *wanted <= allocatable(name);
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Rejection { reasons, preemption_may_help }) }
}
