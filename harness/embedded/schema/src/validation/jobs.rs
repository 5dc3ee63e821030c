//! Jobs and CronJobs.

use serde_json::Value;

use super::problems::{Problems, is_set, text};
use super::{metadata, names, pod, schedule};

pub fn job(found: &mut Problems, object: &Value) {
    metadata::create(found, object, names::dns_subdomain);
    job_spec(found, "spec", &object["spec"]);
    if object["spec"]["selector"].is_null() {
        found.required("spec.selector", "");
    }
}

pub fn job_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    let (spec, before) = (&new["spec"], &old["spec"]);
    job_spec(found, "spec", spec);
    completions(found, spec, before);
    found.immutable("spec.selector", &spec["selector"], &before["selector"]);
    let template = if is_waiting(old) {
        with_placement_of(&before["template"], &spec["template"])
    } else {
        before["template"].clone()
    };
    found.immutable("spec.template", &spec["template"], &template);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        found.immutable(&format!("spec.{field}"), &spec[field], &before[field]);
    }
}

/// Completions are fixed, but those of an indexed job may follow its parallelism.
fn completions(found: &mut Problems, new: &Value, old: &Value) {
    if new["completions"] == old["completions"] {
        return;
    }
    let elastic =
        text(&new["completionMode"]) == "Indexed" && is_set(&old["completions"]) && is_set(&new["completions"]);
    if !elastic {
        return found.immutable("spec.completions", &new["completions"], &old["completions"]);
    }
    let in_tandem = |spec: &Value| spec["completions"] == spec["parallelism"];
    if !in_tandem(old) || !in_tandem(new) {
        found.invalid(
            "spec.completions",
            new["completions"].clone(),
            "can only be modified in tandem with spec.parallelism",
        );
    }
}

/// A job that has not started may still be placed elsewhere.
fn is_waiting(job: &Value) -> bool {
    job["spec"]["suspend"] == true && job["status"]["startTime"].is_null()
}

fn with_placement_of(template: &Value, from: &Value) -> Value {
    let mut template = template.clone();
    for field in ["labels", "annotations"] {
        copy(&mut template["metadata"], &from["metadata"], field);
    }
    for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
        copy(&mut template["spec"], &from["spec"], field);
    }
    template
}

fn copy(to: &mut Value, from: &Value, field: &str) {
    let Some(map) = to.as_object_mut() else { return };
    match from.get(field) {
        Some(value) => {
            map.insert(field.to_owned(), value.clone());
        }
        None => {
            map.shift_remove(field);
        }
    }
}

fn job_spec(found: &mut Problems, field: &str, spec: &Value) {
    const COUNTS: [&str; 7] = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for count in COUNTS {
        found.not_negative(&format!("{field}.{count}"), &spec[count]);
    }
    let mode = text(&spec["completionMode"]);
    found.one_of_if_set(&format!("{field}.completionMode"), &spec["completionMode"], &["NonIndexed", "Indexed"]);
    if mode == "Indexed" && spec["completions"].is_null() {
        found.required(&format!("{field}.completions"), "when completion mode is Indexed");
    }
    found.one_of_if_set(
        &format!("{field}.podReplacementPolicy"),
        &spec["podReplacementPolicy"],
        &["Failed", "TerminatingOrFailed"],
    );
    pod::template(found, &format!("{field}.template"), &spec["template"], &[]);
    let policy = text(&spec["template"]["spec"]["restartPolicy"]);
    let policy_field = format!("{field}.template.spec.restartPolicy");
    if policy.is_empty() || policy == "Always" {
        found.required(&policy_field, "valid values: \"OnFailure\", \"Never\"");
    }
    if is_set(&spec["podFailurePolicy"]) && policy == "OnFailure" {
        let says = "only \"Never\" is supported when podFailurePolicy is specified";
        found.invalid(&policy_field, policy, says);
    }
}

pub fn cron_job(found: &mut Problems, object: &Value) {
    // Jobs append a dash and the minute in ten digits.
    const NAME_MAX: usize = 52;
    metadata::create(found, object, names::dns_subdomain);
    cron_job_spec(found, &object["spec"]);
    let name = text(&object["metadata"]["name"]);
    if name.len() > NAME_MAX {
        found.invalid("metadata.name", name, &format!("must be no more than {NAME_MAX} characters"));
    }
}

pub fn cron_job_update(found: &mut Problems, new: &Value, old: &Value) {
    metadata::update(found, new, old);
    cron_job_spec(found, &new["spec"]);
}

fn cron_job_spec(found: &mut Problems, spec: &Value) {
    let schedule = text(&spec["schedule"]);
    if schedule.is_empty() {
        found.required("spec.schedule", "");
    } else if let Err(problem) = schedule::check(schedule) {
        found.invalid("spec.schedule", schedule, &problem);
    }
    found.not_negative("spec.startingDeadlineSeconds", &spec["startingDeadlineSeconds"]);
    if let Some(zone) = spec["timeZone"].as_str() {
        time_zone(found, zone);
    }
    found.one_of("spec.concurrencyPolicy", &spec["concurrencyPolicy"], &["Allow", "Forbid", "Replace"]);
    for limit in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        found.not_negative(&format!("spec.{limit}"), &spec[limit]);
    }
    job_spec(found, "spec.jobTemplate.spec", &spec["jobTemplate"]["spec"]);
}

fn time_zone(found: &mut Problems, zone: &str) {
    const FIELD: &str = "spec.timeZone";
    if zone.is_empty() {
        found.invalid(FIELD, zone, "timeZone must be nil or non-empty string");
    } else if zone.eq_ignore_ascii_case("local") {
        found.invalid(
            FIELD,
            zone,
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        );
    } else if zone.parse::<chrono_tz::Tz>().is_err() {
        found.invalid(FIELD, zone, &format!("unknown time zone {zone}"));
    }
}
