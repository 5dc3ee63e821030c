//! Strategic merge patch: merges lists by the merge keys of the schema and obeys the directives of the patch.
//!
//! Directives: `$patch` (`replace`, `delete`, `merge`), `$retainKeys`, `$setElementOrder/<list>` and
//! `$deleteFromPrimitiveList/<list>`. The rules are those of k8s.io/apimachinery/pkg/util/strategicpatch.

use embedded_apimachinery::Status;
use serde_json::{Map, Value};

use super::go;
use super::order::{Identity, arrange};
use crate::model::{Field, KindSchema, Shape, Type};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

pub fn apply(schema: &KindSchema, current: &Value, patch: &Value) -> Result<Value, Status> {
    if schema.custom {
        let message = "the body of the request was in an unknown format - accepted media types include: \
                       application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
        return Err(Status::new(415, "UnsupportedMediaType", message));
    }
    let mut patched = current.clone();
    let empty = Map::new();
    merge_map(&mut patched, patch.as_object().unwrap_or(&empty), Some(schema.root.get()))?;
    Ok(patched)
}

/// A malformed patch that Kubernetes does not classify.
fn malformed(message: String) -> Status {
    Status::new(500, "", message)
}

fn merge_map(current: &mut Value, patch: &Map<String, Value>, ty: Option<&Type>) -> Result<(), Status> {
    if !current.is_object() {
        *current = Value::Object(Map::new());
    }
    let Value::Object(target) = current else { return Ok(()) };
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        Some("replace") => {
            target.clear();
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(malformed(format!("unknown patch type found: {other}"))),
    }
    retain_keys(target, patch)?;
    for (key, value) in patch {
        if key == PATCH || key == RETAIN_KEYS {
            continue;
        }
        if let Some(list) = key.strip_prefix(SET_ORDER) {
            if !patch.contains_key(list) {
                merge_field(target, list, None, Some(list_of(value)?), ty)?;
            }
        } else if let Some(list) = key.strip_prefix(DELETE_FROM) {
            delete_from(target, list, list_of(value)?);
        } else if value.is_null() {
            target.shift_remove(key);
        } else {
            let order = patch.get(&format!("{SET_ORDER}{key}")).map(list_of).transpose()?;
            merge_field(target, key, Some(value), order, ty)?;
        }
    }
    Ok(())
}

fn list_of(value: &Value) -> Result<&[Value], Status> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| {
        Status::bad_request(format!("invalid patch format of a list directive: {} is no list", go::display(value)))
    })
}

fn retain_keys(target: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), Status> {
    let Some(kept) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let kept = list_of(kept)?;
    let is_kept = |key: &str| kept.iter().any(|k| k == key);
    let stray = patch.iter().find(|(key, value)| !key.starts_with('$') && !value.is_null() && !is_kept(key));
    if stray.is_some() {
        return Err(Status::bad_request(
            "invalid patch format of retainKeys: the list must contain all keys of the patch",
        ));
    }
    target.retain(|key, _| is_kept(key));
    Ok(())
}

fn delete_from(target: &mut Map<String, Value>, list: &str, unwanted: &[Value]) {
    if let Some(Value::Array(items)) = target.get_mut(list) {
        items.retain(|item| !unwanted.contains(item));
    }
}

/// Merges one field. `patch` is absent when only the order of a list is set.
fn merge_field(
    target: &mut Map<String, Value>,
    key: &str,
    patch: Option<&Value>,
    order: Option<&[Value]>,
    ty: Option<&Type>,
) -> Result<(), Status> {
    let field = ty.and_then(|ty| ty.field(key));
    let inner = match ty.map(|ty| &ty.shape) {
        Some(Shape::Map(map)) => Some(map.values.get()),
        _ => field.map(|field| field.ty.get()),
    };
    match patch {
        Some(Value::Object(patch)) if field.is_some_and(|f| f.strategy.replace) => {
            target.insert(key.to_owned(), Value::Object(patch.clone()));
        }
        Some(Value::Object(patch)) => {
            let current = target.entry(key.to_owned()).or_insert(Value::Null);
            merge_map(current, patch, inner)?;
        }
        None | Some(Value::Array(_)) => {
            let merging = field.filter(|field| field.strategy.merge);
            let patch = patch.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let live = match target.get(key) {
                Some(Value::Array(live)) => live.clone(),
                _ if order.is_some() && patch.is_empty() => return Ok(()),
                _ => Vec::new(),
            };
            let merged = match merging {
                Some(field) => merge_list(live, patch, order, field)?,
                None => patch.to_vec(),
            };
            target.insert(key.to_owned(), Value::Array(merged));
        }
        Some(scalar) => {
            target.insert(key.to_owned(), scalar.clone());
        }
    }
    Ok(())
}

fn merge_list(live: Vec<Value>, patch: &[Value], order: Option<&[Value]>, field: &Field) -> Result<Vec<Value>, Status> {
    let element = match &field.ty.get().shape {
        Shape::List(list) => Some(list.items.get()),
        _ => None,
    };
    let key = field.strategy.merge_key.as_deref();
    let identity = Identity(key);
    let (merged, given) = match key {
        Some(key) => merge_elements(live.clone(), patch, key, element)?,
        None => {
            let mut merged = live.clone();
            patch.iter().for_each(|item| {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            });
            (merged, patch.to_vec())
        }
    };
    Ok(arrange(merged, order.unwrap_or(&given), &live, identity))
}

/// The merged elements, in no particular order, and the elements of the patch that are no directives.
fn merge_elements(
    live: Vec<Value>,
    patch: &[Value],
    key: &str,
    element: Option<&Type>,
) -> Result<(Vec<Value>, Vec<Value>), Status> {
    let identity = Identity(Some(key));
    let mut merged = live;
    let mut given = Vec::new();
    if patch.iter().any(|item| item[PATCH] == "replace") {
        merged.clear();
    }
    for item in patch {
        let has_key = item.get(key).is_some();
        match item[PATCH].as_str() {
            Some("replace") if !has_key => continue,
            Some("delete") if has_key => {
                merged.retain(|other| !identity.same(other, item));
                continue;
            }
            Some("replace" | "merge") | None if has_key => given.push(item.clone()),
            Some(directive @ ("replace" | "merge" | "delete")) => {
                let shown = go::display(item);
                return Err(malformed(format!(
                    "map: {shown} with $patch: {directive} does not contain declared merge key: {key}"
                )));
            }
            Some(other) => return Err(malformed(format!("unknown patch type found: {other}"))),
            None => {
                let message = format!("map: {} does not contain declared merge key: {key}", go::display(item));
                return Err(malformed(message));
            }
        }
    }
    for item in &given {
        let empty = Map::new();
        let patch = item.as_object().unwrap_or(&empty);
        match identity.position(&merged, item) {
            Some(position) => merge_map(&mut merged[position], patch, element)?,
            None => {
                let mut added = Value::Null;
                merge_map(&mut added, patch, element)?;
                merged.push(added);
            }
        }
    }
    Ok((merged, given))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::Schemas;
    use crate::model::Gvk;
    use serde_json::json;

    fn deployment() -> KindSchema {
        Schemas::builtin().kind(&Gvk::new("apps", "v1", "Deployment")).expect("built in")
    }

    fn pod_spec(spec: Value) -> Value {
        json!({"spec": {"template": {"spec": spec}}})
    }

    fn patched(current: Value, patch: Value) -> Result<Value, Status> {
        let patched = apply(&deployment(), &pod_spec(current), &pod_spec(patch))?;
        Ok(patched["spec"]["template"]["spec"].clone())
    }

    #[test]
    fn lists_merge_by_their_key_and_directives_are_obeyed() {
        let env = json!([{"name": "E", "value": "1"}, {"name": "F", "value": "2"}]);
        let current = json!({"containers": [{"name": "a", "env": env}, {"name": "b", "command": ["x", "y"]}], "volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"key": "t"}]});
        let containers = |list: Value| json!({"containers": list});
        for (what, patch, pointer, expected) in [
            (
                "an element by its key",
                containers(json!([{"name": "a", "image": "x:2"}])),
                "/containers/0",
                json!({"name": "a", "env": env, "image": "x:2"}),
            ),
            (
                "nested elements",
                containers(json!([{"name": "a", "env": [{"name": "F", "value": "20"}, {"name": "G", "value": "3"}]}])),
                "/containers/0/env",
                json!([{"name": "E", "value": "1"}, {"name": "F", "value": "20"}, {"name": "G", "value": "3"}]),
            ),
            (
                "delete",
                containers(json!([{"name": "a", "env": [{"name": "E", "$patch": "delete"}]}])),
                "/containers/0/env",
                json!([{"name": "F", "value": "2"}]),
            ),
            (
                "replace",
                containers(json!([{"name": "a", "env": [{"$patch": "replace"}, {"name": "ONLY", "value": "1"}]}])),
                "/containers/0/env",
                json!([{"name": "ONLY", "value": "1"}]),
            ),
            (
                "order",
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "x:3"}]}),
                "/containers/0/name",
                json!("b"),
            ),
            (
                "order alone",
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
                "/containers/1/name",
                json!("a"),
            ),
            (
                "retained keys",
                json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/tmp"}}]}),
                "/volumes",
                json!([{"name": "v", "hostPath": {"path": "/tmp"}}]),
            ),
            (
                "atomic lists",
                containers(json!([{"name": "b", "command": ["z"]}])),
                "/containers/1/command",
                json!(["z"]),
            ),
            ("lists without a key", json!({"tolerations": [{"key": "u"}]}), "/tolerations", json!([{"key": "u"}])),
        ] {
            let result = patched(current.clone(), patch).unwrap_or_else(|status| panic!("{what}: {status}"));
            assert_eq!(result.pointer(pointer), Some(&expected), "{what}: {result}");
        }
    }

    #[test]
    fn new_elements_go_first_unless_the_patch_names_a_neighbour() {
        let result =
            patched(json!({"containers": [{"name": "a"}, {"name": "b"}]}), json!({"containers": [{"name": "n"}]}));
        assert_eq!(result.expect("applies")["containers"], json!([{"name": "n"}, {"name": "a"}, {"name": "b"}]));
    }

    #[test]
    fn sets_merge_and_lose_what_is_deleted() {
        let current = json!({"metadata": {"finalizers": ["a", "b"]}});
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}});
        let result = apply(&deployment(), &current, &patch).expect("applies");
        let mut finalizers = result["metadata"]["finalizers"].as_array().cloned().expect("a list");
        finalizers.sort_by_key(Value::to_string);
        assert_eq!(finalizers, [json!("b"), json!("c")]);
    }

    #[test]
    fn an_element_without_its_merge_key_is_an_error() {
        let status =
            patched(json!({"containers": []}), json!({"containers": [{"image": "x:9"}]})).expect_err("refused");
        assert_eq!(status.message, "map: map[image:x:9] does not contain declared merge key: name");
        assert_eq!(status.code, 500);
    }

    #[test]
    fn patching_with_itself_changes_nothing() {
        let object = json!({
            "metadata": {"name": "d", "finalizers": ["a", "b"], "labels": {"x": "y"}},
            "spec": {"template": {"spec": {
                "containers": [{"name": "b", "ports": [{"containerPort": 80, "protocol": "TCP"}]}, {"name": "a"}],
                "volumes": [{"name": "v", "emptyDir": {}}]
            }}}
        });
        assert_eq!(apply(&deployment(), &object, &object).expect("applies"), object);
    }
}
