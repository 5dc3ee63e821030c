//! What manifests say: objects with the files that they come from, and the Services in front of workloads.

use super::workload::Workload;
use crate::dns;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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
        self.stated_namespace().unwrap_or("default")
    }

    /// The namespace that it says itself.
    pub fn stated_namespace(&self) -> Option<&str> {
        self.object["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty())
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
        let name = if self.name().is_empty() { "without a name" } else { self.name() };
        format!("{} {name} in {}", self.kind(), self.file)
    }
}

/// Namespaces that every cluster has.
pub const EVERYWHERE: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Namespaces of what clusters mostly have for all who live there.
const ELSEWHERE: [&str; 17] = [
    "argocd",
    "cert-manager",
    "external-secrets",
    "flux-system",
    "ingress-nginx",
    "istio-ingress",
    "istio-system",
    "keda",
    "kyverno",
    "linkerd",
    "logging",
    "monitoring",
    "nginx-ingress",
    "observability",
    "prometheus",
    "traefik",
    "velero",
];

pub struct Manifests<'a> {
    /// Those that have a name.
    pub all: Vec<&'a Manifest>,
    /// Those that no overlay can apply, since they have none.
    pub nameless: Vec<&'a Manifest>,
    /// Names are taken once: of several workloads the first one has it.
    pub workloads: Vec<Workload<'a>>,
    /// Those whose name is taken or that Kubernetes would refuse, or whose pods nothing tells apart.
    pub unusable: Vec<(Workload<'a>, String)>,
}

impl<'a> Manifests<'a> {
    pub fn of(all: &'a [Manifest]) -> Self {
        let (nameless, all): (Vec<&Manifest>, Vec<&Manifest>) = all.iter().partition(|m| m.name().is_empty());
        let mut manifests = Self { all, nameless, workloads: vec![], unusable: vec![] };
        let workloads: Vec<Workload<'a>> = manifests.all.iter().filter_map(|manifest| Workload::of(manifest)).collect();
        for workload in workloads {
            let workload = workload.scaled_by(manifests.of_kind("HorizontalPodAutoscaler"));
            match manifests.obstacle(&workload) {
                Some(why) => manifests.unusable.push((workload, why)),
                None => manifests.workloads.push(workload),
            }
        }
        manifests
    }

    /// Why a contract cannot speak of a workload.
    fn obstacle(&self, workload: &Workload<'a>) -> Option<String> {
        if let Some(other) = self.workloads.iter().find(|other| other.name == workload.name) {
            return Some(format!("{} has this name already", other.manifest.origin()));
        }
        let refused = |what: &str, name: &str| format!("Kubernetes takes no {what} that is called {name:?}");
        if !dns::is_subdomain(workload.name) {
            return Some(refused("workload", workload.name));
        }
        if !dns::is_label(workload.namespace) {
            return Some(refused("namespace", workload.namespace));
        }
        workload.labels().is_empty().then(|| "its pods carry no labels, by which they could be told".to_owned())
    }

    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &'a Manifest> {
        self.all.iter().copied().filter(move |manifest| manifest.kind() == kind)
    }

    /// Whether there is an object of that kind and name.
    pub fn has(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.of_kind(kind).any(|manifest| manifest.namespace() == namespace && manifest.name() == name)
    }

    /// The workloads in a namespace whose pods a selector means.
    pub fn selected(&self, namespace: &str, selector: &Value) -> impl Iterator<Item = &Workload<'a>> {
        self.workloads.iter().filter(move |w| w.namespace == namespace && w.is_selected(selector))
    }

    /// Namespaces of the system: those that it makes, where pods of it live, and others that nobody is known to have.
    pub fn namespaces(&self) -> BTreeSet<&'a str> {
        let declared = self.of_kind("Namespace").map(Manifest::name);
        let own = self.workloads.iter().map(|workload| workload.namespace).chain(declared);
        let stated = self.all.iter().filter_map(|manifest| manifest.stated_namespace());
        let known = |name: &str| EVERYWHERE.contains(&name) || ELSEWHERE.contains(&name);
        own.chain(stated.filter(|name| !known(name))).filter(|name| dns::is_label(name)).collect()
    }

    /// Namespaces that look like somebody else's, with an object for each.
    pub fn foreign_namespaces(&self) -> BTreeMap<&'a str, &'a Manifest> {
        let own = self.namespaces();
        let stated = self.all.iter().rev().filter_map(|manifest| Some((manifest.stated_namespace()?, *manifest)));
        stated.filter(|(name, _)| dns::is_label(name) && !own.contains(name)).collect()
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

    /// Ports that Services send to.
    pub fn sent_ports(&self, workload: &Workload<'a>) -> Vec<u16> {
        let sent = self
            .services(workload)
            .flat_map(|service| list(&service.object["spec"], "ports").filter(|port| is_tcp(port)).map(target_port));
        sent.filter_map(|port| workload.port(port)).collect()
    }

    /// Every port that pods of a workload are known to answer on: as containers list them, as they are probed, and as
    /// Services send to them. A container need not list its ports.
    pub fn ports(&self, workload: &Workload<'a>) -> Vec<(String, u16)> {
        let mut ports = workload.listed_ports();
        for port in workload.probed_ports().chain(self.sent_ports(workload)) {
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
