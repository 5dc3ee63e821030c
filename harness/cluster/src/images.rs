//! What runs under the names of a system's images, where a cluster pulls images.
//!
//! The embedded cluster knows stand-ins by the names of the images that they stand for. A cluster that pulls needs the
//! agent's image in their place, and is told to run the stand-in.
//!
//! Of a listener nothing is known but its ports, so what its pods ask of the real program goes: its command, and probes
//! and hooks that a program of the image would answer. Where its work is to end, it ends at once.

use gauntlet_core::contract::workload::{Image, ImageSource};
use serde_json::{Value, json};

/// The image of the agent itself.
pub const AGENT_IMAGE: &str = "gauntlet/agent:latest";

/// Where this program is in containers that run it.
pub const PROGRAM: &str = "/gauntlet";

/// The objects with every image of the contract replaced by what runs in its place.
pub fn replaced(mut objects: Vec<Value>, images: &[Image], agent_image: &str) -> Vec<Value> {
    each_container(&mut objects, |container, ends| replace(container, images, agent_image, ends));
    objects
}

/// The objects as a cluster can run them that knows stand-ins by the names of the images: listeners are told their ports.
pub fn listening(mut objects: Vec<Value>, images: &[Image]) -> Vec<Value> {
    each_container(&mut objects, |container, ends| {
        if let Some(ImageSource::Listener(ports)) = source(container, images) {
            listen(container, ports, ends);
        }
    });
    objects
}

/// Every container, and whether its work is to end.
fn each_container(objects: &mut [Value], mut change: impl FnMut(&mut Value, bool)) {
    for object in objects {
        let is_job = matches!(object["kind"].as_str(), Some("Job" | "CronJob"));
        let Some(spec) = pod_spec_path(object).and_then(|path| object.pointer_mut(path)) else { continue };
        for list in CONTAINERS {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                let stays = container["restartPolicy"] == "Always";
                change(container, is_job || (list == INIT && !stays));
            }
        }
    }
}

/// Every container of an object's pods.
pub fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    let spec = pod_spec_path(object).and_then(|path| object.pointer(path));
    let lists = spec.into_iter().flat_map(|spec| CONTAINERS.map(|list| &spec[list]));
    lists.filter_map(Value::as_array).flatten()
}

/// The lists of a pod's containers.
const CONTAINERS: [&str; 2] = [INIT, "containers"];

const INIT: &str = "initContainers";

fn pod_spec_path(object: &Value) -> Option<&'static str> {
    match object["kind"].as_str()? {
        "Pod" => Some("/spec"),
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet" => Some("/spec/template/spec"),
        _ => None,
    }
}

/// What runs in place of a container's image.
fn source<'a>(container: &Value, images: &'a [Image]) -> Option<&'a ImageSource> {
    let name = without_tag(container["image"].as_str().unwrap_or_default());
    images.iter().find(|image| matches(&image.name.value, name)).map(|image| &image.runs)
}

/// The words that make the agent a listener.
pub fn listener(ports: &[u16]) -> Vec<String> {
    ["standin", "listener"].into_iter().map(str::to_owned).chain(ports.iter().map(u16::to_string)).collect()
}

fn listen(container: &mut Value, ports: &[u16], ends: bool) {
    let start = [PROGRAM, "agent"].map(str::to_owned);
    let end = ends.then(|| "--ends".to_owned());
    container["command"] = start.into_iter().chain(listener(ports)).chain(end).collect();
    let Some(container) = container.as_object_mut() else { return };
    container.remove("args");
    container.remove("lifecycle");
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let unanswered = |probe: &Value| !probe["exec"].is_null() || probe["httpGet"]["scheme"] == "HTTPS";
        if container.get(probe).is_some_and(unanswered) {
            container.remove(probe);
        }
    }
}

fn replace(container: &mut Value, images: &[Image], agent_image: &str, ends: bool) {
    match source(container, images) {
        None => {}
        Some(ImageSource::Image(real)) => container["image"] = real.as_str().into(),
        Some(ImageSource::Listener(ports)) => {
            run_agent(container, agent_image);
            listen(container, ports, ends);
        }
        Some(ImageSource::Standin(standin)) => {
            run_agent(container, agent_image);
            container["command"] = json!([PROGRAM, "agent", "standin", standin]);
            if let Some(container) = container.as_object_mut() {
                container.remove("args");
            }
        }
    }
}

/// The agent's image may be on the nodes and nowhere else.
fn run_agent(container: &mut Value, agent_image: &str) {
    container["image"] = agent_image.into();
    container["imagePullPolicy"] = "IfNotPresent".into();
}

/// Whether a name is meant by a pattern in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches(after, &rest[at..]))
        }),
    }
}

/// An image's name without tag and digest. A colon before the last slash belongs to a registry's port.
pub fn without_tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Vec<Image> {
        let text = include_str!("../../../scenarios/systems/cordum/system.yaml").replacen(
            "runs: {standin: dashboard}",
            "runs: {image: example.com/dashboard:v1}",
            1,
        );
        gauntlet_core::Contract::parse("c", &text).unwrap().images
    }

    fn container(image: &str) -> Value {
        let spec = json!({"containers": [{"name": "c", "image": image, "args": ["serve"]}]});
        let object = json!({"kind": "Deployment", "spec": {"template": {"spec": spec}}});
        replaced(vec![object], &images(), "example.com/agent:1")[0]["spec"]["template"]["spec"]["containers"][0].clone()
    }

    #[test]
    fn a_stand_in_is_the_agent_told_what_to_be() {
        let container = container("cordum-api-gateway:v2");
        assert_eq!(container["image"], "example.com/agent:1");
        assert_eq!(container["command"], json!(["/gauntlet", "agent", "standin", "gateway"]));
        assert!(container.get("args").is_none());
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    }

    fn listening_containers() -> Value {
        let text = include_str!("../../../scenarios/systems/cordum/system.yaml").replacen(
            "runs: {standin: dashboard}",
            "runs: {listener: [80, 443]}",
            1,
        );
        let images = gauntlet_core::Contract::parse("c", &text).unwrap().images;
        let container = json!({"image": "cordum-dashboard:v2", "command": ["/app"], "args": ["serve"],
            "readinessProbe": {"exec": {"command": ["/app", "ready"]}}, "livenessProbe": {"httpGet": {"port": 80}}});
        let sidecar = json!({"image": "cordum-dashboard:v2", "restartPolicy": "Always"});
        let spec = json!({"initContainers": [container, sidecar], "containers": [container, {"image": "redis:7"}]});
        let of = |kind: &str| json!({"kind": kind, "spec": {"template": {"spec": spec}}});
        let objects = listening(vec![of("Deployment"), of("Job")], &images);
        json!(objects.iter().map(|object| object["spec"]["template"]["spec"].clone()).collect::<Vec<Value>>())
    }

    #[test]
    fn a_listener_is_told_its_ports_and_ends_where_its_work_would() {
        let pods = listening_containers();
        let stays = json!(["/gauntlet", "agent", "standin", "listener", "80", "443"]);
        let ends = json!(["/gauntlet", "agent", "standin", "listener", "80", "443", "--ends"]);
        for (pod, list, place, command) in [
            (0, "containers", 0, &stays),
            (0, "initContainers", 0, &ends),
            (0, "initContainers", 1, &stays),
            (1, "containers", 0, &ends),
            (0, "containers", 1, &Value::Null),
        ] {
            assert_eq!(&pods[pod][list][place]["command"], command, "{pod} {list} {place}");
        }
    }

    #[test]
    fn what_only_the_real_program_could_answer_is_not_asked_of_a_listener() {
        let container = &listening_containers()[0]["containers"][0];
        assert_eq!(container["image"], "cordum-dashboard:v2");
        assert!(container.get("args").is_none() && container.get("readinessProbe").is_none(), "{container}");
        assert_eq!(container["livenessProbe"]["httpGet"]["port"], 80);
    }

    #[test]
    fn a_real_image_takes_the_place_of_its_name_and_others_stay() {
        assert_eq!(container("cordum-dashboard:v2")["image"], "example.com/dashboard:v1");
        let other = container("redis:7.2");
        assert_eq!((other["image"].as_str(), other["args"][0].as_str()), (Some("redis:7.2"), Some("serve")));
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, expected) in [
            ("cordum-*", "cordum-gateway", true),
            ("*/gateway", "example.com/team/gateway", true),
            ("cordum-*", "nexus-gateway", false),
            ("gateway", "gateway2", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn tags_and_digests_are_no_part_of_a_name() {
        for (image, name) in [
            ("redis:7", "redis"),
            ("redis", "redis"),
            ("localhost:5000/redis", "localhost:5000/redis"),
            ("localhost:5000/redis:7@sha256:ab", "localhost:5000/redis"),
        ] {
            assert_eq!(without_tag(image), name);
        }
    }
}
