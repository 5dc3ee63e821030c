//! The decision about one pod.

use std::sync::Arc;

use crate::cluster::{Cluster, NodeInfo};
use crate::filter::{self, ClaimPlan, Rejection};
use crate::pod::PodInfo;
use crate::{message, preempt, score};

#[derive(Clone, Debug)]
pub enum Decision {
    /// Run it there, once the claims are seen to.
    Place { node: String, claims: Vec<ClaimPlan> },
    /// No node will do. `message` says why, as Kubernetes words it.
    Unschedulable { message: String, preemption: Option<Preemption> },
}

/// Pods of lower priority that make room on a node when they go.
#[derive(Clone, Debug)]
pub struct Preemption {
    pub node: String,
    pub victims: Vec<Arc<PodInfo>>,
}

/// Decides where a pod should run. Does nothing about it.
pub fn schedule(pod: &PodInfo, cluster: &Cluster) -> Decision {
    let nodes = cluster.nodes.len();
    if nodes == 0 {
        return Decision::Unschedulable { message: "no nodes available to schedule pods".into(), preemption: None };
    }
    let prepared = match filter::prepare(pod, cluster) {
        Ok(prepared) => prepared,
        Err(why) => return Decision::Unschedulable { message: message::hopeless(nodes, &why), preemption: None },
    };
    let mut fitting: Vec<(&NodeInfo, Vec<ClaimPlan>)> = Vec::new();
    let mut rejections: Vec<(&NodeInfo, Rejection)> = Vec::new();
    for node in cluster.nodes.values() {
        match filter::check(pod, node, cluster, &prepared) {
            Ok(claims) => fitting.push((node, claims)),
            Err(rejection) => rejections.push((node, rejection)),
        }
    }
    let candidates: Vec<&NodeInfo> = fitting.iter().map(|(node, _)| *node).collect();
    match score::best(pod, &candidates, cluster) {
        Some(best) => {
            let claims = fitting.into_iter().find(|(node, _)| node.name() == best.name()).map(|(_, claims)| claims);
            Decision::Place { node: best.name().to_owned(), claims: claims.unwrap_or_default() }
        }
        None => unschedulable(pod, cluster, &rejections),
    }
}

fn unschedulable(pod: &PodInfo, cluster: &Cluster, rejections: &[(&NodeInfo, Rejection)]) -> Decision {
    let reasons = rejections.iter().flat_map(|(_, rejection)| rejection.reasons.iter().map(String::as_str));
    let why = message::unavailable(cluster.nodes.len(), reasons);
    match preempt::consider(pod, cluster, rejections) {
        Ok(preemption) => Decision::Unschedulable { message: why, preemption: Some(preemption) },
        Err(why_not) => Decision::Unschedulable { message: message::with_preemption(&why, &why_not), preemption: None },
    }
}
