//! Numbers of the contract that cannot all be true.

use super::Findings;
use crate::contract::model::{Contract, Ref};
use crate::contract::network::BEYOND;
use crate::contract::policy::Disruption;
use crate::contract::store::{RestoreStep, StoreKind};
use crate::contract::workload::Workload;

pub(super) fn check(findings: &mut Findings<'_>) {
    document(findings);
    budgets_against_replicas(findings);
    quorums(findings);
    stores(findings);
    ports(findings);
    autoscalers(findings);
    pipelines(findings);
    losses(findings);
    consensus(findings);
    network(findings);
    backups(findings);
}

/// The workloads of that name with the overlay in which each exists and its replicas there.
fn sizes<'a>(contract: &'a Contract, name: &Ref) -> Vec<(&'a str, &'a Workload, u32)> {
    let overlays = contract.overlays.keys().filter_map(|overlay| contract.deployment(Some(overlay)));
    overlays.filter_map(|d| d.workload(&name.value).map(|w| (d.overlay_name, w, d.replicas(w)))).collect()
}

/// Reports make a link of it, and a link can be more than a place.
fn document(findings: &mut Findings<'_>) {
    let url = findings.contract.document_url.as_ref();
    if let Some(url) = url.filter(|url| !["https://", "http://"].iter().any(|scheme| url.value.starts_with(scheme))) {
        let message = format!("`{}` is no address of a document", url.value);
        findings.add_hinted(url, message, "it begins with https:// or http://");
    }
    for at in findings.contract.promises.iter().filter_map(|promise| promise.at.as_ref()) {
        if url.is_none() {
            findings.add_hinted(at, "there is no address that this is a part of", "give the document a documentUrl");
        } else if at.value.is_empty() || at.value.contains(|c: char| !c.is_ascii_graphic() || "<>\"".contains(c)) {
            let message = format!("`{}` is no part of an address", at.value);
            findings.add_hinted(at, message, "copy what follows the # of a link to the passage");
        }
    }
}

fn budgets_against_replicas(findings: &mut Findings<'_>) {
    for budget in &findings.contract.budgets {
        let overlays = findings.overlay_names(&budget.overlays);
        for (overlay, _, replicas) in sizes(findings.contract, &budget.workload) {
            let Disruption::MinAvailable(min) = budget.allows else { continue };
            if overlays.contains(&overlay) && min > replicas {
                findings.add_hinted(
                    &budget.name,
                    format!(
                        "budget `{}` wants {min} pods of `{}` available, but overlay `{overlay}` has {replicas}",
                        budget.name.value, budget.workload.value
                    ),
                    "no pod of it could ever be evicted; correct minAvailable or replicas",
                );
            }
        }
    }
}

fn quorums(findings: &mut Findings<'_>) {
    let contract = findings.contract;
    for quorum in &contract.quorums {
        let overlays = findings.overlay_names(&quorum.overlays);
        for (overlay, _, replicas) in sizes(contract, &quorum.workload) {
            if !overlays.contains(&overlay) {
                continue;
            }
            if quorum.min_ready.value > replicas {
                let min = quorum.min_ready.value;
                let name = &quorum.workload.value;
                findings.add(
                    &quorum.min_ready,
                    format!("`{name}` needs {min} ready pods, but overlay `{overlay}` has {replicas}"),
                );
            }
            let allowed = contract.budgets.iter().filter(|b| b.workload.value == quorum.workload.value);
            for budget in allowed {
                let floor = match budget.allows {
                    Disruption::MinAvailable(min) => min,
                    Disruption::MaxUnavailable(max) => replicas.saturating_sub(max),
                };
                if floor < quorum.min_ready.value {
                    findings.add(
                        &budget.name,
                        format!(
                            "budget `{}` lets `{}` go down to {floor} pods, but its quorum is {}",
                            budget.name.value, quorum.workload.value, quorum.min_ready.value
                        ),
                    );
                }
            }
        }
    }
}

fn stores(findings: &mut Findings<'_>) {
    let contract = findings.contract;
    for store in &contract.stores {
        let overlays = findings.overlay_names(&store.overlays);
        for (overlay, _, replicas) in sizes(contract, &store.workload) {
            if overlays.contains(&overlay)
                && let Some(message) = store_contradiction(&store.kind, replicas)
            {
                findings
                    .add(&store.workload, format!("store `{}` in overlay `{overlay}`: {message}", store.name.value));
            }
        }
        for endpoint in &store.endpoints {
            let port = endpoint.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            match port {
                None => findings.add(endpoint, format!("`{}` is not host:port", endpoint.value)),
                Some(port) if port != store.port.value => findings
                    .add(endpoint, format!("`{}` is not on the store's port {}", endpoint.value, store.port.value)),
                Some(_) => {}
            }
        }
        if store.endpoints.is_empty() {
            findings.add(&store.name, format!("store `{}` has no endpoints", store.name.value));
        }
    }
}

fn store_contradiction(kind: &StoreKind, members: u32) -> Option<String> {
    match kind {
        StoreKind::RedisCluster { primaries, replicas_per_primary, .. } => {
            let wanted = primaries * (1 + replicas_per_primary);
            if *primaries < 3 {
                return Some(format!(
                    "{primaries} primaries cannot agree on a failover; a Redis Cluster has at least 3"
                ));
            }
            (wanted != members).then(|| {
                format!("{primaries} primaries with {replicas_per_primary} replicas each are {wanted} members, not {members}")
            })
        }
        StoreKind::NatsJetstream { servers, stream_replicas, .. } => {
            if stream_replicas > servers {
                return Some(format!("streams with {stream_replicas} copies do not fit on {servers} servers"));
            }
            (*servers != members).then(|| format!("{servers} servers are promised, but the workload has {members}"))
        }
        StoreKind::Redis { .. } => (members != 1).then(|| format!("a single Redis has one member, not {members}")),
    }
}

fn ports(findings: &mut Findings<'_>) {
    let contract = findings.contract;
    for workload in &contract.workloads {
        if let Some(probe) = &workload.probe
            && !has_port(workload, probe.port())
        {
            let message =
                format!("`{}` is probed on port {}, which it does not list", workload.name.value, probe.port());
            findings.add(&workload.name, message);
        }
    }
    let routes = contract.ingresses.iter().flat_map(|i| i.routes.iter().map(|r| (&r.workload, &r.port)));
    let targets = contract.monitoring.iter().flat_map(|m| m.targets.iter().map(|t| (&t.workload, &t.port)));
    let members = contract.stores.iter().map(|s| (&s.workload, &s.port));
    for (name, port) in routes.chain(targets).chain(members) {
        let found: Vec<&Workload> = contract.workloads.iter().filter(|w| w.name.value == name.value).collect();
        if !found.is_empty() && !found.iter().any(|w| has_port(w, port.value)) {
            findings.add(port, format!("workload `{}` has no port {}", name.value, port.value));
        }
    }
}

fn has_port(workload: &Workload, port: u16) -> bool {
    workload.ports.iter().any(|p| p.port.value == port)
}

fn autoscalers(findings: &mut Findings<'_>) {
    for scaler in &findings.contract.autoscalers {
        if scaler.min.value > scaler.max {
            let message = format!("`{}` scales from {} up to {}", scaler.workload.value, scaler.min.value, scaler.max);
            findings.add(&scaler.min, message);
        }
    }
}

fn pipelines(findings: &mut Findings<'_>) {
    for pipeline in &findings.contract.pipelines {
        if !pipeline.status_url.contains("{id}") {
            findings.add(&pipeline.name, "statusUrl must contain {id}, where the id of the job goes");
        }
        if !pipeline.final_states.contains(&pipeline.done_state) {
            let message = format!("doneState `{}` is not among finalStates", pipeline.done_state);
            findings.add(&pipeline.name, message);
        }
    }
}

fn losses(findings: &mut Findings<'_>) {
    let objectives = &findings.contract.objectives;
    let failovers = objectives.failover.iter().map(|f| (&f.promise, f.plain_loss_percent));
    let drains = objectives.drain.iter().map(|d| (&d.promise, d.plain_loss_percent));
    for (promise, percent) in failovers.chain(drains) {
        if !(0.0..=100.0).contains(&percent) {
            findings.add(promise, format!("plainLossPercent {percent} is not between 0 and 100"));
        }
    }
}

fn consensus(findings: &mut Findings<'_>) {
    let contract = findings.contract;
    for objective in &contract.objectives.consensus {
        let stores = contract.stores.iter().filter(|store| store.name.value == objective.store.value);
        for store in stores.filter(|store| !matches!(store.kind, StoreKind::NatsJetstream { .. })) {
            findings.add(&objective.store, format!("the members of store `{}` do not vote", store.name.value));
        }
        if objective.resume.elections == 0 || objective.restore.elections == 0 {
            findings.add(&objective.store, "without an election nobody can be served again; `elections` is 1 or more");
        }
    }
}

/// A row with a port that nobody listens on, and a peer whose name says somebody else.
fn network(findings: &mut Findings<'_>) {
    let contract = findings.contract;
    let Some(network) = &contract.network else { return };
    let named = |name: &str| -> Vec<&Workload> { contract.workloads.iter().filter(|w| w.name.value == name).collect() };
    for (n, peer) in network.peers.iter().enumerate() {
        let name = peer.name.value.as_str();
        let twice = network.peers[..n].iter().any(|other| other.name.value == name);
        if twice || BEYOND.contains(&name) || !named(name).is_empty() {
            findings.add(&peer.name, format!("`{name}` is the name of another party already"));
        }
    }
    for rule in network.rules() {
        for port in &rule.ports {
            let listens = |to: &Ref| {
                let known = named(&to.value);
                known.is_empty() || known.into_iter().any(|workload| has_port(workload, port.value))
            };
            if !rule.to.is_empty() && !rule.to.iter().any(listens) {
                findings.add(port, format!("no destination of this row has a port {}", port.value));
            }
        }
    }
}

fn backups(findings: &mut Findings<'_>) {
    let contract = findings.contract;
    for backup in &contract.backups {
        if !backup.files.contains("{time}") {
            let message = "files must contain {time}, by which backups are told apart";
            findings.add(&backup.name, message);
        }
        let awaited = backup.restore.iter().filter_map(|step| match step {
            RestoreStep::AwaitReady { workload } | RestoreStep::RerunJob { job: workload } => Some(workload),
            _ => None,
        });
        for name in awaited.filter(|name| !contract.workloads.iter().any(|w| w.name.value == **name)) {
            findings.add(&backup.name, format!("its restore needs the workload `{name}`, which does not exist"));
        }
    }
}
