//! The contract as a whole: promises, overlays, and the tables that say what is promised.

use super::network::Network;
use super::objective::{Objectives, Pipeline, SteadyState};
use super::policy::{Autoscaler, Budget, Ingress, Limits, Monitoring, Quorum, Quota};
use super::prerequisites::Prerequisites;
use super::store::{Backup, Store};
use super::workload::{Image, Security, Workload};
use crate::yaml::Located;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A name that must exist elsewhere in the contract.
pub type Ref = Located<String>;

/// Names of the overlays in which something exists; empty means in all of them.
pub type Only = Vec<Ref>;

/// One `system.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Contract {
    /// The name by which `--system` knows it.
    pub name: Located<String>,
    pub title: String,
    /// The document that the promises are taken from.
    pub document: String,
    /// Where that document can be read, for reports to link.
    #[serde(default)]
    pub document_url: Option<Located<String>>,
    pub overlays: BTreeMap<String, Overlay>,
    pub promises: Vec<Promise>,
    pub prerequisites: Prerequisites,
    #[serde(default)]
    pub images: Vec<Image>,
    #[serde(default)]
    pub security: Vec<Security>,
    pub workloads: Vec<Workload>,
    #[serde(default)]
    pub stores: Vec<Store>,
    #[serde(default)]
    pub quorums: Vec<Quorum>,
    #[serde(default)]
    pub budgets: Vec<Budget>,
    #[serde(default)]
    pub network: Option<Network>,
    #[serde(default)]
    pub backups: Vec<Backup>,
    #[serde(default)]
    pub quotas: Vec<Quota>,
    #[serde(default)]
    pub limits: Vec<Limits>,
    #[serde(default)]
    pub autoscalers: Vec<Autoscaler>,
    #[serde(default)]
    pub ingresses: Vec<Ingress>,
    #[serde(default)]
    pub monitoring: Option<Monitoring>,
    #[serde(default)]
    pub pipelines: Vec<Pipeline>,
    pub steady_state: SteadyState,
    pub objectives: Objectives,
}

/// One way of deploying the system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Overlay {
    /// A kustomization folder or one manifest, relative to the contract.
    pub path: Located<String>,
    /// The same, rendered, for machines without kustomize; relative to the contract.
    #[serde(default)]
    pub rendered: Option<Located<String>>,
    /// Used when `--overlay` is not given; exactly one overlay says so.
    #[serde(default)]
    pub default: bool,
}

/// One sentence that the document holds the deployment to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Promise {
    pub id: Located<String>,
    pub says: String,
    /// Where the document says so.
    pub reference: String,
    /// The part of the document's address that leads to this place.
    #[serde(default)]
    pub at: Option<Located<String>>,
    /// The passage, word for word.
    #[serde(default)]
    pub quote: Option<String>,
    /// Proposed by a program and not yet confirmed by a person: it is looked at and told, and decides nothing.
    #[serde(default)]
    pub guessed: bool,
}

/// Equal labels, all of which a pod must have.
pub type Labels = BTreeMap<String, String>;
