//! What runs under the names of a system's images, where a cluster pulls images.
//!
//! The embedded cluster knows stand-ins by the names of the images that they stand for. A cluster that pulls needs the
//! agent's image in their place, and is told to run the stand-in.

use gauntlet_core::contract::workload::{Image, ImageSource};
use serde_json::{Value, json};

/// The image of the agent itself.
pub const AGENT_IMAGE: &str = "gauntlet/agent:latest";

/// Where this program is in containers that run it.
pub const PROGRAM: &str = "/gauntlet";

/// The objects with every image of the contract replaced by what runs in its place.
pub fn replaced(mut objects: Vec<Value>, images: &[Image], agent_image: &str) -> Vec<Value> {
    for object in &mut objects {
        if let Some(spec) = pod_spec_path(object).and_then(|path| object.pointer_mut(path)) {
            for list in CONTAINERS {
                let containers = spec.get_mut(list).and_then(Value::as_array_mut);
                containers.into_iter().flatten().for_each(|container| replace(container, images, agent_image));
            }
        }
    }
    objects
}

/// Every container of an object's pods.
pub fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    let spec = pod_spec_path(object).and_then(|path| object.pointer(path));
    let lists = spec.into_iter().flat_map(|spec| CONTAINERS.map(|list| &spec[list]));
    lists.filter_map(Value::as_array).flatten()
}

/// The lists of a pod's containers.
const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

fn pod_spec_path(object: &Value) -> Option<&'static str> {
    match object["kind"].as_str()? {
        "Pod" => Some("/spec"),
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet" => Some("/spec/template/spec"),
        _ => None,
    }
}

fn replace(container: &mut Value, images: &[Image], agent_image: &str) {
    let name = without_tag(container["image"].as_str().unwrap_or_default()).to_owned();
    let Some(image) = images.iter().find(|image| matches(&image.name.value, &name)) else { return };
    match &image.runs {
        ImageSource::Image(real) => container["image"] = real.as_str().into(),
        ImageSource::Standin(standin) => {
            container["image"] = agent_image.into();
            container["command"] = json!([PROGRAM, "agent", "standin", standin]);
            if let Some(container) = container.as_object_mut() {
                container.remove("args");
            }
        }
    }
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
