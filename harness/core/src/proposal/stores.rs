//! Data stores that are known by their images and settings, how many members of each are a quorum, and what their clients
//! would have to be told.

mod known;
mod settings;

pub use known::{Known, known, main};

use super::Promised;
use super::manifests::{Manifest, Manifests};
use super::row::Row;
use super::workload::Workload;
use known::{Found, program};
use serde_json::{Value, json};
use settings::Settings;

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
        if let Some(found) = known(manifests, workload) {
            guess.quorum(manifests, workload, &found);
            guess.store(manifests, workload, &found);
        }
    }
    guess
}

/// The Job that makes a cluster of the members.
fn init_job<'m, 'a>(manifests: &'m Manifests<'a>, workload: &Workload<'a>) -> Option<&'m Workload<'a>> {
    let jobs = manifests.workloads.iter().filter(|job| job.kind == "Job" && job.namespace == workload.namespace);
    jobs.into_iter().find(|job| {
        let said = Settings::of(manifests, job).text;
        said.contains("cluster create") && said.contains(workload.name)
    })
}

fn replicas_per_primary(manifests: &Manifests<'_>, workload: &Workload<'_>) -> u64 {
    let said = init_job(manifests, workload).map(|job| Settings::of(manifests, job));
    let number = said.as_ref().and_then(|said| said.word_after("cluster-replicas"));
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// Why clients of ours cannot use a store as it was guessed.
fn obstacle(settings: &str, container: &Value) -> Option<String> {
    let image = container["image"].as_str().unwrap_or_default();
    if !super::images::is_at_hand(image) {
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

    fn quorum(&mut self, manifests: &Manifests<'_>, workload: &Workload<'_>, found: &Found<'_>) {
        let replicas = workload.replicas();
        let (enough, least, because) = quorum(&found.known, replicas, program(found.container));
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
        let unclear = match &found.known {
            Known::Unclear(why) => Some(why.clone()),
            _ => None,
        };
        let row = row.off_if(unclear.or_else(|| {
            low.map(|floor| {
                format!("a PodDisruptionBudget lets it go down to {floor}, so one of the two is not what is meant")
            })
        }));
        self.promise(format!("quorum.{}", workload.name), says, workload, &row);
        self.quorums.push(row);
    }

    fn store(&mut self, manifests: &Manifests<'_>, workload: &Workload<'_>, found: &Found<'_>) {
        let (settings, replicas) = (Settings::of(manifests, workload), workload.replicas());
        let append_only = settings.text.contains("appendonly yes");
        let (kind, default_port, objectives) = match &found.known {
            Known::RedisCluster { replicas_per_primary } => {
                // What Redis does when nobody says otherwise.
                let timeout = settings.word_after("cluster-node-timeout").and_then(|text| text.parse().ok());
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
            _ => return,
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
        let off = obstacle(&settings.text, found.container)
            .or_else(|| contradiction(&found.known, replicas))
            .or_else(|| ports.is_empty().then(|| "its pods list no port".to_owned()));
        let id = format!("store.{}", workload.name);
        let is_redis = !matches!(found.known, Known::JetStream);
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
            .with("guessed", true)
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
            .with("guessed", true)
            .off_if(off.map(|_| "its store is left out too".to_owned()));
        self.promise(id, says, workload, &row);
        self.consensus.push(row);
    }
}

/// From how many members on it has a quorum, how many that is, and why.
fn quorum(known: &Known, replicas: u64, program: &str) -> (u64, u64, String) {
    let most = replicas / 2 + 1;
    match known {
        Known::Redis | Known::Primary => (2, 1, "one server has the data".to_owned()),
        Known::RedisCluster { .. } => {
            (3, most, format!("most of {replicas} members must be there to agree on a failover"))
        }
        Known::Sentinels => (3, most, format!("most of {replicas} sentinels must agree on a failover")),
        Known::JetStream | Known::Voting | Known::Unclear(_) => {
            (3, most, format!("most of {replicas} members of {program} must agree"))
        }
        // Which of them share a row cannot be told, so two that are gone may be two of its three copies.
        Known::Copies => (3, replicas - 1, "most of the three copies that are usual must be there".to_owned()),
    }
}

/// Why the numbers of a store do not make one.
fn contradiction(known: &Known, replicas: u64) -> Option<String> {
    match known {
        Known::RedisCluster { replicas_per_primary } => {
            let each = 1 + *replicas_per_primary;
            let whole = replicas / each >= 3 && replicas.is_multiple_of(each);
            (!whole).then(|| {
                format!("{replicas} members are not three or more primaries with {replicas_per_primary} replicas each")
            })
        }
        Known::Redis if replicas != 1 => Some("who of its members is the primary cannot be told".to_owned()),
        _ => None,
    }
}
