//! Data stores, how clients reach them, and how they are backed up and restored.

use super::model::{Only, Ref};
use crate::span::Span;
use crate::yaml::Located;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A replicated store that clients of the system rely on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Store {
    pub name: Located<String>,
    pub kind: StoreKind,
    /// The workload whose pods are its members.
    pub workload: Ref,
    /// Client port of every member.
    pub port: Located<u16>,
    /// `host:port` of members that clients start from, as clients in the cluster resolve them.
    pub endpoints: Vec<Located<String>>,
    /// Secret with `tls.crt`, `tls.key` and `ca.crt` of a client.
    #[serde(default)]
    pub client_tls: Option<Ref>,
    /// Where the password is.
    #[serde(default)]
    pub password: Option<SecretKey>,
    /// A command in a member's container that asks the store something; the words of the question come after it.
    #[serde(default)]
    pub cli: Vec<String>,
    /// The Job that makes a cluster of the members.
    #[serde(default)]
    pub init_job: Option<Ref>,
    #[serde(default)]
    pub promise: Option<Ref>,
    #[serde(default)]
    pub overlays: Only,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum StoreKind {
    RedisCluster {
        primaries: u32,
        replicas_per_primary: u32,
        /// What the configuration says; the budget of a failover is computed from the live value.
        node_timeout_ms: u64,
        append_only: bool,
    },
    Redis {
        append_only: bool,
    },
    NatsJetstream {
        servers: u32,
        /// Copies of every stream.
        stream_replicas: u32,
        streams: Vec<String>,
        sync_interval: String,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretKey {
    pub secret: Ref,
    pub key: Located<String>,
}

/// A backup that runs by itself, and the way back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Backup {
    pub name: Located<String>,
    pub store: Ref,
    /// The CronJob.
    pub workload: Ref,
    /// In the notation of cron.
    pub schedule: String,
    pub claim: String,
    /// Paths of what one run of it leaves, below the claim: `{time}` stands for the time in UTC as `YYYYMMDDTHHMMSSZ`,
    /// `{stream}` for each of the store's streams in turn.
    pub files: String,
    #[serde(default)]
    pub keep_successful: Option<u32>,
    #[serde(default)]
    pub keep_failed: Option<u32>,
    /// The way back, in order.
    pub restore: Vec<RestoreStep>,
    /// How long the backup, and each step of the way back, may take.
    #[serde(default = "five_minutes")]
    pub within: Span,
    #[serde(default)]
    pub promise: Option<Ref>,
    #[serde(default)]
    pub overlays: Only,
}

fn five_minutes() -> Span {
    Span::from_secs(300)
}

/// One step of a restore. In its texts `{time}` stands for the time of the backup to restore, as in its files' names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum RestoreStep {
    DeletePod {
        pod: String,
    },
    Exec {
        pod: String,
        command: Vec<String>,
    },
    /// Waits until all pods of the workload are ready.
    AwaitReady {
        workload: String,
    },
    /// Lets a Job that has run before run once more: deletes it and creates it anew.
    RerunJob {
        job: String,
    },
    /// Runs a Job made from the template of a CronJob, which may be suspended, with further variables.
    RunJob {
        from: String,
        #[serde(default)]
        env: BTreeMap<String, String>,
    },
}
