//! Objects as rows, for `kubectl get`: column definitions and cells per kind.
//!
//! One module per family of kinds; [`column`] has what they share. Kinds without a printer show name and age.

mod column;
mod config;
mod custom;
mod network;
mod nodes;
mod pods;
mod policy;
mod storage;
mod workloads;

use chrono::{DateTime, Utc};
use embedded_apimachinery::{Result, Status};
use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::server::show::partial;
use column::{Column, age};

/// How much of the object comes with its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

impl IncludeObject {
    pub fn parse(text: Option<&str>) -> Result<Self> {
        match text.unwrap_or_default() {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(Status::bad_request(format!("unrecognized includeObject value: {}", json!(other)))),
        }
    }
}

/// How one kind is shown.
struct Printer {
    columns: &'static [Column],
    cells: fn(&Value, DateTime<Utc>) -> Vec<Value>,
}

const PLAIN: Printer =
    Printer { columns: &[column::NAME, column::AGE], cells: |o, now| vec![column::name(o), age(o, now)] };

fn printer(resource: &Resource) -> Printer {
    match (&*resource.id.group, &*resource.id.resource) {
        ("", "pods") => pods::PODS,
        ("", "podtemplates") => workloads::POD_TEMPLATES,
        ("", "replicationcontrollers") => workloads::REPLICATION_CONTROLLERS,
        ("apps", "replicasets") => workloads::REPLICA_SETS,
        ("apps", "deployments") => workloads::DEPLOYMENTS,
        ("apps", "statefulsets") => workloads::STATEFUL_SETS,
        ("apps", "daemonsets") => workloads::DAEMON_SETS,
        ("apps", "controllerrevisions") => workloads::CONTROLLER_REVISIONS,
        ("batch", "jobs") => workloads::JOBS,
        ("batch", "cronjobs") => workloads::CRON_JOBS,
        ("autoscaling", "horizontalpodautoscalers") => policy::AUTOSCALERS,
        ("", "services") => network::SERVICES,
        ("", "endpoints") => network::ENDPOINTS,
        ("discovery.k8s.io", "endpointslices") => network::ENDPOINT_SLICES,
        ("networking.k8s.io", "ingresses") => network::INGRESSES,
        ("networking.k8s.io", "ingressclasses") => network::INGRESS_CLASSES,
        ("networking.k8s.io", "networkpolicies") => network::NETWORK_POLICIES,
        ("", "nodes") => nodes::NODES,
        ("coordination.k8s.io", "leases") => nodes::LEASES,
        ("", "namespaces") => config::NAMESPACES,
        ("", "configmaps") => config::CONFIG_MAPS,
        ("", "secrets") => config::SECRETS,
        ("", "serviceaccounts") => config::SERVICE_ACCOUNTS,
        ("" | "events.k8s.io", "events") => config::EVENTS,
        ("", "resourcequotas") => policy::RESOURCE_QUOTAS,
        ("", "limitranges") | ("apiextensions.k8s.io", "customresourcedefinitions") => policy::CREATED_AT,
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => policy::CREATED_AT,
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => policy::BINDINGS,
        ("policy", "poddisruptionbudgets") => policy::DISRUPTION_BUDGETS,
        ("scheduling.k8s.io", "priorityclasses") => policy::PRIORITY_CLASSES,
        ("", "persistentvolumes") => storage::VOLUMES,
        ("", "persistentvolumeclaims") => storage::CLAIMS,
        ("storage.k8s.io", "storageclasses") => storage::CLASSES,
        _ => PLAIN,
    }
}

pub fn rows(resource: &Resource, objects: &[&Value], include: IncludeObject) -> Vec<Value> {
    let now = Utc::now();
    let printer = printer(resource);
    let row = |object: &&Value| {
        let cells = match &resource.custom {
            Some(custom) => custom::cells(custom, object, now),
            None => (printer.cells)(object, now),
        };
        let mut row = json!({"cells": cells});
        if let Some(conditions) = Some(pods::row_conditions(resource, object)).filter(|c| !c.is_empty()) {
            row["conditions"] = conditions.into();
        }
        row["object"] = match include {
            IncludeObject::None => Value::Null,
            IncludeObject::Metadata => partial(object),
            IncludeObject::Object => Value::clone(object),
        };
        row
    };
    objects.iter().map(row).collect()
}

/// `definitions` is false for later tables of one watch, which do not repeat their columns.
pub fn table(resource: &Resource, meta: Value, rows: Vec<Value>, definitions: bool) -> Value {
    let columns: Vec<Value> = match (&resource.custom, definitions) {
        (_, false) => Vec::new(),
        (Some(custom), true) => custom::columns(custom),
        (None, true) => printer(resource).columns.iter().map(Column::definition).collect(),
    };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": columns,
        "rows": rows})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    /// Whatever an object lacks, its row has as many cells as there are columns.
    #[test]
    fn rows_fit_their_columns() {
        for resource in Catalog::default().all() {
            let object = json!({"kind": resource.kind, "metadata": {"name": "x"}});
            let rows = rows(&resource, &[&object], IncludeObject::None);
            let table = table(&resource, json!({}), rows, true);
            let count = |pointer: &str| table.pointer(pointer).and_then(Value::as_array).map(Vec::len);
            assert_eq!(count("/rows/0/cells"), count("/columnDefinitions"), "{}", resource.id);
        }
    }
}
