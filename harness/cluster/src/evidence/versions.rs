//! Which releases all of it was: of the programs that were run, the nodes, and every image.

use super::objects::Found;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// `programs` are those of the run by name; `cluster` says what the API server is.
pub fn text(programs: &BTreeMap<String, String>, cluster: &str, found: &Found) -> String {
    let mut told = String::from("# programs\n");
    for (name, version) in programs {
        let _ = writeln!(told, "{name} {version}");
    }
    let _ = write!(told, "\n# cluster\n{cluster}\n\n# nodes\n");
    for node in found.of("nodes") {
        let info = &node["status"]["nodeInfo"];
        let fields = ["kernelVersion", "osImage", "architecture", "containerRuntimeVersion", "kubeletVersion"];
        let known: Vec<&str> =
            fields.iter().filter_map(|field| info[*field].as_str()).filter(|s| !s.is_empty()).collect();
        let _ = writeln!(told, "{} {}", node["metadata"]["name"].as_str().unwrap_or("?"), known.join(", "));
    }
    told.push_str("\n# images\n");
    for (image, id) in images(found) {
        let _ = writeln!(told, "{image} {id}");
    }
    told
}

/// What ran under the name of each image.
fn images(found: &Found) -> BTreeSet<(String, String)> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let statuses = found.of("pods").flat_map(|pod| lists.map(|list| &pod["status"][list]));
    let containers = statuses.filter_map(Value::as_array).flatten();
    let image = |status: &Value| Some((status["image"].as_str()?.to_owned(), status["imageID"].as_str()?.to_owned()));
    containers.filter_map(image).filter(|(_, id)| !id.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::objects::Listed;
    use super::*;
    use serde_json::json;

    #[test]
    fn kernels_programs_and_images_are_in_one_place() {
        let list = |plural: &str, objects: Vec<Value>| Listed { place: "p".into(), plural: plural.into(), objects };
        let info =
            json!({"kernelVersion": "6.1.0", "containerRuntimeVersion": "containerd://2.1", "kubeletVersion": "v1.36"});
        let node = json!({"metadata": {"name": "n1"}, "status": {"nodeInfo": info}});
        let status = json!({"image": "redis:8", "imageID": "redis@sha256:1"});
        let pod = json!({"status": {"containerStatuses": [status, {"image": "nats:2", "imageID": ""}]}});
        let found = Found { listed: vec![list("nodes", vec![node]), list("pods", vec![pod.clone(), pod])] };
        let programs = [("gauntlet".to_owned(), "0.1.0".to_owned()), ("runc".to_owned(), "1.3".to_owned())].into();
        assert_eq!(
            text(&programs, "kubernetes v1.36", &found),
            "# programs\ngauntlet 0.1.0\nrunc 1.3\n\n# cluster\nkubernetes v1.36\n\n\
             # nodes\nn1 6.1.0, containerd://2.1, v1.36\n\n# images\nredis:8 redis@sha256:1\n"
        );
    }
}
