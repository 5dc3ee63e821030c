//! What a Node and its Lease say. The texts are the kubelet's.

use embedded_apimachinery::object::{map_at_mut, set_annotation, set_label};
use serde_json::{Value, json};

use super::NodeSpec;
use super::host::HostInfo;

pub const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// The Kubernetes that this kubelet behaves like.
const KUBELET_VERSION: &str = "v1.36.2";

/// Type, status, reason and message of a healthy node's conditions.
const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
];

const FEATURES: [&str; 4] = [
    "ExtendWebSocketsToKubelet",
    "InPlacePodLevelResourcesVerticalScaling",
    "InPlacePodVerticalScalingInitContainers",
    "RestartAllContainersOnContainerExits",
];

/// The Node to create, without its status.
pub fn node(spec: &NodeSpec) -> Value {
    let mut node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.name},
        "spec": {"podCIDR": spec.pod_cidr, "podCIDRs": [spec.pod_cidr]},
    });
    if spec.control_plane {
        node["spec"]["taints"] = json!([{"key": CONTROL_PLANE, "effect": "NoSchedule"}]);
    }
    adopt(&mut node, spec);
    node
}

/// Puts on a Node what its kubelet says of it, and leaves the rest.
pub fn adopt(node: &mut Value, spec: &NodeSpec) {
    let arch = architecture();
    for (label, value) in [
        ("beta.kubernetes.io/arch", arch),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch),
        ("kubernetes.io/hostname", &spec.name),
        ("kubernetes.io/os", "linux"),
    ] {
        set_label(node, label, value);
    }
    if spec.control_plane {
        set_label(node, CONTROL_PLANE, "");
    }
    set_annotation(node, "volumes.kubernetes.io/controller-managed-attach-detach", "true");
    let fields = map_at_mut(node, &["spec"]);
    fields.entry("podCIDR").or_insert_with(|| spec.pod_cidr.clone().into());
    fields.entry("podCIDRs").or_insert_with(|| json!([spec.pod_cidr]));
}

/// The status but for its conditions.
pub fn status(spec: &NodeSpec, host: &HostInfo) -> Value {
    let resources = json!({
        "cpu": spec.cpu,
        "ephemeral-storage": spec.ephemeral_storage,
        "memory": spec.memory,
        "pods": spec.pods.to_string(),
    });
    let image = |name: &String| json!({"names": [name], "sizeBytes": 0});
    json!({
        "capacity": resources,
        "allocatable": resources,
        "conditions": [],
        "addresses": [
            {"type": "InternalIP", "address": spec.address.to_string()},
            {"type": "Hostname", "address": spec.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "machineID": host.machine_id,
            "systemUUID": host.machine_id,
            "bootID": host.boot_id,
            "kernelVersion": host.kernel,
            "osImage": host.os_image,
            "containerRuntimeVersion": spec.container_runtime,
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": architecture(),
        },
        "images": spec.images.iter().map(image).collect::<Vec<_>>(),
        "runtimeHandlers": [{"name": "", "features": {"recursiveReadOnlyMounts": false, "userNamespaces": false}}],
        "features": {"supplementalGroupsPolicy": false},
        "declaredFeatures": FEATURES,
    })
}

/// All is well. `since` knows when a condition became what it is; otherwise that is `now`.
pub fn conditions(now: &str, since: impl Fn(&str) -> Option<String>) -> Vec<Value> {
    let condition = |(kind, status, reason, message): (&str, &str, &str, &str)| {
        json!({
            "type": kind, "status": status,
            "lastHeartbeatTime": now,
            "lastTransitionTime": since(kind).unwrap_or_else(|| now.to_owned()),
            "reason": reason, "message": message,
        })
    };
    CONDITIONS.into_iter().map(condition).collect()
}

/// A condition's status when all is well.
pub fn healthy(kind: &str) -> &'static str {
    CONDITIONS.iter().find(|(name, ..)| *name == kind).map_or("True", |(_, status, ..)| status)
}

pub fn lease(spec: &NodeSpec, uid: &str, now: &str) -> Value {
    let (node, duration) = (&spec.name, (spec.heartbeat * 4).as_secs().max(1));
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": node,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}],
        },
        "spec": {"holderIdentity": node, "leaseDurationSeconds": duration, "renewTime": now},
    })
}

/// As Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_keep_the_time_since_when_they_hold() {
        let conditions = conditions("now", |kind| (kind == "Ready").then(|| "then".to_owned()));
        let transition = |n: usize| conditions[n]["lastTransitionTime"].clone();
        assert_eq!((transition(0), transition(3)), (json!("now"), json!("then")));
        assert_eq!(conditions[3]["lastHeartbeatTime"], "now");
    }
}
