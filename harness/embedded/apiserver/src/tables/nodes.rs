//! Nodes and leases.

use embedded_apimachinery::object;
use serde_json::Value;

use super::Printer;
use super::column::{AGE, Column, NAME, NONE, age, name, text_or};

pub const NODES: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Status", "Whether the node is ready, and whether pods are scheduled to it."),
        Column::text("Roles", "The roles of the node."),
        AGE,
        Column::text("Version", "The version of its kubelet."),
        Column::text("Internal-IP", "Its address inside the cluster.").wide(),
        Column::text("External-IP", "Its address outside of the cluster.").wide(),
        Column::text("OS-Image", "Its operating system.").wide(),
        Column::text("Kernel-Version", "Its kernel.").wide(),
        Column::text("Container-Runtime", "Its container runtime.").wide(),
    ],
    cells: |o, now| {
        vec![
            name(o),
            status(o).into(),
            roles(o).into(),
            age(o, now),
            object::str_at(o, "/status/nodeInfo/kubeletVersion").into(),
            address(o, "InternalIP").into(),
            address(o, "ExternalIP").into(),
            text_or(o, "/status/nodeInfo/osImage", "<unknown>").into(),
            text_or(o, "/status/nodeInfo/kernelVersion", "<unknown>").into(),
            text_or(o, "/status/nodeInfo/containerRuntimeVersion", "<unknown>").into(),
        ]
    },
};

fn status(node: &Value) -> String {
    let mut status = match object::condition(node, "Ready").map(|c| object::str_at(c, "/status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object::bool_at(node, "/spec/unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(node: &Value) -> String {
    const PREFIX: &str = "node-role.kubernetes.io/";
    let labels = object::labels(node);
    let mut roles: Vec<&str> = labels
        .iter()
        .filter_map(|(key, value)| match key.strip_prefix(PREFIX) {
            Some("") | None => (key == "kubernetes.io/role").then_some(value.as_str()),
            role => role,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { NONE.to_owned() } else { roles.join(",") }
}

fn address(node: &Value, kind: &str) -> String {
    let found = object::list_at(node, "/status/addresses").iter().find(|a| a["type"] == *kind);
    found.map_or(NONE, |a| object::str_at(a, "/address")).to_owned()
}

pub const LEASES: Printer = Printer {
    columns: &[NAME, Column::text("Holder", "Who holds the lease."), AGE],
    cells: |o, now| vec![name(o), object::str_at(o, "/spec/holderIdentity").into(), age(o, now)],
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cordoned_nodes_say_so() {
        let node = json!({"spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(status(&node), "Ready,SchedulingDisabled");
        assert_eq!(status(&json!({})), "Unknown");
    }
}
