//! Which store a workload is: by the images of its containers, what these are told, and their variables.

use super::super::manifests::{Manifests, image_name, list};
use super::super::workload::{Workload, container_ports};
use super::settings::Settings;
use serde_json::Value;

/// What a workload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    RedisCluster {
        replicas_per_primary: u64,
    },
    /// One server, or a primary with replicas.
    Redis,
    /// Those that agree on which Redis is the primary, also where it stands beside them.
    Sentinels,
    JetStream,
    /// A database of which one server has all data.
    Primary,
    /// Members that vote, of whatever kind.
    Voting,
    /// Members that each have a part of several copies.
    Copies,
    /// Members of a kind that votes, but how many of these do cannot be told; why.
    Unclear(String),
}

/// A store that was recognised.
pub struct Found<'a> {
    pub known: Known,
    /// The container that does its work.
    pub container: &'a Value,
}

/// Stores whose members vote.
const VOTING: [&str; 13] = [
    "etcd",
    "zookeeper",
    "consul",
    "rabbitmq",
    "vault",
    "cockroach",
    "mongo",
    "mongodb",
    "redpanda",
    "rqlite",
    "mariadb-galera",
    "galera",
    "percona-xtradb-cluster",
];
const KAFKA: [&str; 4] = ["kafka", "kafka-native", "cp-kafka", "cp-server"];
const SEARCH: [&str; 2] = ["elasticsearch", "opensearch"];
const COPIES: [&str; 2] = ["cassandra", "scylla"];
const POSTGRES: [&str; 5] = ["postgres", "postgresql", "postgresql-repmgr", "spilo", "timescaledb"];

/// Options by which members of a raft group are told of each other.
const RAFT_OPTIONS: [&str; 4] = ["initial.cluster", "bootstrap.expect", "raft.addr", "raft.path"];

/// The program of a container, whatever the registry and the vendor.
pub fn program(container: &Value) -> &str {
    image_name(container["image"].as_str().unwrap_or_default()).rsplit('/').next().unwrap_or_default()
}

/// The store that a workload is, if it is a known one.
pub fn known<'a>(manifests: &Manifests<'a>, workload: &Workload<'a>) -> Option<Found<'a>> {
    if !matches!(workload.kind, "Deployment" | "StatefulSet") {
        return None;
    }
    let settings = Settings::of(manifests, workload);
    let mut found: Vec<Found<'a>> = Vec::new();
    for (place, container) in workload.containers().enumerate() {
        // An application's own cache beside it is no store of the system.
        let is_asked = place == 0 || workload.kind == "StatefulSet" || is_reached(manifests, workload, container);
        if let Some(known) = is_asked.then(|| of_container(manifests, workload, container, &settings)).flatten() {
            found.push(Found { known, container });
        }
    }
    let is_watched = found.iter().any(|found| found.known == Known::Sentinels);
    let first = found.into_iter().next();
    let first = first.map(|found| Found { known: if is_watched { Known::Sentinels } else { found.known }, ..found });
    first.or_else(|| {
        let container = workload.containers().next()?;
        let votes = RAFT_OPTIONS.iter().any(|option| settings.has(option));
        votes.then_some(Found { known: Known::Voting, container })
    })
}

/// The container that does a workload's work: its store, or the first.
pub fn main<'a>(manifests: &Manifests<'a>, workload: &Workload<'a>) -> Option<&'a Value> {
    known(manifests, workload).map(|found| found.container).or_else(|| workload.containers().next())
}

/// Whether a Service sends to a port of the container.
fn is_reached<'a>(manifests: &Manifests<'a>, workload: &Workload<'a>, container: &Value) -> bool {
    let sent: Vec<u16> = manifests.sent_ports(workload);
    container_ports(container).any(|(_, port)| sent.contains(&port))
}

fn of_container<'a>(
    manifests: &Manifests<'a>,
    workload: &Workload<'a>,
    container: &Value,
    settings: &Settings,
) -> Option<Known> {
    match program(container) {
        "redis-sentinel" | "valkey-sentinel" => Some(Known::Sentinels),
        "redis" | "valkey" if is_sentinel(container) => Some(Known::Sentinels),
        "redis" | "redis-cluster" | "valkey" if settings.text.contains("cluster-enabled yes") => {
            Some(Known::RedisCluster { replicas_per_primary: super::replicas_per_primary(manifests, workload) })
        }
        "redis" | "valkey" => Some(Known::Redis),
        "nats" => settings.is_jetstream().then_some(Known::JetStream),
        "mariadb" => Some(if settings.has("wsrep") { Known::Voting } else { Known::Primary }),
        name if POSTGRES.contains(&name) => Some(Known::Primary),
        name if VOTING.contains(&name) => Some(Known::Voting),
        name if KAFKA.contains(&name) => Some(kafka(settings, workload.replicas())),
        name if SEARCH.contains(&name) => Some(search(settings)),
        name if COPIES.contains(&name) => Some(Known::Copies),
        _ => None,
    }
}

fn is_sentinel(container: &Value) -> bool {
    let words = ["command", "args"].into_iter().flat_map(|key| list(container, key)).filter_map(Value::as_str);
    let said = words.collect::<Vec<&str>>().join(" ");
    ["redis-sentinel", "valkey-sentinel", "--sentinel"].iter().any(|word| said.contains(word))
}

/// Kafka's controllers vote, where it has any; its brokers do not.
fn kafka(settings: &Settings, members: u64) -> Known {
    let copies = "how many brokers must stay follows from the copies of their topics, which manifests do not say";
    let are_controllers = settings.value("process.roles").map(|roles| roles.contains("controller"));
    let voters = settings.value("controller.quorum.voters").map(|voters| voters.matches('@').count() as u64);
    match (are_controllers, voters) {
        (Some(false), _) => Known::Unclear(copies.to_owned()),
        (_, Some(voters)) if voters != 0 && voters != members => Known::Unclear(format!(
            "its settings name {voters} voters and it has {members} pods, so how many of these vote cannot be told"
        )),
        (Some(true), _) | (_, Some(_)) => Known::Voting,
        (None, None) if settings.has("controller.quorum.bootstrap.servers") => Known::Voting,
        (None, None) => Known::Unclear(copies.to_owned()),
    }
}

/// Nodes of a search engine vote unless they are told not to.
fn search(settings: &Settings) -> Known {
    let votes = |roles: &str| roles.trim().is_empty() || roles.contains("master") || roles.contains("cluster.manager");
    let are_told = settings.value("node.roles").is_some_and(|roles| !votes(roles))
        || settings.value("node.master").is_some_and(|value| value.contains("false"));
    match are_told {
        true => {
            Known::Unclear("its nodes do not vote, and how many copies of the data there are is not said".to_owned())
        }
        false => Known::Voting,
    }
}
