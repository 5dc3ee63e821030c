//! Rules about volumes: bound ones must be usable on the node, unbound ones must be possible there.

use embedded_apimachinery::object::{self, list_at, str_at};
use embedded_apimachinery::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use embedded_apimachinery::{Object, volume_match};

use super::Rejection;
use crate::cluster::{Cluster, NodeInfo};
use crate::pod::PodInfo;

/// A storage class whose volumes somebody makes by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// What to do about an unbound claim once the node is chosen.
#[derive(Clone, Debug)]
pub enum ClaimPlan {
    /// Reserve this volume for it.
    Bind { claim: Object, volume: Object },
    /// Have one made for the node.
    Provision { claim: Object },
}

/// The claims of a pod.
pub struct VolumeRules {
    bound: Vec<Object>,
    unbound: Vec<Object>,
    /// Another pod has exclusive use of one of the claims on this node.
    exclusive_elsewhere: bool,
}

impl VolumeRules {
    /// The error says why no node will do.
    pub fn new(pod: &PodInfo, cluster: &Cluster) -> Result<Self, String> {
        let mut rules = Self { bound: Vec::new(), unbound: Vec::new(), exclusive_elsewhere: false };
        let mut immediate = false;
        for name in volume_match::claim_names(&pod.object) {
            let claim = cluster.get(&PERSISTENT_VOLUME_CLAIMS, pod.namespace(), &name);
            let claim = claim.ok_or_else(|| format!("persistentvolumeclaim \"{name}\" not found"))?;
            let volume = str_at(claim, "/spec/volumeName");
            if str_at(claim, "/status/phase") == "Lost" {
                return Err(format!(
                    "persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""
                ));
            }
            if object::is_deleting(claim) {
                return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
            }
            rules.exclusive_elsewhere |= is_exclusive(claim) && in_use_by_another(pod, &name, cluster);
            if volume_match::is_bound(claim) {
                let volume = cluster.get(&PERSISTENT_VOLUMES, "", volume).ok_or_else(|| {
                    format!("persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\"")
                })?;
                rules.bound.push(volume.clone());
            } else if volume_match::waits_for_consumer(cluster.class_of(claim)) && volume.is_empty() {
                rules.unbound.push(claim.clone());
            } else {
                immediate = true;
            }
        }
        if immediate {
            return Err("pod has unbound immediate PersistentVolumeClaims".into());
        }
        Ok(rules)
    }

    pub fn check(&self, node: &NodeInfo, cluster: &Cluster) -> Result<Vec<ClaimPlan>, Rejection> {
        if self.exclusive_elsewhere {
            return Err(Rejection::for_now(
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by \
                 another pod",
            ));
        }
        if self.bound.iter().any(|volume| !volume_match::usable_on(volume, &node.object)) {
            return Err(Rejection::hopeless("node(s) didn't match PersistentVolume's node affinity"));
        }
        let mut plans: Vec<ClaimPlan> = Vec::new();
        for claim in &self.unbound {
            let plan = self.plan(claim, node, cluster, &plans);
            plans.push(
                plan.ok_or_else(|| Rejection::hopeless("node(s) didn't find available persistent volumes to bind"))?,
            );
        }
        Ok(plans)
    }

    fn plan(&self, claim: &Object, node: &NodeInfo, cluster: &Cluster, taken: &[ClaimPlan]) -> Option<ClaimPlan> {
        let free = |volume: &&Object| {
            !taken
                .iter()
                .any(|t| matches!(t, ClaimPlan::Bind { volume: v, .. } if object::name(v) == object::name(volume)))
        };
        let volumes: Vec<&Object> = cluster.all(&PERSISTENT_VOLUMES).filter(free).collect();
        if let Some(volume) = volume_match::find(volumes.into_iter(), claim, Some(&node.object)) {
            return Some(ClaimPlan::Bind { claim: claim.clone(), volume: volume.clone() });
        }
        let class = cluster.class_of(claim)?;
        let allowed = list_at(class, "/allowedTopologies");
        let makes = !matches!(str_at(class, "/provisioner"), "" | NO_PROVISIONER);
        let here = allowed.is_empty() || allowed.iter().any(|term| topology_matches(term, node));
        (makes && here).then(|| ClaimPlan::Provision { claim: claim.clone() })
    }
}

fn topology_matches(term: &serde_json::Value, node: &NodeInfo) -> bool {
    list_at(term, "/matchLabelExpressions").iter().all(|expression| {
        let value = node.label(str_at(expression, "/key"));
        value.is_some_and(|value| list_at(expression, "/values").iter().any(|v| v.as_str() == Some(value)))
    })
}

fn is_exclusive(claim: &Object) -> bool {
    list_at(claim, "/spec/accessModes").iter().any(|mode| mode.as_str() == Some("ReadWriteOncePod"))
}

fn in_use_by_another(pod: &PodInfo, claim: &str, cluster: &Cluster) -> bool {
    cluster.pods().any(|(_, other)| {
        other.namespace() == pod.namespace()
            && other.uid() != pod.uid()
            && volume_match::claim_names(&other.object).iter().any(|name| name == claim)
    })
}
