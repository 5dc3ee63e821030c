//! Rules around the workloads: budgets, quorums, quota, autoscaling, ingress, monitoring.

use super::model::{Only, Ref};
use super::workload::Resources;
use crate::span::Span;
use crate::yaml::Located;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How many members a replicated workload needs to do its work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Quorum {
    pub workload: Ref,
    /// Ready pods that no voluntary disruption may go below.
    pub min_ready: Located<u32>,
    pub because: String,
    pub promise: Ref,
    #[serde(default)]
    pub overlays: Only,
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Budget {
    pub name: Located<String>,
    pub workload: Ref,
    pub allows: Disruption,
    pub promise: Ref,
    #[serde(default)]
    pub overlays: Only,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Disruption {
    MinAvailable(u32),
    MaxUnavailable(u32),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Quota {
    pub name: Located<String>,
    pub namespace: Ref,
    pub hard: BTreeMap<String, String>,
    #[serde(default)]
    pub promise: Option<Ref>,
    #[serde(default)]
    pub overlays: Only,
}

/// What a LimitRange gives to containers that ask for nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Limits {
    pub namespace: Ref,
    pub default: Resources,
    #[serde(default)]
    pub promise: Option<Ref>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Autoscaler {
    pub workload: Ref,
    pub min: Located<u32>,
    pub max: u32,
    /// Percent of the request.
    #[serde(default)]
    pub cpu_percent: Option<u32>,
    #[serde(default)]
    pub memory_percent: Option<u32>,
    #[serde(default)]
    pub promise: Option<Ref>,
    #[serde(default)]
    pub overlays: Only,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ingress {
    pub name: Located<String>,
    #[serde(default)]
    pub host: Option<String>,
    #[serde(default)]
    pub tls: Option<Ref>,
    pub routes: Vec<Route>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub promise: Option<Ref>,
    #[serde(default)]
    pub overlays: Only,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Route {
    pub path: String,
    pub workload: Ref,
    pub port: Located<u16>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Monitoring {
    pub targets: Vec<Target>,
    pub alerts: Vec<Alert>,
    /// Metrics that clients of the monitoring rely on.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    #[serde(default)]
    pub promise: Option<Ref>,
    #[serde(default)]
    pub overlays: Only,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Target {
    pub name: String,
    pub workload: Ref,
    pub port_name: String,
    pub port: Located<u16>,
    pub path: String,
    pub interval: Span,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Alert {
    pub name: String,
    pub expression: String,
    pub severity: String,
    #[serde(rename = "for")]
    pub lasting: Span,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metric {
    pub name: String,
    pub workload: Ref,
}
