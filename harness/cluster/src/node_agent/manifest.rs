//! What is created for the agents on the nodes.

use crate::access::RUN_LABEL;
use crate::images::PROGRAM;
use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::{Value, json};

pub const CONTAINER: &str = "agent";

const NAME: &str = "gauntlet-node-agent";

/// What undoes everything must outlive a short absence of ours, and a person must not wait long for it.
const LEASE_SECONDS: u32 = 30;

/// The agents of a run have a namespace of their own.
pub fn namespace(run: &str) -> String {
    format!("gauntlet-nodes-{run}")
}

/// The namespace, and an agent for every node, whatever keeps other pods off it.
pub fn objects(run: &str, image: &str) -> Vec<Value> {
    let namespace = namespace(run);
    let labels = json!({"app.kubernetes.io/name": NAME, RUN_LABEL: run});
    let spec = json!({
        "hostPID": true,
        "automountServiceAccountToken": false,
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 30,
        "containers": [{
            "name": CONTAINER,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": [PROGRAM, "agent", "node", "serve", format!("--run={run}"), format!("--lease-seconds={LEASE_SECONDS}")],
            // Signals to others' processes, and the way into their networks.
            "securityContext": {"privileged": true, "runAsUser": 0, "runAsGroup": 0},
            // Where `nft` is.
            "env": [{"name": "PATH", "value": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}],
            // Its share of a busy node: what it has to stop in time must not starve it.
            "resources": {"requests": {"cpu": "100m", "memory": "32Mi"}},
            "volumeMounts": [{"name": "run", "mountPath": "/run/gauntlet"}],
        }],
        "volumes": [{"name": "run", "emptyDir": {}}],
    });
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {
            "pod-security.kubernetes.io/enforce": "privileged"}}}),
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        }}),
    ]
}

/// Whether every node has its agent.
///
/// # Errors
/// How many have.
pub fn all_run(set: &DaemonSet) -> Result<(), String> {
    let status = set.status.clone().unwrap_or_default();
    let is_current = status.observed_generation == set.metadata.generation;
    let (ready, wanted) = (status.number_ready, status.desired_number_scheduled);
    if is_current && wanted > 0 && ready == wanted {
        return Ok(());
    }
    Err(format!("{ready} of {wanted} run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_go_to_every_node_and_nothing_is_theirs_but_the_namespace() {
        let objects = objects("r1", "agent:1");
        assert_eq!(objects[0]["metadata"]["name"], "gauntlet-nodes-r1");
        assert!(objects[1..].iter().all(|object| object["metadata"]["namespace"] == "gauntlet-nodes-r1"));
        let pod = &objects[1]["spec"]["template"]["spec"];
        assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
        assert_eq!(pod["containers"][0]["image"], "agent:1");
        // A probe would renew the lease in our absence.
        assert!(pod["containers"][0].as_object().unwrap().keys().all(|key| !key.ends_with("Probe")));
    }

    #[test]
    fn all_nodes_must_have_theirs() {
        let set = |observed: i64, wanted: i32, ready: i32| -> DaemonSet {
            serde_json::from_value(json!({"metadata": {"generation": 2}, "spec": {"selector": {}, "template": {}},
                "status": {"observedGeneration": observed, "desiredNumberScheduled": wanted, "numberReady": ready,
                    "currentNumberScheduled": wanted, "numberMisscheduled": 0}}))
            .unwrap()
        };
        assert!(all_run(&set(2, 3, 3)).is_ok());
        assert_eq!(all_run(&set(2, 3, 2)), Err("2 of 3 run".to_owned()));
        assert!(all_run(&set(1, 3, 3)).is_err());
        assert!(all_run(&set(2, 0, 0)).is_err());
    }
}
