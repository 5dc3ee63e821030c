//! Field selectors: which fields each kind can be selected by, and their values as text.

use embedded_apimachinery::selector::{FieldSelector, LabelSelector};
use embedded_apimachinery::{Result, Status};
use serde_json::{Value, json};

use crate::catalog::Resource;

/// Refuses selectors on fields that a kind does not offer.
pub fn check(resource: &Resource, selector: &FieldSelector) -> Result<()> {
    for (path, ..) in &selector.terms {
        let general = path == "metadata.name" || (path == "metadata.namespace" && resource.namespaced);
        let own = own_fields(resource);
        if general || own.contains(&path.as_str()) {
            continue;
        }
        return Err(Status::bad_request(if own.is_empty() {
            let known = "only \"metadata.name\", \"metadata.namespace\"";
            format!("{} is not a known field selector: {known}", json!(path))
        } else {
            format!("field label not supported: {path}")
        }));
    }
    Ok(())
}

fn own_fields(resource: &Resource) -> &'static [&'static str] {
    if resource.custom.is_some() {
        return &[];
    }
    match &*resource.id.resource {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "nodes" => &["spec.unschedulable"],
        "namespaces" => &["status.phase"],
        "secrets" => &["type"],
        "services" => &["spec.clusterIP", "spec.type"],
        "replicasets" | "replicationcontrollers" => &["status.replicas"],
        "jobs" => &["status.successful"],
        _ => &[],
    }
}

/// A field as text; absent numbers and booleans read as their zero.
fn value(object: &Value, path: &str) -> String {
    let (pointer, absent) = match path {
        "status.successful" => ("/status/succeeded".to_owned(), "0"),
        "status.replicas" => ("/status/replicas".to_owned(), "0"),
        "source" => ("/source/component".to_owned(), ""),
        "spec.unschedulable" | "spec.hostNetwork" => (format!("/{}", path.replace('.', "/")), "false"),
        _ => (format!("/{}", path.replacen("regarding", "involvedObject", 1).replace('.', "/")), ""),
    };
    match object.pointer(&pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => absent.to_owned(),
        Some(other) => other.to_string(),
    }
}

/// Both selectors of a request.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Selection {
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.terms.is_empty()
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.labels.matches_object(object)
            && self.fields.terms.iter().all(|(path, wanted, equal)| (value(object, path) == *wanted) == *equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use embedded_apimachinery::resource::{CONFIG_MAPS, NODES, PODS};

    #[test]
    fn only_fields_of_the_kind_are_accepted() {
        let catalog = Catalog::default();
        let error = |id: &embedded_apimachinery::GroupResource, selector: &str| {
            let resource = catalog.stored(id).unwrap();
            check(&resource, &FieldSelector::parse(selector).unwrap()).err().map(|s| s.message)
        };
        assert_eq!(error(&PODS, "spec.nodeName=n,metadata.name=p"), None);
        assert_eq!(error(&PODS, "spec.bogus=1").as_deref(), Some("field label not supported: spec.bogus"));
        assert!(error(&CONFIG_MAPS, "data.a=1").unwrap().contains("is not a known field selector"));
        assert!(error(&NODES, "metadata.namespace=x").is_some());
    }

    #[test]
    fn absent_booleans_are_false() {
        let selection =
            Selection { fields: FieldSelector::parse("spec.unschedulable=false").unwrap(), ..Selection::default() };
        assert!(selection.matches(&json!({"spec": {}})));
        assert!(!selection.matches(&json!({"spec": {"unschedulable": true}})));
    }
}
