//! Evictions made on purpose: one that the budget allows must be granted, and one more than it allows refused.

use crate::workload::now_us;
use gauntlet_cluster::nodes::{self, Eviction};
use gauntlet_cluster::ready;
use gauntlet_cluster::view::Snapshot;
use gauntlet_core::Trouble;
use gauntlet_core::contract::policy::{Budget, Disruption};
use gauntlet_core::contract::workload::Workload;
use gauntlet_core::judgement::disruption::{Eviction as Asked, Evictions, Late};
use gauntlet_engine::Lab;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use std::time::Duration;

/// How long the pods of a budget may take to be all ready again after the attempts.
const READY_AGAIN_WITHIN: Duration = Duration::from_secs(120);

/// How long an API server that has too much to do is waited for.
const SERVER_HAS_TIME_WITHIN: Duration = Duration::from_secs(60);

/// How many evictions a budget allows when all `replicas` are ready.
pub fn allowed(allows: Disruption, replicas: u32) -> u32 {
    match allows {
        Disruption::MinAvailable(min) => replicas.saturating_sub(min),
        Disruption::MaxUnavailable(max) => max.min(replicas),
    }
}

/// Evicts pods of a budget's workload one after the other, without waiting for any to come back, until one is refused
/// or one more has been granted than the contract allows. Then waits until all are ready again.
///
/// # Errors
/// The pods were not all ready and counted to begin with, or the API gave neither a grant nor a refusal.
pub async fn exhaust(lab: &Lab, budget: &Budget, workload: &Workload) -> Result<Evictions, Trouble> {
    let replicas = lab.deployment().replicas(workload);
    let limit = allowed(budget.allows, replicas);
    let what = format!("all pods of {} to be ready, and its budget to count them", workload.name.value);
    let counted = |snapshot: &Snapshot| {
        all_ready(workload, replicas, snapshot).and_then(|()| all_counted(workload, replicas, snapshot))
    };
    lab.view().until(&what, READY_AGAIN_WITHIN, lab.progress(), counted).await?;
    let mut asked = Vec::new();
    let mut pods = ready::pods_of(workload, &lab.view().snapshot());
    // The last member first, as its controller would take them down.
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.name_any()));
    for pod in pods.iter().filter(|pod| ready::is_ready(pod)).take(usize::try_from(limit + 1).unwrap_or(usize::MAX)) {
        let Some(one) = evict(lab, workload, pod, asked.is_empty()).await? else { continue };
        let came_to = if one.refused.is_none() { "granted" } else { "refused" };
        lab.acted(&format!("eviction of {}: {came_to}", one.pod));
        let enough = one.refused.is_some();
        asked.push(one);
        if enough {
            break;
        }
    }
    let what = format!("all pods of {} to be ready again", workload.name.value);
    let back = |snapshot: &Snapshot| all_ready(workload, replicas, snapshot);
    let returned = lab.view().until(&what, READY_AGAIN_WITHIN, lab.progress(), back).await;
    Ok(Evictions {
        promise: budget.promise.as_str().to_owned(),
        workload: workload.name.value.clone(),
        replicas,
        limit,
        asked,
        not_back: returned.err().map(|trouble| Late { at_us: now_us(), why: trouble.message }),
    })
}

/// Asks for an eviction; `None` when the pod is gone. The first may wait for a server that has too much to do; those after it may not, since meanwhile
/// the pods before would come back.
///
/// # Errors
/// The server had no time.
async fn evict(lab: &Lab, workload: &Workload, pod: &Pod, may_wait: bool) -> Result<Option<Asked>, Trouble> {
    let (namespace, name) = (&workload.namespace.value, pod.name_any());
    let answered = |refused| Ok(Some(Asked { at_us: now_us(), pod: name.clone(), refused }));
    let until = tokio::time::Instant::now() + if may_wait { SERVER_HAS_TIME_WITHIN } else { Duration::ZERO };
    loop {
        let again = match nodes::evict(lab.access(), namespace, &name).await? {
            Eviction::Granted => return answered(None),
            Eviction::Refused { why } => return answered(Some(why)),
            Eviction::Gone => return Ok(None),
            Eviction::Busy { again } => again,
        };
        if tokio::time::Instant::now() + again > until {
            return Err(Trouble::harness(format!("the API server had no time to evict {namespace}/{name}"))
                .hint("run again when the cluster has less to do"));
        }
        tokio::time::sleep(again).await;
    }
}

fn all_ready(workload: &Workload, replicas: u32, snapshot: &Snapshot) -> Result<(), String> {
    let ready = ready::pods_of(workload, snapshot).iter().filter(|pod| ready::is_ready(pod)).count();
    if ready >= replicas as usize { Ok(()) } else { Err(format!("{ready}/{replicas} ready")) }
}

/// Whether the budgets that select the workload, if there are any, have seen all of its pods: what a budget says is true
/// only of what it has observed.
fn all_counted(workload: &Workload, replicas: u32, snapshot: &Snapshot) -> Result<(), String> {
    for budget in snapshot.budgets.iter().filter(|budget| selects(budget, workload)) {
        let status = budget.status.as_ref();
        let observed = status.and_then(|status| status.observed_generation);
        let healthy = status.and_then(|status| status.current_healthy).unwrap_or(0);
        if observed != budget.metadata.generation || u32::try_from(healthy).unwrap_or(0) < replicas {
            return Err(format!("budget {} counts {healthy} of {replicas} as healthy", budget.name_any()));
        }
    }
    Ok(())
}

/// Whether a budget selects the workload by its labels.
fn selects(budget: &PodDisruptionBudget, workload: &Workload) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let wanted = selector.and_then(|selector| selector.match_labels.as_ref());
    budget.namespace().as_deref() == Some(workload.namespace.value.as_str())
        && wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| workload.labels.get(key) == Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_allow_what_is_above_their_floor() {
        assert_eq!(allowed(Disruption::MinAvailable(4), 6), 2);
        assert_eq!(allowed(Disruption::MaxUnavailable(1), 2), 1);
        assert_eq!(allowed(Disruption::MinAvailable(3), 2), 0);
    }
}
