//! Budgets, quotas, priorities, autoscalers and permissions.

use embedded_apimachinery::object;
use serde_json::Value;

use super::Printer;
use super::column::{self, AGE, Column, NAME, age, int, name, text_or};

const UNAVAILABLE: &str = "N/A";

pub const DISRUPTION_BUDGETS: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Min Available", "Pods that must be available."),
        Column::text("Max Unavailable", "Pods that may be unavailable."),
        Column::number("Allowed Disruptions", "Evictions that are allowed now."),
        AGE,
    ],
    cells: |o, now| {
        vec![
            name(o),
            int_or_percent(o, "/spec/minAvailable").into(),
            int_or_percent(o, "/spec/maxUnavailable").into(),
            int(o, "/status/disruptionsAllowed").into(),
            age(o, now),
        ]
    },
};

fn int_or_percent(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => UNAVAILABLE.to_owned(),
    }
}

pub const RESOURCE_QUOTAS: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Request", "Used and allowed requests and counts."),
        Column::text("Limit", "Used and allowed limits."),
        AGE,
    ],
    cells: |o, now| {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        let used = object::string_map(o.pointer("/status/used"));
        for (resource, hard) in object::string_map(o.pointer("/status/hard")) {
            let used = used.get(&resource).map_or("0", String::as_str);
            let list = if resource.starts_with("limits") { &mut limits } else { &mut requests };
            list.push(format!("{resource}: {used}/{hard}"));
        }
        vec![name(o), requests.join(", ").into(), limits.join(", ").into(), age(o, now)]
    },
};

pub const PRIORITY_CLASSES: Printer = Printer {
    columns: &[
        NAME,
        Column::number("Value", "The priority."),
        Column::text("Global-Default", "Whether pods without a class get this one."),
        AGE,
        Column::text("PreemptionPolicy", "Whether pods of the class preempt others."),
    ],
    cells: |o, now| {
        vec![
            name(o),
            int(o, "/value").into(),
            object::bool_at(o, "/globalDefault").into(),
            age(o, now),
            text_or(o, "/preemptionPolicy", "PreemptLowerPriority").into(),
        ]
    },
};

pub const CREATED_AT: Printer = Printer {
    columns: &[NAME, column::CREATED_AT],
    cells: |o, _| vec![name(o), object::str_at(o, "/metadata/creationTimestamp").into()],
};

pub const BINDINGS: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Role", "The role that is given."),
        AGE,
        Column::text("Users", "Users it is given to.").wide(),
        Column::text("Groups", "Groups it is given to.").wide(),
        Column::text("ServiceAccounts", "ServiceAccounts it is given to.").wide(),
    ],
    cells: |o, now| {
        let subjects = |kind: &str| {
            let found = object::list_at(o, "/subjects").iter().filter(|s| s["kind"] == *kind);
            let names: Vec<String> = found
                .map(|s| match (kind, object::str_at(s, "/namespace"), object::str_at(s, "/name")) {
                    ("ServiceAccount", namespace, name) => format!("{namespace}/{name}"),
                    (_, _, name) => name.to_owned(),
                })
                .collect();
            Value::from(names.join(", "))
        };
        let role = format!("{}/{}", object::str_at(o, "/roleRef/kind"), object::str_at(o, "/roleRef/name"));
        vec![name(o), role.into(), age(o, now), subjects("User"), subjects("Group"), subjects("ServiceAccount")]
    },
};

pub const AUTOSCALERS: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Reference", "What is scaled."),
        Column::text("Targets", "Measured and wanted metrics."),
        Column::text("MinPods", "Least number of pods."),
        Column::number("MaxPods", "Greatest number of pods."),
        Column::number("Replicas", "Current number of pods."),
        AGE,
    ],
    cells: |o, now| {
        let target = format!(
            "{}/{}",
            object::str_at(o, "/spec/scaleTargetRef/kind"),
            object::str_at(o, "/spec/scaleTargetRef/name")
        );
        let least = object::int_at(o, "/spec/minReplicas").map_or_else(|| "<unset>".to_owned(), |n| n.to_string());
        vec![
            name(o),
            target.into(),
            metrics(o).into(),
            least.into(),
            int(o, "/spec/maxReplicas").into(),
            int(o, "/status/currentReplicas").into(),
            age(o, now),
        ]
    },
};

/// `cpu: 10%/50%` per metric; what was not measured yet is unknown.
fn metrics(autoscaler: &Value) -> String {
    if let Some(cpu) = object::int_at(autoscaler, "/spec/targetCPUUtilizationPercentage") {
        let current = object::int_at(autoscaler, "/status/currentCPUUtilizationPercentage");
        return format!("cpu: {}/{cpu}%", current.map_or_else(|| "<unknown>".to_owned(), |c| format!("{c}%")));
    }
    let shown: Vec<String> = object::list_at(autoscaler, "/spec/metrics")
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            let name = object::str_at(metric, "/resource/name");
            let measured = object::list_at(autoscaler, "/status/currentMetrics").get(index);
            let amount = |holder: Option<&Value>, place: &str| {
                let at = |field: &str| holder?.pointer(&format!("/resource/{place}/{field}"));
                match (at("averageUtilization"), at("averageValue")) {
                    (Some(percent), _) => format!("{percent}%"),
                    (None, Some(Value::String(value))) => value.clone(),
                    _ => "<unknown>".to_owned(),
                }
            };
            format!("{name}: {}/{}", amount(measured, "current"), amount(Some(metric), "target"))
        })
        .collect();
    if shown.is_empty() { "<none>".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metrics_show_what_is_and_what_is_wanted() {
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}});
        let mut autoscaler = json!({"spec": {"metrics": [metric]}});
        assert_eq!(metrics(&autoscaler), "cpu: <unknown>/50%");
        autoscaler["status"] =
            json!({"currentMetrics": [{"resource": {"name": "cpu", "current": {"averageUtilization": 10}}}]});
        assert_eq!(metrics(&autoscaler), "cpu: 10%/50%");
    }
}
