//! Resources made by CustomResourceDefinitions.

use std::sync::Arc;

use embedded_apimachinery::{GroupResource, object};
use embedded_schema::{Gvk, KindSchema};
use serde_json::Value;

use super::{ALL_VERBS, Resource, Subresource};

/// What is special about one version of a custom resource.
#[derive(Clone, Debug)]
pub struct CustomVersion {
    pub list_kind: String,
    /// Objects are stored in this version.
    pub storage: bool,
    /// `openAPIV3Schema`, `null` when the version has none.
    pub open_api: Value,
    /// `additionalPrinterColumns`.
    pub columns: Vec<Value>,
    /// `subresources.scale`: where the replica counts and the selector are.
    pub scale: Option<Value>,
}

/// The served versions of one definition, the storage version first.
pub fn resources_of(crd: &Value) -> Vec<Resource> {
    let names = &crd["spec"]["names"];
    let text = |key: &str| object::str_at(names, &format!("/{key}")).to_owned();
    let texts = |key: &str| -> Vec<String> {
        object::list_at(names, &format!("/{key}")).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let kind = text("kind");
    let or = |value: String, default: String| if value.is_empty() { default } else { value };
    let list_kind = or(text("listKind"), format!("{kind}List"));
    let singular = or(text("singular"), kind.to_lowercase());
    let mut resources: Vec<Resource> = object::list_at(crd, "/spec/versions")
        .iter()
        .filter(|version| object::bool_at(version, "/served"))
        .map(|version| Resource {
            id: GroupResource::new(object::str_at(crd, "/spec/group"), text("plural")),
            version: object::str_at(version, "/name").to_owned(),
            kind: kind.clone(),
            singular: singular.clone(),
            namespaced: object::str_at(crd, "/spec/scope") == "Namespaced",
            short_names: texts("shortNames"),
            categories: texts("categories"),
            verbs: ALL_VERBS,
            subresources: subresources(version, &kind),
            virtual_only: false,
            has_generation: true,
            schema: schema(crd, version, &kind),
            custom: Some(Arc::new(CustomVersion {
                list_kind: list_kind.clone(),
                storage: object::bool_at(version, "/storage"),
                open_api: version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or(Value::Null),
                columns: object::list_at(version, "/additionalPrinterColumns").to_vec(),
                scale: version.pointer("/subresources/scale").cloned(),
            })),
        })
        .collect();
    resources.sort_by_key(|r| r.custom.as_ref().is_none_or(|c| !c.storage));
    resources
}

/// A schema that does not compile was refused with its definition, so none means that there is none.
fn schema(crd: &Value, version: &Value, kind: &str) -> Option<KindSchema> {
    let gvk = Gvk::new(object::str_at(crd, "/spec/group"), object::str_at(version, "/name"), kind);
    KindSchema::custom(gvk, version.pointer("/schema/openAPIV3Schema")?).ok()
}

fn subresources(version: &Value, kind: &str) -> Vec<Subresource> {
    const READ_WRITE: &[&str] = &["get", "patch", "update"];
    let mut found = Vec::new();
    if version.pointer("/subresources/scale").is_some() {
        let group_version = Some(("autoscaling", "v1"));
        found.push(Subresource { name: "scale", group_version, kind: "Scale".into(), verbs: READ_WRITE });
    }
    if version.pointer("/subresources/status").is_some() {
        found.push(Subresource { name: "status", group_version: None, kind: kind.into(), verbs: READ_WRITE });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn served_versions_become_resources_with_their_subresources() {
        let crd = json!({"spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wi"]},
        "versions": [
            {"name": "v1alpha1", "served": true, "storage": false},
            {"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}},
            {"name": "v0", "served": false, "storage": false},
        ]}});
        let found = resources_of(&crd);
        let versions: Vec<_> = found.iter().map(|r| r.version.as_str()).collect();
        assert_eq!(versions, ["v1", "v1alpha1"]);
        assert!(found[0].has_status() && !found[1].has_status());
        assert_eq!((found[0].singular.as_str(), found[0].list_kind().as_str()), ("widget", "WidgetList"));
    }
}
