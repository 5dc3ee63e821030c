//! Data stores that are known by their images and settings, how many members of each are a quorum, and what their clients
//! would have to be told.

use super::Promised;
use super::manifests::{Manifest, Manifests, image_name, list};
use super::row::Row;
use super::workload::Workload;
use serde_json::{Value, json};

/// What a workload's first container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    RedisCluster {
        replicas_per_primary: u64,
    },
    /// One server, or a primary with replicas.
    Redis,
    JetStream,
    Postgres,
    /// Members that vote, of whatever kind.
    Raft,
}

/// Stores whose members vote.
const VOTING: [&str; 10] =
    ["etcd", "zookeeper", "consul", "rabbitmq", "vault", "cockroach", "mongo", "mongodb", "redpanda", "rqlite"];

/// Options by which members of a raft group are told of each other.
const RAFT_OPTIONS: [&str; 4] = ["initial-cluster", "bootstrap-expect", "raft-addr", "raft-path"];

const POSTGRES: [&str; 5] = ["postgres", "postgresql", "postgresql-repmgr", "spilo", "timescaledb"];

/// What is guessed of stores.
#[derive(Default)]
pub struct Guess {
    pub stores: Vec<Row>,
    pub quorums: Vec<Row>,
    pub failover: Vec<Row>,
    pub consensus: Vec<Row>,
    pub promises: Vec<Promised>,
}

pub fn guess(manifests: &Manifests<'_>) -> Guess {
    let mut guess = Guess::default();
    for workload in &manifests.workloads {
        if let Some(known) = known(manifests, workload) {
            guess.quorum(manifests, workload, known);
            guess.store(manifests, workload, known);
        }
    }
    guess
}

/// The program in a workload's first container, whatever the registry and the vendor.
fn program<'a>(workload: &Workload<'a>) -> &'a str {
    let image = workload.containers().next().and_then(|container| container["image"].as_str()).unwrap_or_default();
    image_name(image).rsplit('/').next().unwrap_or_default()
}

/// The store that a workload is, if it is a known one.
pub fn known(manifests: &Manifests<'_>, workload: &Workload<'_>) -> Option<Known> {
    if !matches!(workload.kind, "Deployment" | "StatefulSet") {
        return None;
    }
    let settings = settings(manifests, workload);
    match program(workload) {
        "redis" | "redis-cluster" | "valkey" if settings.contains("cluster-enabled yes") => {
            Some(Known::RedisCluster { replicas_per_primary: replicas_per_primary(manifests, workload) })
        }
        "redis" | "valkey" => Some(Known::Redis),
        "nats" => is_jetstream(&settings).then_some(Known::JetStream),
        name if POSTGRES.contains(&name) => Some(Known::Postgres),
        name if VOTING.contains(&name) => Some(Known::Raft),
        _ => RAFT_OPTIONS.iter().any(|option| settings.contains(option)).then_some(Known::Raft),
    }
}

fn is_jetstream(settings: &str) -> bool {
    settings.to_lowercase().contains("jetstream")
        || settings.split_whitespace().any(|word| word == "js" || word == "-js")
}

/// Everything that is said to the program: its commands, and the ConfigMaps that its pods mount. Options read like lines
/// of a file.
fn settings(manifests: &Manifests<'_>, workload: &Workload<'_>) -> String {
    let mut text = workload.commands().replace(" --", " ").replace("\n--", "\n");
    if let Some(rest) = text.strip_prefix("--") {
        text = rest.to_owned();
    }
    for needed in workload.needs().into_iter().filter(|needed| needed.kind == "ConfigMap") {
        let maps = manifests.of_kind("ConfigMap").filter(|map| map.namespace() == workload.namespace);
        for map in maps.filter(|map| map.name() == needed.name) {
            let files = map.object["data"].as_object().into_iter().flatten();
            files.filter_map(|(_, file)| file.as_str()).for_each(|file| text = format!("{text}\n{file}"));
        }
    }
    text
}

/// The word after an option, wherever in a text.
fn after<'t>(text: &'t str, option: &str) -> Option<&'t str> {
    text.split(option)
        .nth(1)?
        .trim_start_matches(['=', ' ', '"', '\''])
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
}

/// The Job that makes a cluster of the members.
fn init_job<'m, 'a>(manifests: &'m Manifests<'a>, workload: &Workload<'a>) -> Option<&'m Workload<'a>> {
    let jobs = manifests.workloads.iter().filter(|job| job.kind == "Job" && job.namespace == workload.namespace);
    jobs.into_iter().find(|job| {
        let said = format!("{}\n{}", job.commands(), settings(manifests, job));
        said.contains("cluster create") && said.contains(workload.name)
    })
}

fn replicas_per_primary(manifests: &Manifests<'_>, workload: &Workload<'_>) -> u64 {
    let said = init_job(manifests, workload).map(|job| format!("{}\n{}", job.commands(), settings(manifests, job)));
    let said = said.as_deref().and_then(|said| after(said, "cluster-replicas"));
    said.and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// Why clients of ours cannot use a store as it was guessed.
fn obstacle(manifests: &Manifests<'_>, workload: &Workload<'_>, at_hand: bool) -> Option<String> {
    let settings = settings(manifests, workload);
    let image = workload.containers().next().and_then(|container| container["image"].as_str()).unwrap_or_default();
    if !at_hand {
        return Some(format!(
            "a stand-in runs in place of {image}: take that away and the marks off where it can be pulled"
        ));
    }
    let wanted = ["requirepass", "tls-port", "authorization", "tls {", "tls:"];
    let wants: Vec<&str> = wanted.into_iter().filter(|word| settings.contains(word)).collect();
    (!wants.is_empty()).then(|| {
        format!("its settings have {}: add `password` and `clientTls`, then take the marks off", wants.join(" and "))
    })
}

impl Guess {
    /// What is promised of an entry stands or falls with it.
    fn promise(&mut self, id: String, says: String, workload: &Workload<'_>, entry: &Row) {
        let off = (!entry.is_on()).then(|| "its entry is left out too".to_owned());
        self.promises.push(Promised { id, says, from: workload.manifest.origin(), off });
    }

    fn quorum(&mut self, manifests: &Manifests<'_>, workload: &Workload<'_>, known: Known) {
        let replicas = workload.replicas();
        let (least, because) = match known {
            Known::RedisCluster { .. } => {
                (replicas / 2 + 1, format!("most of {replicas} members must be there to agree on a failover"))
            }
            Known::Redis | Known::Postgres => (1, "one server has the data".to_owned()),
            Known::JetStream | Known::Raft => {
                (replicas / 2 + 1, format!("most of {replicas} members of {} must agree", program(workload)))
            }
        };
        let enough = match known {
            Known::Redis | Known::Postgres => 2,
            _ => 3,
        };
        if replicas < enough {
            return;
        }
        let says = format!("Disruptions leave at least {least} of {replicas} pods of {}", workload.name);
        let row = Row::new(workload.manifest.origin())
            .with("workload", workload.name)
            .with("minReady", least)
            .with("because", because)
            .with("promise", format!("quorum.{}", workload.name));
        let low = super::budgets::floor(manifests, workload).filter(|floor| *floor < least);
        let row = row.off_if(low.map(|floor| {
            format!("a PodDisruptionBudget lets it go down to {floor}, so one of the two is not what is meant")
        }));
        self.promise(format!("quorum.{}", workload.name), says, workload, &row);
        self.quorums.push(row);
    }

    fn store(&mut self, manifests: &Manifests<'_>, workload: &Workload<'_>, known: Known) {
        let (settings, replicas) = (settings(manifests, workload), workload.replicas());
        let append_only = settings.contains("appendonly yes");
        let (kind, default_port, objectives) = match known {
            Known::RedisCluster { replicas_per_primary } => {
                // What Redis does when nobody says otherwise.
                let timeout = after(&settings, "cluster-node-timeout").and_then(|text| text.parse().ok());
                let timeout: u64 = timeout.unwrap_or(15_000);
                let primaries = replicas / (1 + replicas_per_primary);
                let kind = json!({"primaries": primaries, "replicasPerPrimary": replicas_per_primary,
                    "nodeTimeoutMs": timeout, "appendOnly": append_only});
                (json!({"redis-cluster": kind}), 6379, Some(true))
            }
            Known::Redis => (json!({"redis": {"appendOnly": append_only}}), 6379, None),
            Known::JetStream => {
                let kind = json!({"servers": replicas, "streamReplicas": replicas.min(3), "streams": [],
                    "syncInterval": "2m"});
                (json!({"nats-jetstream": kind}), 4222, (replicas >= 3).then_some(false))
            }
            Known::Postgres | Known::Raft => return,
        };
        let Some(service) = manifests.services(workload).next().map(Manifest::name) else { return };
        let ports = manifests.ports(workload);
        let port =
            ports.iter().map(|(_, port)| *port).find(|port| *port == default_port).or(ports.first().map(|p| p.1));
        let port = port.unwrap_or(default_port);
        let host = format!("{service}.{}.svc:{port}", workload.namespace);
        let endpoints: Vec<String> = match workload.kind {
            "StatefulSet" => (0..replicas).map(|n| format!("{}-{n}.{host}", workload.name)).collect(),
            _ => vec![host],
        };
        let main = list(workload.spec(), "containers").next().unwrap_or(&Value::Null);
        let at_hand = super::images::is_at_hand(main["image"].as_str().unwrap_or_default());
        let off = obstacle(manifests, workload, at_hand)
            .or_else(|| contradiction(known, replicas))
            .or_else(|| ports.is_empty().then(|| "its pods list no port".to_owned()));
        let id = format!("store.{}", workload.name);
        let is_redis = !matches!(known, Known::JetStream);
        let row = Row::new(workload.manifest.origin())
            .with("name", workload.name)
            .with("kind", kind)
            .with("workload", workload.name)
            .with("port", port)
            .with("endpoints", endpoints)
            .with("cli", if is_redis { json!(["redis-cli", "-p", port.to_string()]) } else { Value::Null })
            .with("initJob", init_job(manifests, workload).map(|job| job.name))
            .with("promise", id.clone())
            .off_if(off.clone());
        self.promise(id, format!("What {} acknowledged stays", workload.name), workload, &row);
        self.stores.push(row);
        match objectives {
            Some(true) => self.failover(workload, off),
            Some(false) => self.consensus(workload, off),
            None => {}
        }
    }

    fn failover(&mut self, workload: &Workload<'_>, off: Option<String>) {
        let id = format!("failover.{}", workload.name);
        let says = format!("A replica of {} takes over from a lost primary, and data stays available", workload.name);
        let row = Row::new(workload.manifest.origin())
            .with("store", workload.name)
            .with("budget", json!({"nodeTimeoutFactor": 2, "plus": "2s", "atMost": "15s"}))
            .with("plainLossPercent", 1)
            .with("replicatedLoss", 0)
            .with("rejoinWithin", "60s")
            .with("promise", id.clone())
            .off_if(off.map(|_| "its store is left out too".to_owned()));
        self.promise(id, says, workload, &row);
        self.failover.push(row);
    }

    fn consensus(&mut self, workload: &Workload<'_>, off: Option<String>) {
        let id = format!("consensus.{}", workload.name);
        let says =
            format!("{} goes on without one of its members, and acknowledges nothing without most", workload.name);
        let row = Row::new(workload.manifest.origin())
            .with("store", workload.name)
            .with("resume", json!({"elections": 2, "plus": "4s", "atMost": "30s"}))
            .with("restore", json!({"elections": 3, "plus": "4s", "atMost": "40s"}))
            .with("wholeWithin", "90s")
            .with("refuseWithin", "5s")
            .with("forgottenAcksWithin", "1s")
            .with("promise", id.clone())
            .off_if(off.map(|_| "its store is left out too".to_owned()));
        self.promise(id, says, workload, &row);
        self.consensus.push(row);
    }
}

/// Why the numbers of a store do not make one.
fn contradiction(known: Known, replicas: u64) -> Option<String> {
    match known {
        Known::RedisCluster { replicas_per_primary } => {
            let each = 1 + replicas_per_primary;
            let whole = replicas / each >= 3 && replicas.is_multiple_of(each);
            (!whole).then(|| {
                format!("{replicas} members are not three or more primaries with {replicas_per_primary} replicas each")
            })
        }
        Known::Redis if replicas != 1 => Some("who of its members is the primary cannot be told".to_owned()),
        _ => None,
    }
}
