//! The configuration of a cluster: which nodes of which image. Bundled, or a file of the user's.

use super::programs::Version;
use crate::render::version_in;
use gauntlet_core::{Trouble, suggest, yaml};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The bundled configurations by name, as `kind/` has them.
const BUNDLED: [(&str, &str); 2] = [
    ("cluster", include_str!("../../../../../kind/cluster.yaml")),
    ("three-control-planes", include_str!("../../../../../kind/three-control-planes.yaml")),
];

const IMAGES: &str = include_str!("../../../../../kind/images.yaml");

/// For what every kind can do: deleting.
pub const ANY_KIND: Version = (0, 0, 0);

/// `kind/images.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Images {
    default: String,
    versions: BTreeMap<String, Pinned>,
}

/// A node image, and the oldest kind that may use it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pinned {
    image: String,
    kind: String,
}

/// Which image nodes are to be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeImage<'a> {
    /// The one that is pinned for the default version, where a file names none.
    Default,
    /// The one that is pinned for a minor version such as `1.35`, whatever a file names.
    Of(&'a str),
    /// One of the user's own, whatever a file names. Whether the installed kind can use it only that can tell.
    Own(&'a str),
}

/// What clusters are to be like.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// kind's own configuration.
    config: Value,
    /// The number of workers follows the run.
    scales: bool,
    /// The oldest kind that will do.
    pub oldest_kind: Version,
}

impl Topology {
    /// `config` is the name of a bundled configuration or a file.
    ///
    /// # Errors
    /// There is no such configuration or version, or the file is none of kind's.
    pub fn choose(config: Option<&str>, image: NodeImage<'_>) -> Result<Self, Trouble> {
        let name = config.unwrap_or(BUNDLED[0].0);
        let bundled = BUNDLED.iter().find(|(bundled, _)| *bundled == name).map(|(_, text)| (*text).to_owned());
        let scales = bundled.is_some();
        let text = bundled.map_or_else(|| read(name), Ok)?;
        let mut config = parse(name, &text)?;
        let oldest_kind = set_images(nodes(&mut config), image)?;
        Ok(Self { config, scales, oldest_kind })
    }

    /// The configuration of one cluster with that many workers, where its number of workers is not fixed; and how many
    /// nodes it has in all.
    pub fn cluster(&self, name: &str, workers: u8) -> (Value, usize) {
        let mut config = self.config.clone();
        config["name"] = name.into();
        if self.scales {
            scale(nodes(&mut config), usize::from(workers));
        }
        let count = nodes(&mut config).len();
        (config, count)
    }
}

fn read(file: &str) -> Result<String, Trouble> {
    std::fs::read_to_string(file).map_err(|error| {
        let trouble = Trouble::input(format!("cannot read the configuration of the cluster {file}: {error}"));
        let known: Vec<&str> = BUNDLED.iter().map(|(name, _)| *name).collect();
        trouble.hint(format!("name a file, or one of {}", known.join(", ")))
    })
}

fn parse(name: &str, text: &str) -> Result<Value, Trouble> {
    let config: Value = yaml::parse(name, text).map_err(|problem| Trouble::input(problem.to_string()))?;
    let is_kinds = config["kind"] == "Cluster"
        && config["apiVersion"].as_str().is_some_and(|version| version.starts_with("kind.x-k8s.io/"));
    if !is_kinds {
        return Err(Trouble::input(format!("{name} is no configuration of kind"))
            .hint("it has `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`"));
    }
    if config["nodes"].as_array().is_none_or(Vec::is_empty) {
        return Err(Trouble::input(format!("{name} names no nodes")).hint("list them under `nodes`, with their roles"));
    }
    Ok(config)
}

fn nodes(config: &mut Value) -> &mut Vec<Value> {
    // Parsed configurations have nodes.
    config["nodes"].as_array_mut().expect("a configuration has nodes")
}

fn is_worker(node: &Value) -> bool {
    node["role"] == "worker"
}

/// Leaves out workers, or repeats the last one, until there are `wanted`.
fn scale(nodes: &mut Vec<Value>, wanted: usize) {
    let mut have = 0;
    nodes.retain(|node| {
        have += usize::from(is_worker(node));
        !is_worker(node) || have <= wanted
    });
    if let Some(last) = nodes.iter().rfind(|node| is_worker(node)).cloned() {
        nodes.extend(std::iter::repeat_n(last, wanted.saturating_sub(have)));
    }
}

/// Gives nodes their image. The oldest kind that may use what is pinned; any will do where that is used by none.
fn set_images(nodes: &mut [Value], image: NodeImage<'_>) -> Result<Version, Trouble> {
    let (version, keeps_named) = match image {
        NodeImage::Own(own) => {
            nodes.iter_mut().for_each(|node| node["image"] = own.into());
            return Ok(ANY_KIND);
        }
        NodeImage::Of(version) => (Some(version), false),
        NodeImage::Default => (None, true),
    };
    let pinned = pinned(version)?;
    let mut oldest_kind = ANY_KIND;
    for node in nodes.iter_mut().filter(|node| !keeps_named || node["image"].is_null()) {
        node["image"] = pinned.image.as_str().into();
        oldest_kind = version_in(&pinned.kind).unwrap_or_default();
    }
    Ok(oldest_kind)
}

/// The image that is pinned for a version, or for the default one.
fn pinned(version: Option<&str>) -> Result<Pinned, Trouble> {
    let images: Images =
        yaml::parse("kind/images.yaml", IMAGES).map_err(|problem| Trouble::harness(problem.to_string()))?;
    let wanted = version.unwrap_or(&images.default).trim_start_matches('v');
    images.versions.get(wanted).cloned().ok_or_else(|| {
        let known: Vec<&str> = images.versions.keys().map(String::as_str).collect();
        let trouble = Trouble::input(format!("no node image of Kubernetes {wanted} is known"));
        let trouble = suggest::sentence(wanted, known.iter().copied()).into_iter().fold(trouble, Trouble::hint);
        trouble.hint(format!("known are {}; --node-image takes an image of your own", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn roles(config: &Value) -> Vec<&str> {
        config["nodes"].as_array().unwrap().iter().map(|node| node["role"].as_str().unwrap()).collect()
    }

    #[test]
    fn every_version_is_pinned_by_a_digest_and_runs_what_it_says() {
        let images: Images = yaml::parse("images.yaml", IMAGES).unwrap();
        assert!(images.versions.contains_key(&images.default));
        for (version, Pinned { image, kind }) in images.versions {
            let (tag, digest) = image.strip_prefix("kindest/node:v").unwrap().split_once("@sha256:").unwrap();
            assert!(tag.starts_with(&format!("{version}.")), "{version}: {image}");
            assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{image}");
            assert!(version_in(&kind).is_some(), "{kind}");
        }
    }

    #[test]
    fn the_number_of_workers_follows_the_run() {
        let topology = Topology::choose(None, NodeImage::Default).unwrap();
        for workers in [1, 3, 5] {
            let (config, count) = topology.cluster("g", workers);
            assert_eq!(count, usize::from(workers) + 1);
            assert_eq!(roles(&config).len(), count);
        }
        let (config, _) = topology.cluster("g", 2);
        assert_eq!(config["name"], "g");
        assert_eq!(roles(&config), ["control-plane", "worker", "worker"]);
        assert_eq!(config["nodes"][1]["extraPortMappings"][0]["containerPort"], 80);
    }

    #[test]
    fn another_configuration_goes_with_any_version() {
        let topology = Topology::choose(Some("three-control-planes"), NodeImage::Of("1.35")).unwrap();
        let (config, _) = topology.cluster("g", 1);
        assert_eq!(roles(&config), ["control-plane", "control-plane", "control-plane", "worker"]);
        assert!(config["nodes"][2]["image"].as_str().unwrap().starts_with("kindest/node:v1.35."), "{config}");
    }

    #[test]
    fn one_worker_has_the_ports_of_an_ingress_controller_and_its_label() {
        for (config, workers) in [(None, 1), (None, 3), (None, 5), (Some("three-control-planes"), 2)] {
            let (config, _) = Topology::choose(config, NodeImage::Default).unwrap().cluster("g", workers);
            let nodes = config["nodes"].as_array().unwrap();
            let with_ports: Vec<&Value> = nodes.iter().filter(|node| !node["extraPortMappings"].is_null()).collect();
            assert_eq!(with_ports.len(), 1, "{config}");
            assert_eq!(with_ports[0]["role"], "worker");
            assert_eq!(with_ports[0]["labels"], json!({"ingress-ready": "true"}));
            assert_eq!(nodes.iter().filter(|node| !node["labels"].is_null()).count(), 1, "{config}");
        }
    }

    fn file(nodes: &Value) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mine = json!({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": nodes});
        std::fs::write(file.path(), mine.to_string()).unwrap();
        file
    }

    #[test]
    fn images_are_those_asked_for_then_those_of_the_file_and_a_pinned_one_asks_for_its_kind_where_it_is_used() {
        let mine = "example.com/mine:1";
        let own = "example.com/node:1";
        let (some, all) = (
            json!([{"role": "control-plane"}, {"role": "worker", "image": own}]),
            json!([{"role": "control-plane", "image": own}, {"role": "worker", "image": own}]),
        );
        let (default, old) = (":v1.36.", ":v1.30.");
        for (nodes, image, images, oldest_kind) in [
            (&some, NodeImage::Default, [default, own], (0, 33, 0)),
            (&some, NodeImage::Of("1.30"), [old, old], (0, 25, 0)),
            (&some, NodeImage::Own(mine), [mine, mine], ANY_KIND),
            (&all, NodeImage::Default, [own, own], ANY_KIND),
            (&all, NodeImage::Of("v1.30"), [old, old], (0, 25, 0)),
            (&all, NodeImage::Own(mine), [mine, mine], ANY_KIND),
        ] {
            let file = file(nodes);
            let topology = Topology::choose(file.path().to_str(), image).unwrap();
            assert_eq!(topology.oldest_kind, oldest_kind, "{nodes} {image:?}");
            let (config, count) = topology.cluster("g", 7);
            assert_eq!(count, 2);
            for (node, expected) in config["nodes"].as_array().unwrap().iter().zip(images) {
                assert!(node["image"].as_str().unwrap().contains(expected), "{image:?}: {config}");
            }
        }
        let (config, _) = Topology::choose(None, NodeImage::Own(mine)).unwrap().cluster("g", 7);
        assert!(config["nodes"].as_array().unwrap().iter().all(|node| node["image"] == mine), "{config}");
    }

    #[test]
    fn what_is_not_known_is_bad_input_that_says_what_is() {
        for (config, image, hint) in [
            (None, NodeImage::Of("1.12"), "known are 1.30,"),
            (Some("three-control-plane"), NodeImage::Default, "name a file, or one of cluster, three-control-planes"),
        ] {
            let trouble = Topology::choose(config, image).unwrap_err();
            assert_eq!(trouble.exit_code(), gauntlet_core::ExitCode::BadInput);
            assert!(trouble.hints.iter().any(|found| found.contains(hint)), "{:?}", trouble.hints);
        }
    }
}
