//! CustomResourceDefinitions: names and schemas are checked, and what is accepted is served at once.

use embedded_apimachinery::resource::CUSTOM_RESOURCE_DEFINITIONS;
use embedded_apimachinery::{GroupResource, Result, Status, object, timestamp};
use embedded_schema::{Gvk, KindSchema};
use serde_json::{Value, json};

use super::ApiServer;
use crate::catalog::Resource;

/// Fills in names that follow from others, and the status that says that the definition is in force.
pub fn complete(resource: &Resource, object: &mut Value) {
    if resource.id != CUSTOM_RESOURCE_DEFINITIONS {
        return;
    }
    let kind = object::str_at(object, "/spec/names/kind").to_owned();
    let names = object::map_at_mut(object, &["spec", "names"]);
    names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
    let accepted = Value::Object(names.clone());
    object::map_at_mut(object, &["spec"]).entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    let now = timestamp::now();
    let mut conditions = object::list_at(object, "/status/conditions").to_vec();
    for (kind, reason, message) in [
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ] {
        if !conditions.iter().any(|c| c["type"] == kind) {
            conditions.push(json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason,
                "message": message}));
        }
    }
    let mut stored = object::list_at(object, "/status/storedVersions").to_vec();
    for version in object::list_at(object, "/spec/versions").iter().filter(|v| object::bool_at(v, "/storage")) {
        if !stored.contains(&version["name"]) {
            stored.push(version["name"].clone());
        }
    }
    let status = json!({"conditions": conditions, "acceptedNames": accepted, "storedVersions": stored});
    if let Value::Object(fields) = object {
        fields.insert("status".into(), status);
    }
}

/// Refuses definitions whose names do not fit together or whose schemas do not compile.
pub fn check(resource: &Resource, object: &Value) -> Result<()> {
    if resource.id != CUSTOM_RESOURCE_DEFINITIONS {
        return Ok(());
    }
    let mut causes = Vec::new();
    let mut refuse = |field: String, reason: &str, message: String| {
        causes.push(json!({"reason": reason, "message": message, "field": field}));
    };
    let (group, kind) = (object::str_at(object, "/spec/group"), object::str_at(object, "/spec/names/kind"));
    let expected = format!("{}.{group}", object::str_at(object, "/spec/names/plural"));
    let name = object::name(object);
    if name != expected {
        let message = format!("Invalid value: {}: must be spec.names.plural+\".\"+spec.group", json!(name));
        refuse("metadata.name".into(), "FieldValueInvalid", message);
    }
    let versions = object::list_at(object, "/spec/versions");
    if versions.iter().filter(|v| object::bool_at(v, "/storage")).count() != 1 {
        let message = "Invalid value: must have exactly one version marked as storage version".to_owned();
        refuse("spec.versions".into(), "FieldValueInvalid", message);
    }
    for (index, version) in versions.iter().enumerate() {
        let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            None => refuse(field, "FieldValueRequired", "Required value: schemas are required".into()),
            Some(schema) => {
                let gvk = Gvk::new(group, object::str_at(version, "/name"), kind);
                if let Err(error) = KindSchema::custom(gvk, schema) {
                    refuse(field, "FieldValueInvalid", format!("Invalid value: {error}"));
                }
            }
        }
    }
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid(&resource.id.group, &resource.kind, name, causes)),
    }
}

impl ApiServer {
    /// The objects of a definition go with it. Called under the write lock, before the definition is gone.
    pub(super) fn remove_instances(&self, resource: &Resource, definition: &Value) {
        if resource.id != CUSTOM_RESOURCE_DEFINITIONS {
            return;
        }
        let plural = object::str_at(definition, "/spec/names/plural");
        let id = GroupResource::new(object::str_at(definition, "/spec/group"), plural);
        for instance in self.store.list(&id, None).0 {
            // It is listed and nobody else writes, so it is there.
            let _ = self.store.delete(&id, object::namespace(&instance), object::name(&instance), |_| Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn definition() -> Value {
        json!({"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"}, "versions": [{"name": "v1", "served": true,
                "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}})
    }

    #[test]
    fn accepted_definitions_are_established() {
        let resource = Catalog::default().stored(&CUSTOM_RESOURCE_DEFINITIONS).unwrap();
        let mut object = definition();
        complete(&resource, &mut object);
        assert!(object::condition_is_true(&object, "Established"));
        assert_eq!(object["status"]["acceptedNames"]["listKind"], json!("WidgetList"));
        assert_eq!(object["status"]["storedVersions"], json!(["v1"]));
        assert!(check(&resource, &object).is_ok());
    }

    #[test]
    fn names_must_fit_together() {
        let resource = Catalog::default().stored(&CUSTOM_RESOURCE_DEFINITIONS).unwrap();
        let mut object = definition();
        object["metadata"]["name"] = "others.example.com".into();
        assert_eq!(check(&resource, &object).unwrap_err().code, 422);
    }
}
