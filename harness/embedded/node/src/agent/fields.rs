//! Fields of pods that environments and downward API volumes may refer to.

use std::net::IpAddr;

use embedded_apimachinery::object;
use embedded_apimachinery::quantity::Quantity;
use serde_json::Value;

/// What only the node knows of a pod.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    pub host_ip: IpAddr,
    pub pod_ip: Option<IpAddr>,
    /// What the node can give: the value of limits that a container does not set.
    pub allocatable: Value,
}

/// The value of a `fieldRef`, as the downward API gives it. `None` for what it does not know.
pub fn field(pod: &Value, path: &str, facts: &NodeFacts) -> Option<String> {
    if let Some((map, key)) = subscript(path) {
        return Some(object::str_at(pod, &format!("/metadata/{map}/{}", escape(key))).to_owned());
    }
    let text = |pointer: &str| Some(object::str_at(pod, pointer).to_owned());
    match path {
        "metadata.name" => text("/metadata/name"),
        "metadata.namespace" => text("/metadata/namespace"),
        "metadata.uid" => text("/metadata/uid"),
        "metadata.labels" => Some(lines(pod.pointer("/metadata/labels"))),
        "metadata.annotations" => Some(lines(pod.pointer("/metadata/annotations"))),
        "spec.nodeName" => text("/spec/nodeName"),
        "spec.serviceAccountName" => text("/spec/serviceAccountName"),
        "status.hostIP" | "status.hostIPs" => Some(facts.host_ip.to_string()),
        "status.podIP" | "status.podIPs" => Some(facts.pod_ip.map(|ip| ip.to_string()).unwrap_or_default()),
        _ => None,
    }
}

/// `metadata.labels['key']` as (`labels`, `key`).
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.strip_prefix("metadata.")?.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// `key="value"` lines, sorted, as in a downward API volume.
fn lines(map: Option<&Value>) -> String {
    let lines: Vec<String> = object::string_map(map).into_iter().map(|(k, v)| format!("{k}={v:?}")).collect();
    lines.join("\n")
}

/// The value of a `resourceFieldRef` for a container: rounded up to whole divisors.
pub fn resource(container: &Value, reference: &Value, facts: &NodeFacts) -> Option<String> {
    let (group, name) = object::str_at(reference, "/resource").split_once('.')?;
    let of = |group: &str| object::str_at(container, &format!("/resources/{group}/{name}")).to_owned();
    let mut text = of(group);
    if text.is_empty() && group == "requests" {
        text = of("limits");
    }
    let amount = match text.as_str() {
        "" if group == "limits" => Quantity::parse(object::str_at(&facts.allocatable, &format!("/{name}")))?,
        "" => Quantity::ZERO,
        text => Quantity::parse(text)?,
    };
    let divisor = match object::str_at(reference, "/divisor") {
        "" | "0" => Quantity::whole(1),
        text => Quantity::parse(text)?,
    };
    let parts = amount.milli() / divisor.milli() + i128::from(amount.milli() % divisor.milli() != 0);
    Some(parts.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts() -> NodeFacts {
        let pod_ip = Some(IpAddr::from([10, 244, 1, 2]));
        NodeFacts { host_ip: IpAddr::from([10, 200, 0, 1]), pod_ip, allocatable: json!({"cpu": "8", "memory": "1Gi"}) }
    }

    #[test]
    fn fields_read_as_the_downward_api_gives_them() {
        let pod = json!({"metadata": {"name": "p", "labels": {"b": "2", "a": "x\"y", "k/e": "v"}}});
        for (path, expected) in [
            ("metadata.name", Some("p")),
            ("metadata.labels['k/e']", Some("v")),
            ("metadata.labels['none']", Some("")),
            ("metadata.labels", Some("a=\"x\\\"y\"\nb=\"2\"\nk/e=\"v\"")),
            ("status.podIP", Some("10.244.1.2")),
            ("spec.nope", None),
        ] {
            assert_eq!(field(&pod, path, &facts()).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn resources_round_up_to_divisors_and_default_to_the_node() {
        let container = json!({"resources": {"limits": {"cpu": "250m", "memory": "16Mi"}}});
        for (name, divisor, expected) in [
            ("limits.cpu", "", "1"),
            ("limits.cpu", "1m", "250"),
            ("limits.memory", "1Mi", "16"),
            ("requests.cpu", "1m", "250"),
        ] {
            let reference = json!({"resource": name, "divisor": divisor});
            assert_eq!(resource(&container, &reference, &facts()).as_deref(), Some(expected), "{name}");
        }
        let reference = json!({"resource": "limits.cpu"});
        assert_eq!(resource(&json!({}), &reference, &facts()).as_deref(), Some("8"));
    }
}
