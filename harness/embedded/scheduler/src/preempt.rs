//! Which pods of lower priority would have to go so that a pod fits, and on which node that hurts least.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use embedded_apimachinery::object::{self, int_at, str_at};
use embedded_apimachinery::resource::POD_DISRUPTION_BUDGETS;
use embedded_apimachinery::selector::LabelSelector;

use crate::cluster::{Cluster, NodeInfo};
use crate::decide::Preemption;
use crate::filter::{self, Rejection};
use crate::message;
use crate::pod::PodInfo;

const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";

/// The node and the victims, or the sentence that says why there are none.
pub fn consider(pod: &PodInfo, cluster: &Cluster, rejections: &[(&NodeInfo, Rejection)]) -> Result<Preemption, String> {
    if str_at(&pod.object, "/spec/preemptionPolicy") == "Never" {
        return Err("not eligible due to preemptionPolicy=Never.".into());
    }
    if room_is_being_made(pod, cluster) {
        return Err("not eligible due to terminating pod on the nominated node.".into());
    }
    let mut candidates = Vec::new();
    let mut reasons = Vec::new();
    for (node, rejection) in rejections {
        if !rejection.preemption_may_help {
            reasons.push(NOT_HELPFUL.to_owned());
            continue;
        }
        match victims(pod, node.name(), cluster) {
            Ok(victims) => candidates.push(Preemption { node: node.name().to_owned(), victims }),
            Err(why_not) => reasons.extend(why_not),
        }
    }
    let least_harm = candidates.into_iter().min_by_key(|candidate| harm(&candidate.victims, cluster));
    least_harm.ok_or_else(|| message::unavailable(cluster.nodes.len(), reasons.iter().map(String::as_str)))
}

/// An earlier preemption for this pod is under way.
fn room_is_being_made(pod: &PodInfo, cluster: &Cluster) -> bool {
    let nominated = cluster.nodes.get(str_at(&pod.object, "/status/nominatedNodeName"));
    nominated.is_some_and(|node| {
        node.pods.values().any(|other| other.priority < pod.priority && object::is_deleting(&other.object))
    })
}

/// The fewest pods of lower priority that make room on a node: all go, then as many as possible are spared, the more
/// important first.
fn victims(pod: &PodInfo, node: &str, cluster: &Cluster) -> Result<Vec<Arc<PodInfo>>, Vec<String>> {
    let mut without = cluster.clone();
    let pods = cluster.nodes.get(node).map(|info| info.pods.values().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut lower: Vec<_> = pods.into_iter().filter(|other| other.priority < pod.priority).collect();
    if lower.is_empty() {
        return Err(vec![NO_VICTIMS.into()]);
    }
    for victim in &lower {
        without.remove_pod(victim.uid());
    }
    fits(pod, node, &without).map_err(|rejection| rejection.reasons)?;
    lower.sort_by_key(|victim| (Reverse(victim.priority), started(victim)));
    let mut victims = Vec::new();
    for candidate in lower {
        without.assume(&candidate, node);
        if fits(pod, node, &without).is_err() {
            without.remove_pod(candidate.uid());
            victims.push(candidate);
        }
    }
    Ok(victims)
}

fn fits(pod: &PodInfo, node: &str, cluster: &Cluster) -> Result<(), Rejection> {
    let rejected = |reason: String| Rejection { reasons: vec![reason], preemption_may_help: false };
    let prepared = filter::prepare(pod, cluster).map_err(rejected)?;
    let info = cluster.nodes.get(node).ok_or_else(|| rejected("node(s) are gone".into()))?;
    filter::check(pod, info, cluster, &prepared).map(|_| ())
}

fn started(pod: &PodInfo) -> String {
    str_at(&pod.object, "/status/startTime").to_owned()
}

/// Broken budgets weigh most, then the importance of the victims, then their number.
fn harm(victims: &[Arc<PodInfo>], cluster: &Cluster) -> (usize, i64, i64, usize) {
    let highest = victims.iter().map(|v| v.priority).max().unwrap_or(i64::MIN);
    (broken_budgets(victims, cluster), highest, victims.iter().map(|v| v.priority).sum(), victims.len())
}

/// How many victims go beyond what their budgets allow.
fn broken_budgets(victims: &[Arc<PodInfo>], cluster: &Cluster) -> usize {
    let mut left: BTreeMap<String, i64> = BTreeMap::new();
    let mut broken = 0;
    for victim in victims {
        for budget in cluster.all(&POD_DISRUPTION_BUDGETS) {
            let selects = LabelSelector::from_object(budget.pointer("/spec/selector"));
            if object::namespace(budget) != victim.namespace() || !selects.is_some_and(|s| s.matches(&victim.labels)) {
                continue;
            }
            let allowed = int_at(budget, "/status/disruptionsAllowed").unwrap_or(0);
            let left = left.entry(object::uid(budget).to_owned()).or_insert(allowed);
            *left -= 1;
            broken += usize::from(*left < 0);
        }
    }
    broken
}
