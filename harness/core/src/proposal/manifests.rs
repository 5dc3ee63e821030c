//! What manifests say: objects with the files that they come from, and the Services in front of workloads.

use super::workload::Workload;
use serde_json::Value;
use std::collections::BTreeSet;

/// An object and the file that it comes from, as people find it.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub object: Value,
    pub file: String,
}

impl Manifest {
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or("default")
    }

    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// The API group; nothing for the core.
    pub fn group(&self) -> &str {
        let version = self.object["apiVersion"].as_str().unwrap_or_default();
        version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Where a person finds it.
    pub fn origin(&self) -> String {
        format!("{} {} in {}", self.kind(), self.name(), self.file)
    }
}

pub struct Manifests<'a> {
    pub all: &'a [Manifest],
    /// Names are taken once: of several workloads the first one has it.
    pub workloads: Vec<Workload<'a>>,
    /// Those whose name is taken, or whose pods nothing tells apart.
    pub unusable: Vec<(Workload<'a>, String)>,
}

impl<'a> Manifests<'a> {
    pub fn of(all: &'a [Manifest]) -> Self {
        let mut manifests = Self { all, workloads: vec![], unusable: vec![] };
        for workload in all.iter().filter_map(Workload::of) {
            if let Some(other) = manifests.workloads.iter().find(|other| other.name == workload.name) {
                let why = format!("{} has this name already", other.manifest.origin());
                manifests.unusable.push((workload, why));
            } else if workload.labels().is_empty() {
                manifests.unusable.push((workload, "its pods carry no labels, by which they could be told".to_owned()));
            } else {
                manifests.workloads.push(workload);
            }
        }
        manifests
    }

    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &'a Manifest> {
        self.all.iter().filter(move |manifest| manifest.kind() == kind)
    }

    /// Whether there is an object of that kind and name.
    pub fn has(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.of_kind(kind).any(|manifest| manifest.namespace() == namespace && manifest.name() == name)
    }

    /// The workloads in a namespace whose pods a selector means.
    pub fn selected(&self, namespace: &str, selector: &Value) -> impl Iterator<Item = &Workload<'a>> {
        self.workloads.iter().filter(move |w| w.namespace == namespace && w.is_selected(selector))
    }

    /// Namespaces in which something lives.
    pub fn namespaces(&self) -> BTreeSet<&'a str> {
        let declared = self.of_kind("Namespace").map(Manifest::name);
        self.workloads.iter().map(|workload| workload.namespace).chain(declared).collect()
    }

    /// The Services in front of a workload.
    pub fn services(&self, workload: &Workload<'a>) -> impl Iterator<Item = &'a Manifest> {
        let (namespace, labels) = (workload.namespace, workload.labels());
        self.of_kind("Service").filter(move |service| {
            let selector = service.object["spec"]["selector"].as_object();
            service.namespace() == namespace
                && selector.is_some_and(|selector| {
                    !selector.is_empty()
                        && selector.iter().all(|(key, value)| labels.get(key.as_str()).copied() == value.as_str())
                })
        })
    }

    /// Every port that pods of a workload are known to answer on: as containers list them, as they are probed, and as
    /// Services send to them. A container need not list its ports.
    pub fn ports(&self, workload: &Workload<'a>) -> Vec<(String, u16)> {
        let mut ports = workload.listed_ports();
        let sent = self.services(workload).flat_map(|service| {
            let ports = service.object["spec"]["ports"].as_array();
            ports.into_iter().flatten().filter(|port| is_tcp(port)).map(target_port)
        });
        let further: Vec<u16> = workload.probed_ports().chain(sent.filter_map(|port| workload.port(port))).collect();
        for port in further {
            if !ports.iter().any(|(_, known)| *known == port) {
                ports.push((format!("port-{port}"), port));
            }
        }
        ports
    }
}

/// A Service's port is its target's where nobody says otherwise.
fn target_port(port: &Value) -> &Value {
    if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] }
}

pub fn is_tcp(port: &Value) -> bool {
    port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP")
}

/// An image without tag and digest. A colon before the last slash belongs to a registry's port.
pub fn image_name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// A list in an object; nothing where there is none.
pub fn list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object[key].as_array().into_iter().flatten()
}
