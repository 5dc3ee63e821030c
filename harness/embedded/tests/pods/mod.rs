//! Pods for a cluster that is to be ended while they run.

use std::collections::BTreeSet;
use std::path::Path;

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::DEADLINE;
use crate::support::client::Client;

const PATH: &str = "/api/v1/namespaces/default/pods";

/// Creates a pod of each kind and waits until they all run.
pub async fn run(kubeconfig: &Path, kinds: &[&str]) -> Result<(), Failed> {
    let client = Client::new(kubeconfig).await?;
    let mut events = client.watch(PATH).await?;
    for kind in kinds {
        client.post(PATH, pod(kind)).await?;
    }
    let mut running = BTreeSet::new();
    let all = async {
        while running.len() < kinds.len() {
            let event = events.next().await.map_err(|error| Failed::from(error.to_string()))?;
            let object = &event["object"];
            if object["status"]["phase"] == "Running" {
                running.extend(object["metadata"]["name"].as_str().map(str::to_owned));
            }
        }
        Ok(())
    };
    let waited = timeout(DEADLINE, all).await;
    waited.unwrap_or_else(|_| Err(format!("of {kinds:?}, only {running:?} run").into()))
}

fn pod(kind: &str) -> Value {
    let image = match kind {
        "pause" => "registry.k8s.io/pause:3.10",
        _ => "redis:7",
    };
    json!({
        "metadata": {"name": kind},
        "spec": {
            "containers": [{"name": "c", "image": image, "volumeMounts": [{"name": "v", "mountPath": "/data"}]}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    })
}
