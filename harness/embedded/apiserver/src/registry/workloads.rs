//! What Jobs and DaemonSets are given on their way in: a selector of their own, and a count of their templates.

use embedded_apimachinery::object;
use embedded_apimachinery::resource::{DAEMON_SETS, JOBS};
use serde_json::{Value, json};

use crate::catalog::Resource;

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub fn complete_create(resource: &Resource, object: &mut Value) {
    if resource.id == JOBS && !object::bool_at(object, "/spec/manualSelector") {
        select_by_uid(object);
    }
    if resource.id == JOBS {
        inherit_labels(object);
    }
    if resource.id == DAEMON_SETS {
        object::set_annotation(object, TEMPLATE_GENERATION, "1");
    }
}

/// A DaemonSet counts its templates in an annotation that writers cannot change.
pub fn complete_update(resource: &Resource, current: &Value, changed: &mut Value) {
    if resource.id != DAEMON_SETS {
        return;
    }
    let before = object::annotation(current, TEMPLATE_GENERATION).and_then(|v| v.parse::<i64>().ok()).unwrap_or(1);
    let template = |set: &Value| set.pointer("/spec/template").cloned();
    let generation = if template(current) == template(changed) { before } else { before + 1 };
    object::set_annotation(changed, TEMPLATE_GENERATION, &generation.to_string());
}

/// A Job selects its pods by its uid, so that it never takes another's. The labels without a prefix are older.
fn select_by_uid(job: &mut Value) {
    let (uid, name) = (object::uid(job).to_owned(), object::name(job).to_owned());
    let labels = object::map_at_mut(job, &["spec", "template", "metadata", "labels"]);
    for (key, value) in [(CONTROLLER_UID, &uid), (JOB_NAME, &name), ("controller-uid", &uid), ("job-name", &name)] {
        labels.insert(key.into(), value.as_str().into());
    }
    object::map_at_mut(job, &["spec", "selector", "matchLabels"]).insert(CONTROLLER_UID.into(), uid.into());
}

/// A Job without labels has those of its pods.
fn inherit_labels(job: &mut Value) {
    let template = job.pointer("/spec/template/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    let labels = object::map_at_mut(job, &["metadata", "labels"]);
    if let (true, Value::Object(template)) = (labels.is_empty(), template) {
        *labels = template;
    }
    if labels.is_empty() {
        object::metadata_mut(job).shift_remove("labels");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn resource(id: &embedded_apimachinery::GroupResource) -> std::sync::Arc<Resource> {
        Catalog::default().stored(id).unwrap()
    }

    #[test]
    fn a_job_selects_its_pods_by_uid() {
        let mut job =
            json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"metadata": {}, "spec": {}}}});
        complete_create(&resource(&JOBS), &mut job);
        let labels = json!({"batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "j",
            "controller-uid": "u", "job-name": "j"});
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
        assert_eq!(job["metadata"]["labels"], labels);
        assert_eq!(job["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}));
    }

    #[test]
    fn a_job_with_a_selector_by_hand_keeps_it() {
        let mut job = json!({"metadata": {"name": "j", "uid": "u", "labels": {"a": "b"}},
            "spec": {"manualSelector": true, "selector": {"matchLabels": {"x": "y"}}, "template": {"metadata": {}}}});
        let before = job.clone();
        complete_create(&resource(&JOBS), &mut job);
        assert_eq!(job, before);
    }

    #[test]
    fn a_daemon_set_counts_its_templates() {
        let daemon_sets = resource(&DAEMON_SETS);
        let mut first = json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": {"a": 1}}}});
        complete_create(&daemon_sets, &mut first);
        let generation = |set: &Value| object::annotation(set, TEMPLATE_GENERATION).map(str::to_owned);
        assert_eq!(generation(&first).as_deref(), Some("1"));
        let mut same = json!({"metadata": {"name": "d"}, "spec": first["spec"]});
        complete_update(&daemon_sets, &first, &mut same);
        assert_eq!(generation(&same).as_deref(), Some("1"));
        same["spec"]["template"]["spec"]["a"] = 2.into();
        complete_update(&daemon_sets, &first, &mut same);
        assert_eq!(generation(&same).as_deref(), Some("2"));
    }
}
