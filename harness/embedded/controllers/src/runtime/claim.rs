//! Adoption and release: an owner controls what its selector matches.

use embedded_apimachinery::object;
use embedded_apimachinery::selector::LabelSelector;
use embedded_apimachinery::{GroupResource, Object};
use serde_json::Value;

use super::plan::Action;
use super::view::View;

/// What an owner controls, and what to write so that it controls what it should.
#[derive(Debug)]
pub struct Claim {
    /// Controlled now and matched by the selector, in order of name.
    pub owned: Vec<Object>,
    /// Adoptions and releases. Their effects bring the owner's key up again.
    pub actions: Vec<Action>,
}

/// Looks at everything `owner` controls or could. `may_adopt` narrows adoption further (StatefulSets look at names).
pub fn claim(view: &View, owner: &Value, resource: &GroupResource, may_adopt: impl Fn(&Value) -> bool) -> Claim {
    let Some(selector) = LabelSelector::from_object(owner.pointer("/spec/selector")) else {
        return Claim { owned: Vec::new(), actions: Vec::new() };
    };
    let leaving = object::is_deleting(owner);
    let mut claim = Claim { owned: Vec::new(), actions: Vec::new() };
    for object in view.controlled_by(resource, object::uid(owner)) {
        if selector.matches_object(object) {
            claim.owned.push(object.clone());
        } else if !leaving {
            claim.actions.push(Action::update(resource.clone(), released(object, owner)));
        }
    }
    if leaving || selector.is_empty() {
        return claim;
    }
    for object in view.orphans(resource, object::namespace(owner)) {
        if !object::is_deleting(object) && selector.matches_object(object) && may_adopt(object) {
            claim.actions.push(Action::update(resource.clone(), adopted(object, owner)));
        }
    }
    claim
}

fn adopted(orphan: &Value, owner: &Value) -> Value {
    let mut object = orphan.clone();
    let references = object::metadata_mut(&mut object).entry("ownerReferences").or_insert_with(|| Value::Array(vec![]));
    if let Value::Array(references) = references {
        references.retain(|r| object::str_at(r, "/uid") != object::uid(owner));
        references.push(object::controller_reference_to(owner));
    }
    object
}

fn released(object: &Value, owner: &Value) -> Value {
    let mut object = object.clone();
    let meta = object::metadata_mut(&mut object);
    if let Some(Value::Array(references)) = meta.get_mut("ownerReferences") {
        references.retain(|r| object::str_at(r, "/uid") != object::uid(owner));
        if references.is_empty() {
            meta.remove("ownerReferences");
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::resource::PODS;
    use serde_json::json;

    fn owner() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web", "namespace": "ns", "uid": "u"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}})
    }

    fn pod(name: &str, app: &str, owned: bool) -> (GroupResource, Value) {
        let mut pod = json!({"metadata": {"name": name, "namespace": "ns", "labels": {"app": app}}});
        if owned {
            pod["metadata"]["ownerReferences"] = json!([object::controller_reference_to(&owner())]);
        }
        (PODS, pod)
    }

    fn updates(claim: &Claim) -> Vec<(&str, usize)> {
        let update = |action: &'_ Action| match action {
            Action::Update { object, .. } => object::owner_references(object).len(),
            other => panic!("unexpected {other:?}"),
        };
        let name = |action: &'_ Action| match action {
            Action::Update { object, .. } => object::name(object).to_owned(),
            other => panic!("unexpected {other:?}"),
        };
        claim.actions.iter().map(|a| (&*name(a).leak(), update(a))).collect()
    }

    #[test]
    fn matching_orphans_are_adopted_and_strangers_released() {
        let view = View::of([
            pod("a", "web", true),
            pod("b", "other", true),
            pod("c", "web", false),
            pod("d", "other", false),
        ]);
        let claim = claim(&view, &owner(), &PODS, |_| true);
        assert_eq!(claim.owned.len(), 1);
        assert_eq!(updates(&claim), [("b", 0), ("c", 1)]);
    }

    #[test]
    fn an_owner_that_is_going_away_changes_nothing() {
        let mut leaving = owner();
        leaving["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
        let view = View::of([pod("a", "web", true), pod("b", "other", true), pod("c", "web", false)]);
        let claim = claim(&view, &leaving, &PODS, |_| true);
        assert_eq!(claim.owned.len(), 1);
        assert!(claim.actions.is_empty());
    }
}
