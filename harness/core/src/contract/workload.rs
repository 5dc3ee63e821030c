//! Workloads as the inventory lists them: kind, replicas, ports, probes, resources, security; and their images.

use super::model::{Labels, Only, Ref};
use crate::yaml::Located;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Workload {
    pub name: Located<String>,
    pub kind: WorkloadKind,
    pub namespace: Ref,
    /// Labels of its pods, as the manifests set them.
    pub labels: Labels,
    /// The container that does the work, where a pod has several.
    #[serde(default)]
    pub container: Option<String>,
    pub replicas: Located<u32>,
    /// Overlays that override `replicas`.
    #[serde(default)]
    pub replicas_in: BTreeMap<String, u32>,
    #[serde(default)]
    pub ports: Vec<Port>,
    #[serde(default)]
    pub probe: Option<Probe>,
    #[serde(default)]
    pub resources: Option<Resources>,
    /// Entry of `security` that its pods keep to.
    #[serde(default)]
    pub security: Option<Ref>,
    /// The Service in front of it.
    #[serde(default)]
    pub service: Option<String>,
    #[serde(default)]
    pub storage: Option<String>,
    /// Pods prefer different nodes.
    #[serde(default)]
    pub spread: bool,
    #[serde(default)]
    pub promise: Option<Ref>,
    #[serde(default)]
    pub overlays: Only,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

impl WorkloadKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }

    /// Whether its pods are meant to stay.
    pub fn is_serving(self) -> bool {
        matches!(self, Self::Deployment | Self::StatefulSet | Self::DaemonSet)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Port {
    pub name: String,
    pub port: Located<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Probe {
    Tcp { port: u16 },
    Http { port: u16, path: String },
    Grpc { port: u16 },
}

impl Probe {
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port } | Self::Http { port, .. } | Self::Grpc { port } => *port,
        }
    }
}

/// Quantities in the notation of Kubernetes, compared as quantities, not as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Resources {
    pub cpu_request: String,
    pub cpu_limit: String,
    pub memory_request: String,
    pub memory_limit: String,
}

/// A security context that pods of the named workloads keep to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Security {
    pub name: Located<String>,
    pub run_as_non_root: bool,
    #[serde(default)]
    pub run_as_user: Option<i64>,
    #[serde(default)]
    pub run_as_group: Option<i64>,
    #[serde(default)]
    pub fs_group: Option<i64>,
    #[serde(default)]
    pub seccomp: Option<String>,
    #[serde(default)]
    pub read_only_root: bool,
    #[serde(default)]
    pub allow_privilege_escalation: bool,
    #[serde(default)]
    pub drop_capabilities: Vec<String>,
    #[serde(default)]
    pub service_account: Option<String>,
    /// Whether the token of the service account is mounted.
    #[serde(default)]
    pub api_token: bool,
    #[serde(default)]
    pub promise: Option<Ref>,
}

/// Where the image of a container comes from on clusters that run recipes in place of images.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Image {
    /// The image's name without its tag; `*` stands for anything.
    pub name: Located<String>,
    pub runs: ImageSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSource {
    /// A stand-in of the agent binary.
    Standin(String),
    /// A stand-in of which nothing is asked but to answer on these ports.
    Listener(Vec<u16>),
    /// A real image to pull in its place, on providers that pull.
    Image(String),
}

impl Image {
    /// What runs in its place, where that is not what the system's people run.
    pub fn stand_in(&self) -> Option<String> {
        match &self.runs {
            ImageSource::Standin(service) => Some(format!("a stand-in for {service}")),
            ImageSource::Listener(ports) if ports.is_empty() => Some("a stand-in that does nothing".to_owned()),
            ImageSource::Listener(ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                Some(format!("a stand-in that answers on {} and does nothing", ports.join(", ")))
            }
            ImageSource::Image(_) => None,
        }
    }
}
