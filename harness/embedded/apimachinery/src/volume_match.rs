//! Which persistent volume serves a claim, and on which nodes a volume can be used.
//!
//! Shared by the volume controller and, for classes with `WaitForFirstConsumer`, the scheduler. Rules:
//! kubernetes.io/docs/concepts/storage/persistent-volumes/#binding.

use serde_json::{Value, json};

use crate::object::{self, Object, list_at, str_at};
use crate::placement::node_matches_terms;
use crate::pod_resources::quantity;
use crate::quantity::Quantity;
use crate::selector::LabelSelector;

/// The annotation by which the scheduler tells the provisioner where the volume is needed.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On claims and volumes whose other half was chosen by a controller, not by a person.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On claims whose binding is complete.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";

/// Whether binding was completed: the claim names a volume and says so.
pub fn is_bound(claim: &Value) -> bool {
    !str_at(claim, "/spec/volumeName").is_empty() && object::annotation(claim, BIND_COMPLETED).is_some()
}

/// Whether claims of this class are bound only once a pod needs them.
pub fn waits_for_consumer(class: Option<&Object>) -> bool {
    class.is_some_and(|class| str_at(class, "/volumeBindingMode") == "WaitForFirstConsumer")
}

/// Whether a volume can be used on a node: its node affinity, if it has one, is met.
pub fn usable_on(volume: &Value, node: &Value) -> bool {
    let terms = volume.pointer("/spec/nodeAffinity/required/nodeSelectorTerms").and_then(Value::as_array);
    terms.is_none_or(|terms| node_matches_terms(node, terms))
}

/// Whether a volume is reserved for this very claim.
pub fn is_reserved_for(volume: &Value, claim: &Value) -> bool {
    let uid = str_at(volume, "/spec/claimRef/uid");
    str_at(volume, "/spec/claimRef/name") == object::name(claim)
        && str_at(volume, "/spec/claimRef/namespace") == object::namespace(claim)
        && (uid.is_empty() || uid == object::uid(claim))
}

/// The volume to bind to a claim: one reserved for it, otherwise the smallest available one that will do. With `node`
/// only volumes usable there are considered.
pub fn find<'a>(
    volumes: impl Iterator<Item = &'a Object> + Clone,
    claim: &Value,
    node: Option<&Value>,
) -> Option<&'a Object> {
    let here = |volume: &&Object| node.is_none_or(|node| usable_on(volume, node)) && !object::is_deleting(volume);
    if let Some(reserved) = volumes.clone().filter(here).find(|v| is_reserved_for(v, claim) && suits(v, claim)) {
        return Some(reserved);
    }
    volumes
        .filter(here)
        .filter(|v| v.pointer("/spec/claimRef").is_none_or(Value::is_null) && str_at(v, "/status/phase") == "Available")
        .filter(|v| suits(v, claim) && selected(v, claim))
        .min_by_key(|v| (capacity(v).milli(), object::name(v)))
}

fn selected(volume: &Value, claim: &Value) -> bool {
    match claim.pointer("/spec/selector") {
        None | Some(Value::Null) => true,
        selector => LabelSelector::from_object(selector).is_some_and(|s| s.matches_object(volume)),
    }
}

/// Class, mode, access modes and size.
fn suits(volume: &Value, claim: &Value) -> bool {
    let mode = |object: &Value| match str_at(object, "/spec/volumeMode") {
        "" => "Filesystem".to_owned(),
        mode => mode.to_owned(),
    };
    let offered = list_at(volume, "/spec/accessModes");
    str_at(volume, "/spec/storageClassName") == str_at(claim, "/spec/storageClassName")
        && mode(volume) == mode(claim)
        && list_at(claim, "/spec/accessModes").iter().all(|wanted| offered.contains(wanted))
        && requested(claim).milli() <= capacity(volume).milli()
}

/// The size a claim asks for.
pub fn requested(claim: &Value) -> Quantity {
    claim.pointer("/spec/resources/requests/storage").and_then(quantity).unwrap_or(Quantity::ZERO)
}

fn capacity(volume: &Value) -> Quantity {
    volume.pointer("/spec/capacity/storage").and_then(quantity).unwrap_or(Quantity::ZERO)
}

/// What a volume's `claimRef` says to reserve it for a claim.
pub fn claim_reference(claim: &Value) -> Value {
    json!({"kind": "PersistentVolumeClaim", "namespace": object::namespace(claim), "name": object::name(claim),
        "uid": object::uid(claim), "apiVersion": "v1", "resourceVersion": str_at(claim, "/metadata/resourceVersion")})
}

/// The claims that a pod uses by name, those of its generic ephemeral volumes included.
pub fn claim_names(pod: &Value) -> Vec<String> {
    let name = |volume: &Value| {
        if volume.get("ephemeral").is_some_and(Value::is_object) {
            return Some(format!("{}-{}", object::name(pod), str_at(volume, "/name")));
        }
        Some(volume.pointer("/persistentVolumeClaim/claimName")?.as_str()?.to_owned())
    };
    list_at(pod, "/spec/volumes").iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, size: &str, extra: Value) -> Object {
        let mut volume = json!({"metadata": {"name": name, "labels": {"disk": name}}, "status": {"phase": "Available"},
            "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "c"}});
        for (pointer, value) in extra.as_object().unwrap() {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            volume.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        Object::new(volume)
    }

    fn claim(size: &str) -> Value {
        json!({"metadata": {"name": "c", "namespace": "ns", "uid": "u"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "storageClassName": "c", "resources": {"requests": {"storage": size}}}})
    }

    fn chosen(volumes: &[Object], claim: &Value) -> Option<String> {
        find(volumes.iter(), claim, None).map(|v| object::name(v).to_owned())
    }

    #[test]
    fn the_smallest_volume_that_will_do_is_chosen() {
        let volumes = [
            volume("large", "10Gi", json!({})),
            volume("fits", "2Gi", json!({})),
            volume("small", "512Mi", json!({})),
            volume("taken", "1Gi", json!({"/spec/claimRef": {"name": "x", "namespace": "ns"}})),
            volume("released", "1Gi", json!({"/status/phase": "Released"})),
            volume("other", "1Gi", json!({"/spec/storageClassName": "d"})),
            volume("shared", "1Gi", json!({"/spec/accessModes": ["ReadWriteMany"]})),
            volume("raw", "1Gi", json!({"/spec/volumeMode": "Block"})),
            volume("dying", "1Gi", json!({"/metadata/deletionTimestamp": "2030-01-01T00:00:00Z"})),
        ];
        assert_eq!(chosen(&volumes, &claim("1Gi")).as_deref(), Some("fits"));
        assert_eq!(chosen(&volumes, &claim("20Gi")), None);
    }

    #[test]
    fn a_reservation_comes_first() {
        let reserved = json!({"/spec/claimRef": {"name": "c", "namespace": "ns"}});
        let gone = json!({"/spec/claimRef": {"name": "c", "namespace": "ns", "uid": "earlier"}});
        let volumes = [volume("free", "1Gi", json!({})), volume("gone", "1Gi", gone), volume("mine", "5Gi", reserved)];
        assert_eq!(chosen(&volumes, &claim("1Gi")).as_deref(), Some("mine"));
    }

    #[test]
    fn selectors_narrow_the_choice() {
        let mut claim = claim("1Gi");
        claim["spec"]["selector"] = json!({"matchLabels": {"disk": "b"}});
        let volumes = [volume("a", "1Gi", json!({})), volume("b", "5Gi", json!({}))];
        assert_eq!(chosen(&volumes, &claim).as_deref(), Some("b"));
    }

    #[test]
    fn node_affinity_of_volumes_is_respected() {
        let node = |zone: &str| json!({"metadata": {"name": "n", "labels": {"zone": zone}}});
        let bound_to_a = json!({"/spec/nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}});
        let volumes = [volume("v", "1Gi", bound_to_a)];
        assert!(find(volumes.iter(), &claim("1Gi"), Some(&node("a"))).is_some());
        assert!(find(volumes.iter(), &claim("1Gi"), Some(&node("b"))).is_none());
    }

    #[test]
    fn claims_of_a_pod_include_its_ephemeral_volumes() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"volumes": [
            {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "b", "emptyDir": {}},
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}]}});
        assert_eq!(claim_names(&pod), ["data", "p-scratch"]);
    }
}
