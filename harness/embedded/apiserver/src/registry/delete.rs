//! Deleting objects: at once, gracefully, or when their finalizers are gone.

use chrono::{Duration, Utc};
use embedded_apimachinery::resource::{NAMESPACES, PODS};
use embedded_apimachinery::{DeleteOptions, GroupResource, Object, Propagation, Result, Status};
use embedded_apimachinery::{object, timestamp};
use serde_json::{Value, json};

use super::{ApiServer, metadata};
use crate::catalog::Resource;

/// What a deletion led to.
pub struct Deleted {
    /// The object as it is afterwards, or its last state.
    pub object: Object,
    pub gone: bool,
}

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// Namespaces that the cluster cannot be without.
const PROTECTED_NAMESPACES: [&str; 3] = ["default", "kube-public", "kube-system"];

impl ApiServer {
    pub(crate) fn delete_object(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted> {
        let _writing = self.writes.lock();
        self.delete_locked(resource, namespace, name, options)
    }

    pub(super) fn delete_locked(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted> {
        if resource.id == NAMESPACES && PROTECTED_NAMESPACES.contains(&name) {
            return Err(Status::forbidden(&resource.id, name, "this namespace may not be deleted"));
        }
        let Some(current) = self.find(&resource.id, namespace, name) else {
            return Err(Status::not_found(&resource.id, name));
        };
        check_preconditions(resource, &current, options)?;
        let plan = plan(&resource.id, &current, options, Utc::now());
        if options.dry_run {
            return Ok(Deleted { gone: plan.remove, object: plan.mark.map_or(current, Object::new) });
        }
        let mut object = current;
        if let Some(marked) = plan.mark {
            object = self.store.update(&resource.id, namespace, name, |_| Ok(marked))?;
        }
        if plan.remove {
            self.remove_instances(resource, &object);
            object = self.store.delete(&resource.id, namespace, name, |_| Ok(()))?;
        }
        self.written(&resource.id);
        Ok(Deleted { object, gone: plan.remove })
    }
}

pub(super) fn check_preconditions(resource: &Resource, current: &Value, options: &DeleteOptions) -> Result<()> {
    let name = object::name(current);
    // Kubernetes names the kind here, not the resource.
    let kind = GroupResource::new("", resource.kind.clone());
    if let Some(uid) = options.preconditions.uid.as_deref()
        && uid != object::uid(current)
    {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            object::uid(current)
        );
        return Err(Status::conflict(&kind, name, &why));
    }
    let version = object::str_at(current, "/metadata/resourceVersion");
    if let Some(expected) = options.preconditions.resource_version.as_deref()
        && expected != version
    {
        let why = format!(
            "the ResourceVersion in the precondition ({expected}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        );
        return Err(Status::conflict(&kind, name, &why));
    }
    Ok(())
}

/// What to write before, and whether to remove.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    mark: Option<Value>,
    remove: bool,
}

/// The rules of k8s.io/apiserver `registry/rest.BeforeDelete` and `registry/generic.Store.Delete`.
fn plan(id: &GroupResource, current: &Value, options: &DeleteOptions, now: chrono::DateTime<Utc>) -> Plan {
    if *id == NAMESPACES {
        return plan_namespace(current, now);
    }
    let graceful = *id == PODS;
    if graceful && object::is_deleting(current) {
        return plan_shortened(current, options);
    }
    let mut marked = current.clone();
    let finalizers = finalizers_after(current, options.propagation);
    let held = !finalizers.is_empty();
    let changed = finalizers != object::finalizers(current).map(str::to_owned).collect::<Vec<_>>();
    object::metadata_mut(&mut marked).insert("finalizers".into(), json!(finalizers));
    if graceful {
        let period = grace_period(current, options);
        mark(&mut marked, now + Duration::seconds(period), period);
        return Plan { mark: Some(marked), remove: period == 0 && !held };
    }
    if held {
        if !object::is_deleting(current) {
            mark(&mut marked, now, 0);
        }
        let mark = (changed || !object::is_deleting(current)).then_some(marked);
        return Plan { mark, remove: false };
    }
    Plan { mark: None, remove: true }
}

/// A pod's own grace period applies unless the request says otherwise; one that runs nowhere needs none.
fn grace_period(pod: &Value, options: &DeleteOptions) -> i64 {
    let unscheduled = object::str_at(pod, "/spec/nodeName").is_empty();
    if unscheduled || object::pod_is_terminal(pod) {
        return 0;
    }
    let own = || object::int_at(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    // Negative periods mean "as short as possible, but not forced".
    match options.grace_period.unwrap_or_else(own) {
        period if period < 0 => 1,
        period => period,
    }
}

/// A deletion that is under way may only be made shorter.
fn plan_shortened(current: &Value, options: &DeleteOptions) -> Plan {
    let pending = object::int_at(current, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
    let Some(period) = options.grace_period.map(|p| if p < 0 { 1 } else { p }) else { return Plan::default() };
    if period >= pending {
        let held = object::finalizers(current).next().is_some();
        return Plan { mark: None, remove: period == 0 && pending == 0 && !held };
    }
    let mut marked = current.clone();
    let due = object::deletion_timestamp(current).and_then(timestamp::parse).unwrap_or_else(Utc::now);
    let meta = object::metadata_mut(&mut marked);
    meta.insert("deletionTimestamp".into(), timestamp::format(due - Duration::seconds(pending - period)).into());
    meta.insert("deletionGracePeriodSeconds".into(), period.into());
    let held = object::finalizers(current).next().is_some();
    Plan { mark: Some(marked), remove: period == 0 && !held }
}

fn plan_namespace(current: &Value, now: chrono::DateTime<Utc>) -> Plan {
    let held = !object::list_at(current, "/spec/finalizers").is_empty() || object::finalizers(current).next().is_some();
    if object::is_deleting(current) || !held {
        return Plan { mark: None, remove: !held };
    }
    let mut marked = current.clone();
    object::metadata_mut(&mut marked).insert("deletionTimestamp".into(), timestamp::format(now).into());
    object::map_at_mut(&mut marked, &["status"]).insert("phase".into(), "Terminating".into());
    metadata::tidy(object::metadata_mut(&mut marked));
    Plan { mark: Some(marked), remove: false }
}

fn mark(object: &mut Value, due: chrono::DateTime<Utc>, period: i64) {
    let generation = object::generation(object);
    let meta = object::metadata_mut(object);
    meta.insert("deletionTimestamp".into(), timestamp::format(due).into());
    meta.insert("deletionGracePeriodSeconds".into(), period.into());
    if generation > 0 {
        meta.insert("generation".into(), (generation + 1).into());
    }
    metadata::tidy(meta);
}

/// The garbage collector acts on two finalizers, which follow from the propagation policy.
fn finalizers_after(current: &Value, propagation: Option<Propagation>) -> Vec<String> {
    let (orphan, foreground) = match propagation {
        Some(Propagation::Orphan) => (true, false),
        Some(Propagation::Foreground) => (false, true),
        Some(Propagation::Background) => (false, false),
        None => (object::has_finalizer(current, ORPHAN), object::has_finalizer(current, FOREGROUND)),
    };
    let own = object::finalizers(current).filter(|f| ![ORPHAN, FOREGROUND].contains(f)).map(str::to_owned);
    let added = [(orphan, ORPHAN), (foreground, FOREGROUND)];
    own.chain(added.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| (*name).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::resource::CONFIG_MAPS;

    fn pod(node: &str, finalizers: &[&str]) -> Value {
        json!({"metadata": {"name": "p", "generation": 1, "finalizers": finalizers}, "spec": {"nodeName": node}})
    }

    fn planned(id: &GroupResource, object: &Value, grace: Option<i64>, propagation: Option<Propagation>) -> Plan {
        plan(id, object, &DeleteOptions { grace_period: grace, propagation, ..Default::default() }, Utc::now())
    }

    #[test]
    fn running_pods_get_their_grace_period() {
        let plan = planned(&PODS, &pod("node1", &[]), None, None);
        let marked = plan.mark.unwrap();
        assert_eq!(object::int_at(&marked, "/metadata/deletionGracePeriodSeconds"), Some(30));
        assert_eq!(object::generation(&marked), 2);
        assert!(!plan.remove);
    }

    #[test]
    fn unscheduled_pods_and_forced_deletions_go_at_once() {
        assert!(planned(&PODS, &pod("", &[]), None, None).remove);
        assert!(planned(&PODS, &pod("node1", &[]), Some(0), None).remove);
    }

    #[test]
    fn finalizers_hold_what_is_deleted() {
        let plan = planned(&PODS, &pod("", &["x/y"]), None, None);
        assert!(!plan.remove && object::is_deleting(&plan.mark.unwrap()));
        let map = json!({"metadata": {"name": "a", "finalizers": ["x/y"]}});
        assert!(!planned(&CONFIG_MAPS, &map, None, None).remove);
    }

    #[test]
    fn a_pending_deletion_is_only_shortened() {
        let mut deleting = planned(&PODS, &pod("node1", &[]), None, None).mark.unwrap();
        assert_eq!(planned(&PODS, &deleting, None, None), Plan::default());
        assert_eq!(planned(&PODS, &deleting, Some(60), None), Plan::default());
        let plan = planned(&PODS, &deleting, Some(0), None);
        assert!(plan.remove);
        deleting = plan.mark.unwrap();
        assert_eq!(object::int_at(&deleting, "/metadata/deletionGracePeriodSeconds"), Some(0));
    }

    #[test]
    fn propagation_sets_the_collectors_finalizers() {
        let map = json!({"metadata": {"name": "a"}});
        for (propagation, expected) in [
            (Some(Propagation::Foreground), vec![FOREGROUND]),
            (Some(Propagation::Orphan), vec![ORPHAN]),
            (Some(Propagation::Background), vec![]),
            (None, vec![]),
        ] {
            assert_eq!(finalizers_after(&map, propagation), expected);
        }
    }
}
