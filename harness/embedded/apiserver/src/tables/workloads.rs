//! Workloads: how many of their pods there are and should be.

use chrono::{DateTime, Utc};
use embedded_apimachinery::{object, timestamp};
use serde_json::Value;

use super::Printer;
use super::column::{
    AGE, CONTAINERS, Column, IMAGES, NAME, NONE, age, containers, duration, int, map_text, name, selector_text, since,
};

const TEMPLATE: &str = "/spec/template/spec/containers";
const SELECTOR: Column = Column::text("Selector", "Label query over the pods that belong to this object.").wide();
const DESIRED: Column = Column::number("Desired", "Number of pods that are wanted.");
const CURRENT: Column = Column::number("Current", "Number of pods that exist.");
const READY: Column = Column::number("Ready", "Number of pods that are ready.");

pub const DEPLOYMENTS: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Ready", "Number of the pod with ready state"),
        Column::text(
            "Up-to-date",
            "Total number of non-terminating pods targeted by this deployment that have the desired template spec.",
        ),
        Column::text(
            "Available",
            "Total number of available non-terminating pods (ready for at least minReadySeconds) targeted by this \
             deployment.",
        ),
        AGE,
        CONTAINERS,
        IMAGES,
        Column::text(
            "Selector",
            "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected \
             by this deployment. It must match the pod template's labels.",
        )
        .wide(),
    ],
    cells: |o, now| {
        let [names, images] = containers(o, TEMPLATE);
        vec![
            name(o),
            ready_of(o),
            int(o, "/status/updatedReplicas").into(),
            int(o, "/status/availableReplicas").into(),
            age(o, now),
            names,
            images,
            selector_text(o.pointer("/spec/selector")).into(),
        ]
    },
};

fn ready_of(object: &Value) -> Value {
    format!("{}/{}", int(object, "/status/readyReplicas"), int(object, "/spec/replicas")).into()
}

pub const REPLICA_SETS: Printer = Printer {
    columns: &[NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR],
    cells: |o, now| replicas(o, now, selector_text(o.pointer("/spec/selector"))),
};

pub const REPLICATION_CONTROLLERS: Printer = Printer {
    columns: &[NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR],
    cells: |o, now| replicas(o, now, map_text(o.pointer("/spec/selector"))),
};

fn replicas(object: &Value, now: DateTime<Utc>, selector: String) -> Vec<Value> {
    let [names, images] = containers(object, TEMPLATE);
    vec![
        name(object),
        int(object, "/spec/replicas").into(),
        int(object, "/status/replicas").into(),
        int(object, "/status/readyReplicas").into(),
        age(object, now),
        names,
        images,
        selector.into(),
    ]
}

pub const STATEFUL_SETS: Printer = Printer {
    columns: &[NAME, Column::text("Ready", "Number of the pod with ready state"), AGE, CONTAINERS, IMAGES],
    cells: |o, now| {
        let [names, images] = containers(o, TEMPLATE);
        vec![name(o), ready_of(o), age(o, now), names, images]
    },
};

pub const DAEMON_SETS: Printer = Printer {
    columns: &[
        NAME,
        DESIRED,
        CURRENT,
        READY,
        Column::number("Up-to-date", "Number of nodes that run a pod of the newest template."),
        Column::number("Available", "Number of nodes whose pod is available."),
        Column::text("Node Selector", "Labels of the nodes that are to run a pod."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |o, now| {
        let [names, images] = containers(o, TEMPLATE);
        let status = |field: &str| Value::from(int(o, &format!("/status/{field}")));
        vec![
            name(o),
            status("desiredNumberScheduled"),
            status("currentNumberScheduled"),
            status("numberReady"),
            status("updatedNumberScheduled"),
            status("numberAvailable"),
            map_text(o.pointer("/spec/template/spec/nodeSelector")).into(),
            age(o, now),
            names,
            images,
            selector_text(o.pointer("/spec/selector")).into(),
        ]
    },
};

pub const JOBS: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Status", "Status of the job."),
        Column::text("Completions", "Pods that succeeded, of those that have to."),
        Column::text("Duration", "Time the job took, or has taken so far."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: job,
};

fn job(o: &Value, now: DateTime<Utc>) -> Vec<Value> {
    let [names, images] = containers(o, TEMPLATE);
    let succeeded = int(o, "/status/succeeded");
    let completions = match (object::int_at(o, "/spec/completions"), int(o, "/spec/parallelism")) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism @ 2..) => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let started = timestamp::parse(object::str_at(o, "/status/startTime"));
    let ended = timestamp::parse(object::str_at(o, "/status/completionTime"));
    let took = started.map(|start| duration((ended.unwrap_or(now) - start).num_seconds()));
    let is = |kind: &str| object::condition_is_true(o, kind);
    let status = match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if object::is_deleting(o) => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    vec![
        name(o),
        status.into(),
        completions.into(),
        took.unwrap_or_default().into(),
        age(o, now),
        names,
        images,
        selector_text(o.pointer("/spec/selector")).into(),
    ]
}

pub const CRON_JOBS: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Schedule", "The schedule in Cron format."),
        Column::text("Timezone", "The time zone of the schedule."),
        Column::text("Suspend", "Whether no further jobs are started."),
        Column::number("Active", "Number of jobs that run."),
        Column::text("Last Schedule", "When a job was last started."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |o, now| {
        let [names, images] = containers(o, "/spec/jobTemplate/spec/template/spec/containers");
        let last = object::str_at(o, "/status/lastScheduleTime");
        vec![
            name(o),
            object::str_at(o, "/spec/schedule").into(),
            super::column::text_or(o, "/spec/timeZone", NONE).into(),
            if object::bool_at(o, "/spec/suspend") { "True" } else { "False" }.into(),
            object::list_at(o, "/status/active").len().into(),
            if last.is_empty() { NONE.into() } else { since(last, now).into() },
            age(o, now),
            names,
            images,
            selector_text(o.pointer("/spec/jobTemplate/spec/selector")).into(),
        ]
    },
};

pub const CONTROLLER_REVISIONS: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Controller", "The object whose template this was."),
        Column::number("Revision", "The number of the revision."),
        AGE,
    ],
    cells: |o, now| {
        let controller = object::controller_ref(o).map_or_else(
            || NONE.to_owned(),
            |r| {
                let group = object::str_at(r, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
                let kind = object::str_at(r, "/kind").to_lowercase();
                format!("{kind}.{group}/{}", object::str_at(r, "/name"))
            },
        );
        vec![name(o), controller.into(), int(o, "/revision").into(), age(o, now)]
    },
};

pub const POD_TEMPLATES: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Containers", "Names of each container in the template."),
        Column::text("Images", "Images referenced by each container in the template."),
        Column::text("Pod Labels", "The labels of pods made from the template."),
    ],
    cells: |o, _| {
        let [names, images] = containers(o, "/template/spec/containers");
        vec![name(o), names, images, map_text(o.pointer("/template/metadata/labels")).into()]
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn jobs_show_how_far_they_are() {
        let running = json!({"metadata": {"name": "j"}, "spec": {"completions": 3}, "status": {"succeeded": 1}});
        let cells = job(&running, Utc::now());
        assert_eq!((&cells[1], &cells[2], &cells[3]), (&json!("Running"), &json!("1/3"), &json!("")));
        let done = json!({"spec": {"completions": 1}, "status": {"succeeded": 1,
            "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:05Z",
            "conditions": [{"type": "Complete", "status": "True"}]}});
        let cells = job(&done, Utc::now());
        assert_eq!((&cells[1], &cells[3]), (&json!("Complete"), &json!("5s")));
    }
}
