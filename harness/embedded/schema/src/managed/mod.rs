//! Server-side apply: who set which field, and what an apply does to an object.
//!
//! The rules are those of sigs.k8s.io/structured-merge-diff and the field managers of the API server. All objects of a
//! kind are compared in one version here, since the store keeps one.
//!
//! - [`path`], [`set`]: paths of fields and sets of them (`fieldsV1`)
//! - [`spot`]: what the schema says about owning a value
//! - [`extract`], [`compare`], [`merge`], [`remove`]: objects and sets
//! - [`last_applied`]: objects that `kubectl apply` made
//! - [`typed`]: configurations that no apply takes
//! - [`managers`]: the `managedFields` of an object

mod compare;
mod extract;
mod last_applied;
mod managers;
mod merge;
mod path;
mod remove;
mod set;
mod spot;
mod typed;

use embedded_apimachinery::{Status, object};
use serde_json::{Value, json};

use compare::Changes;
use managers::{Entry, Managers, Operation};
use path::Step;
use set::FieldSet;
use spot::Spot;

use crate::model::{Gvk, KindSchema, TypeRef};

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// `fieldManager=`, or what the user agent says.
    pub name: &'a str,
    /// The subresource written through, or the empty string.
    pub subresource: &'a str,
    /// The time to record, as `metav1.Time`.
    pub now: &'a str,
}

/// Applies `config` onto `live` (`None`: the object is new) for `manager`.
///
/// The outcome is canonical and defaulted and carries the new `managedFields`; when it equals `live`, nothing is to be
/// written. Errors: 409 with one cause per conflicting field unless `force`, 400 for a configuration that no apply
/// takes, 500 for one that does not fit the schema.
pub fn apply(
    schema: &KindSchema,
    live: Option<&Value>,
    config: &Value,
    manager: Manager<'_>,
    force: bool,
) -> Result<Value, Status> {
    refuse(schema, config)?;
    let spot = Spot::root(&schema.root);
    let empty = empty(schema);
    let stored = live;
    let (live, mut managers) = match stored {
        Some(live) => (without_managers(live), Managers::of(live)),
        None => (empty.clone(), Managers::default()),
    };
    if managers.is_empty() {
        own_what_is_there(schema, &live, &mut managers);
    }
    let mut entry = entry(schema, manager, Operation::Apply);
    entry.fields = extract::field_set(config, spot);
    strip(&mut entry.fields, schema, manager.subresource);
    let last = managers.find(&entry).map(|previous| (previous.fields.clone(), previous.time.clone()));
    entry.time = last.as_ref().and_then(|(_, time)| time.clone());
    managers.put(entry.clone());
    let merged = merge::merge(&live, config, spot);
    let merged = match &last {
        Some((last, _)) => prune(merged, last, &managers, &schema.root),
        None => merged,
    };
    let changes = compare::changes(&live, &merged, spot);
    let allowed = match manager.name {
        last_applied::MANAGER => last_applied::fields(&live, spot),
        _ => FieldSet::default(),
    };
    take_over(&changes, &mut managers, &entry, &allowed, force)?;
    let mut result = merged;
    if manager.name == last_applied::MANAGER {
        last_applied::update(&mut result, config);
    }
    let changed = result != live;
    if let Some(own) = managers.find(&entry).filter(|_| changed) {
        own.time = Some(manager.now.to_owned());
    }
    schema.canonicalize(&mut result);
    schema.default_object(&mut result);
    managers.write(&mut result);
    Ok(match stored {
        Some(stored) if differ_in_times_only(stored, &result) => stored.clone(),
        _ => result,
    })
}

/// Whether two objects are the same but for the times at which their managers last wrote.
fn differ_in_times_only(left: &Value, right: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut managers = Managers::of(object);
        managers.0.iter_mut().for_each(|entry| entry.time = None);
        managers.0.sort_by(|a, b| a.manager.cmp(&b.manager).then(a.operation.cmp(&b.operation)));
        managers
    };
    timeless(left) == timeless(right) && without_managers(left) == without_managers(right)
}

/// Records in `new` that `manager` made it out of `live` (`None`: it is new).
///
/// `new` may carry `managedFields` of its own, which then replace those of `live`, as a client may edit them; a single
/// empty entry clears them all.
pub fn track_update(schema: &KindSchema, live: Option<&Value>, new: &mut Value, manager: Manager<'_>) {
    let own = Managers::of(new);
    let cleared = new.pointer("/metadata/managedFields") == Some(&json!([{}]));
    let mut managers = match live {
        _ if cleared => Managers::default(),
        Some(live) if own.is_empty() || !manager.subresource.is_empty() => Managers::of(live),
        _ => own,
    };
    object::metadata_mut(new).shift_remove("managedFields");
    // An object without managers was made before tracking, or somebody cleared them: it stays that way.
    if managers.is_empty() && live.is_some() {
        return;
    }
    let before = live.map_or_else(|| empty(schema), without_managers);
    update(schema, &before, new, &mut managers, entry(schema, manager, Operation::Update), manager);
    managers.write(new);
}

fn update(
    schema: &KindSchema,
    before: &Value,
    after: &Value,
    managers: &mut Managers,
    mut entry: Entry,
    manager: Manager<'_>,
) {
    let changes = compare::changes(before, after, Spot::root(&schema.root));
    for other in &mut managers.0 {
        let gone = changes.modified.union(&changes.added).union(&changes.removed);
        other.fields = other.fields.difference(&gone);
    }
    let mut taken = changes.modified.union(&changes.added);
    strip(&mut taken, schema, manager.subresource);
    if taken.is_empty() {
        return;
    }
    entry.fields = match managers.find(&entry) {
        Some(previous) => previous.fields.union(&taken),
        None => taken,
    };
    entry.time = Some(manager.now.to_owned());
    managers.put(entry);
}

/// Gives what an unmanaged object has to a manager of that name, so that a first apply meets it.
fn own_what_is_there(schema: &KindSchema, live: &Value, managers: &mut Managers) {
    let manager = Manager { name: "before-first-apply", subresource: "", now: "" };
    let mut entry = entry(schema, manager, Operation::Update);
    let changes = compare::changes(&empty(schema), live, Spot::root(&schema.root));
    entry.fields = changes.modified.union(&changes.added);
    strip(&mut entry.fields, schema, "");
    if !entry.fields.is_empty() {
        managers.put(entry);
    }
}

fn entry(schema: &KindSchema, manager: Manager<'_>, operation: Operation) -> Entry {
    Entry {
        manager: manager.name.to_owned(),
        operation,
        subresource: manager.subresource.to_owned(),
        api_version: schema.gvk.api_version(),
        time: None,
        fields: FieldSet::default(),
    }
}

/// The object that a new one is compared with: what is written for a kind when nothing is set.
fn empty(schema: &KindSchema) -> Value {
    let mut empty = json!({"metadata": {}});
    schema.canonicalize(&mut empty);
    empty
}

fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    embedded_apimachinery::object::metadata_mut(&mut object).shift_remove("managedFields");
    object
}

/// Nobody owns an object's identity, nor what cannot be written through the (sub)resource.
fn strip(fields: &mut FieldSet, schema: &KindSchema, subresource: &str) {
    const SYSTEM: [&str; 8] =
        ["name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"];
    let field = Step::field;
    for name in ["apiVersion", "kind"] {
        fields.remove_below(&[field(name)]);
    }
    for name in SYSTEM {
        fields.remove_below(&[field("metadata"), field(name)]);
    }
    fields.remove(&[field("metadata")]);
    match subresource {
        "" if !schema.custom => fields.remove_below(&[field("status")]),
        "status" => fields.remove_below(&[field("spec")]),
        _ => {}
    }
}

fn refuse(schema: &KindSchema, config: &Value) -> Result<(), Status> {
    let found = Gvk::of(config);
    let shown = |gvk: &Gvk| format!("{}/{}, Kind={}", gvk.group, gvk.version, gvk.kind);
    if found.kind.is_empty() || found.version.is_empty() {
        return Err(Status::bad_request(format!("invalid object type: {}", shown(&found))));
    }
    if found.api_version() != schema.gvk.api_version() {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {}, expected: {}",
            found.api_version(),
            schema.gvk.api_version()
        )));
    }
    if config.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    match typed::problems(config, &schema.root) {
        None => Ok(()),
        Some(problems) => Err(Status::new(
            500,
            "",
            format!(
                "failed to create typed patch object ({}/{}; {}): {problems}",
                object::namespace(config),
                object::name(config),
                shown(&found)
            ),
        )),
    }
}

/// Removes what `last` had and the manager no longer applies, unless somebody else owns it.
fn prune(merged: Value, last: &FieldSet, managers: &Managers, ty: &TypeRef) -> Value {
    let spot = Spot::root(ty);
    let fields_of = |value: &Value| extract::field_set(value, spot).with_named_fields(ty);
    let last = last.with_named_fields(ty);
    let without = remove::remove(&merged, &last, spot);
    let owned = managers.0.iter().fold(FieldSet::default(), |all, entry| all.union(&entry.fields));
    let all = fields_of(&merged);
    let kept = fields_of(&without).union(&owned.with_named_fields(ty));
    let with_owned = remove::remove(&merged, &all.difference(&kept), spot);
    let dropped = all.difference(&fields_of(&with_owned)).intersection(&last);
    remove::remove(&merged, &dropped, spot)
}

/// Takes what changed away from other managers; without `force`, that is a conflict but for the `allowed` fields.
fn take_over(
    changes: &Changes,
    managers: &mut Managers,
    entry: &Entry,
    allowed: &FieldSet,
    force: bool,
) -> Result<(), Status> {
    let set = changes.modified.union(&changes.added);
    let mut conflicts = Vec::new();
    for other in managers.others(entry) {
        let conflict = other.fields.intersection(&set).difference(allowed);
        conflicts.extend(conflict.paths().into_iter().map(|path| (other.shown(), path)));
    }
    if !force && !conflicts.is_empty() {
        return Err(conflict(conflicts));
    }
    for other in managers.others(entry) {
        other.fields = other.fields.difference(&set).difference(&changes.removed);
    }
    Ok(())
}

/// 409 with one cause per field. `conflicts` are managers, as shown, with paths.
fn conflict(mut conflicts: Vec<(String, String)>) -> Status {
    conflicts.sort_by(|a, b| a.0.cmp(&b.0));
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(manager, path)| {
            json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path})
        })
        .collect();
    let message = match conflicts.as_slice() {
        [(manager, path)] => format!("Apply failed with 1 conflict: conflict with {manager}: {path}"),
        many => {
            let mut lines = Vec::new();
            let mut last = None;
            for (manager, path) in many {
                if last != Some(manager) {
                    lines.push(format!("conflicts with {manager}:"));
                    last = Some(manager);
                }
                lines.push(format!("- {path}"));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    Status::new(409, "Conflict", message).with_details(json!({"causes": causes}))
}

#[cfg(test)]
mod tests;
