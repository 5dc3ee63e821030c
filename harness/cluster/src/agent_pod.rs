//! Pods of ours, which run the agent: confined so that a namespace admits them that enforces the standard `restricted`,
//! wherever what they do allows it.

use serde_json::{Value, json};

/// Whom the agent's image runs as. Said in pods too, since a cluster does not look into images.
const USER: u32 = 65532;

/// A container that has the agent, with the user of its pod.
pub fn container(name: &str, image: &str) -> Value {
    json!({
        "name": name,
        "image": image,
        // It may be on the nodes and nowhere else.
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

/// The same in somebody else's pod, whose user may be anybody.
pub fn guest(name: &str, image: &str) -> Value {
    let mut container = container(name, image);
    for (field, value) in [("runAsNonRoot", json!(true)), ("runAsUser", json!(USER)), ("runAsGroup", json!(USER))] {
        container["securityContext"][field] = value;
    }
    container
}

/// `securityContext` of a pod of ours.
pub fn security() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// `affinity` of a pod that is to be on this node. The label with a host's name may be another than the node's.
pub fn on_node(node: &str) -> Value {
    let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the standard `restricted` of Pod Security wants and a pod has not, by container.
    ///
    /// The controls of `restricted` and those of `baseline` that pods of ours could break; volumes of other kinds than those
    /// it allows are not looked for.
    fn unrestricted(spec: &Value) -> Vec<String> {
        let mut lacking = Vec::new();
        for path in ["hostNetwork", "hostPID", "hostIPC"] {
            if spec[path] == true {
                lacking.push(format!("the pod has {path}"));
            }
        }
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        for container in lists.iter().filter_map(|list| spec[*list].as_array()).flatten() {
            let (own, of_pod) = (&container["securityContext"], &spec["securityContext"]);
            let either = |field: &str| if own[field].is_null() { &of_pod[field] } else { &own[field] };
            let seccomp = &either("seccompProfile")["type"];
            for (is_met, what) in [
                (own["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation: false"),
                (own["capabilities"] == json!({"drop": ["ALL"]}), "no capabilities"),
                (*either("runAsNonRoot") == true && *either("runAsUser") != 0, "runAsNonRoot"),
                (*seccomp == "RuntimeDefault" || *seccomp == "Localhost", "a seccompProfile"),
            ] {
                if !is_met {
                    lacking.push(format!("{} lacks {what}", container["name"].as_str().unwrap_or_default()));
                }
            }
        }
        lacking
    }

    #[test]
    fn pods_of_ours_and_guests_in_those_of_others_are_restricted() {
        let ours = json!({"securityContext": security(), "containers": [container("a", "i")]});
        assert_eq!(unrestricted(&ours), [""; 0]);
        let theirs =
            json!({"securityContext": {"runAsUser": 0}, "containers": [], "ephemeralContainers": [guest("a", "i")]});
        assert_eq!(unrestricted(&theirs), [""; 0]);
    }

    #[test]
    fn what_is_not_restricted_is_seen() {
        let privileges = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true});
        let spec = json!({"hostPID": true, "securityContext": {"runAsNonRoot": true, "runAsUser": 65532},
            "containers": [{"name": "a", "securityContext": privileges}]});
        assert_eq!(unrestricted(&spec), ["the pod has hostPID", "a lacks no capabilities", "a lacks a seccompProfile"]);
        let as_root = json!({"securityContext": {"runAsUser": 0}, "containers": [container("a", "i")]});
        assert_eq!(unrestricted(&as_root), ["a lacks runAsNonRoot"]);
    }
}
