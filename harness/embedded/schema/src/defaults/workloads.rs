//! Controllers of pods, and the autoscaler.

use serde_json::{Map, Value, json};

use super::{Object, each, pod, set, set_text, storage, text, with, within};

pub fn deployment(root: &mut Object) {
    with(root, "spec", |spec| {
        set(spec, "replicas", 1);
        set(spec, "revisionHistoryLimit", 10);
        set(spec, "progressDeadlineSeconds", 600);
        within(spec, "strategy", |strategy| {
            set_text(strategy, "type", "RollingUpdate");
            if text(strategy, "type") == "RollingUpdate" {
                within(strategy, "rollingUpdate", |rolling| {
                    set(rolling, "maxUnavailable", "25%");
                    set(rolling, "maxSurge", "25%");
                });
            }
        });
        with(spec, "template", pod::template);
    });
}

pub fn replica_set(root: &mut Object) {
    with(root, "spec", |spec| {
        set(spec, "replicas", 1);
        with(spec, "template", pod::template);
    });
}

pub fn replication_controller(root: &mut Object) {
    let labels = root.get("spec").and_then(|spec| spec.pointer("/template/metadata/labels")).cloned();
    with(root, "spec", |spec| {
        set(spec, "replicas", 1);
        with(spec, "template", pod::template);
        if let Some(labels) = labels.clone() {
            set(spec, "selector", labels);
        }
    });
    if let Some(labels) = labels {
        within(root, "metadata", |meta| set(meta, "labels", labels));
    }
}

pub fn stateful_set(root: &mut Object) {
    with(root, "spec", |spec| {
        set_text(spec, "podManagementPolicy", "OrderedReady");
        within(spec, "updateStrategy", |strategy| {
            set_text(strategy, "type", "RollingUpdate");
            if text(strategy, "type") == "RollingUpdate" {
                within(strategy, "rollingUpdate", |rolling| set(rolling, "partition", 0));
            }
        });
        within(spec, "persistentVolumeClaimRetentionPolicy", |policy| {
            set_text(policy, "whenDeleted", "Retain");
            set_text(policy, "whenScaled", "Retain");
        });
        set(spec, "replicas", 1);
        set(spec, "revisionHistoryLimit", 10);
        with(spec, "template", pod::template);
        each(spec, "volumeClaimTemplates", |claim| {
            set_text(claim, "kind", "PersistentVolumeClaim");
            set_text(claim, "apiVersion", "v1");
            storage::claim(claim);
        });
    });
}

pub fn daemon_set(root: &mut Object) {
    with(root, "spec", |spec| {
        within(spec, "updateStrategy", |strategy| {
            set_text(strategy, "type", "RollingUpdate");
            if text(strategy, "type") == "RollingUpdate" {
                within(strategy, "rollingUpdate", |rolling| {
                    set(rolling, "maxUnavailable", 1);
                    set(rolling, "maxSurge", 0);
                });
            }
        });
        set(spec, "revisionHistoryLimit", 10);
        with(spec, "template", pod::template);
    });
}

pub fn job(root: &mut Object) {
    with(root, "spec", |spec| {
        if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
            spec.insert("completions".into(), 1.into());
        }
        set(spec, "parallelism", 1);
        let per_index = spec.contains_key("backoffLimitPerIndex");
        set(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
        set(spec, "completionMode", "NonIndexed");
        set(spec, "suspend", false);
        set(spec, "manualSelector", false);
        let on_failure = if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
        set(spec, "podReplacementPolicy", on_failure);
        with(spec, "podFailurePolicy", |policy| {
            each(policy, "rules", |rule| {
                each(rule, "onPodConditions", |condition| set_text(condition, "status", "True"));
            });
        });
        with(spec, "template", pod::template);
    });
}

pub fn cron_job(root: &mut Object) {
    with(root, "spec", |spec| {
        set_text(spec, "concurrencyPolicy", "Allow");
        set(spec, "suspend", false);
        set(spec, "successfulJobsHistoryLimit", 3);
        set(spec, "failedJobsHistoryLimit", 1);
        with(spec, "jobTemplate", |job| with(job, "spec", |spec| with(spec, "template", pod::template)));
    });
}

pub fn autoscaler(root: &mut Object) {
    with(root, "spec", |spec| {
        set(spec, "minReplicas", 1);
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        set(spec, "metrics", json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
        with(spec, "behavior", |behavior| {
            let shrink = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
            let grow = json!([
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15}
            ]);
            within(behavior, "scaleUp", |rules| {
                set(rules, "stabilizationWindowSeconds", 0);
                scaling_rules(rules, grow);
            });
            within(behavior, "scaleDown", |rules| scaling_rules(rules, shrink));
        });
    });
    within(root, "status", |status| {
        status.entry("currentMetrics").or_insert(Value::Null);
    });
}

fn scaling_rules(rules: &mut Map<String, Value>, policies: Value) {
    set(rules, "selectPolicy", "Max");
    set(rules, "policies", policies);
}
