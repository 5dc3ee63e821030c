//! Names that must exist elsewhere in the contract, and names that must not exist twice.

use super::Findings;
use crate::contract::model::Ref;
use crate::contract::network::BEYOND;
use crate::yaml::Located;
use std::collections::BTreeSet;

pub(super) fn check(findings: &mut Findings<'_>) {
    unique(findings);
    overlays(findings);
    promises(findings);
    namespaces_and_prerequisites(findings);
    workloads(findings);
    stores(findings);
    secrets(findings);
}

fn names<'a>(items: impl IntoIterator<Item = &'a Located<String>>) -> Vec<&'a str> {
    items.into_iter().map(|name| name.value.as_str()).collect()
}

/// A name and the overlays it exists in.
type Name = (Located<String>, Vec<Ref>);

/// A name is taken once per table, except that different overlays may each have their own of that name.
fn unique(findings: &mut Findings<'_>) {
    let contract = findings.contract;
    let everywhere = |name: &Located<String>| (name.clone(), vec![]);
    let tables: [(&str, Vec<Name>); 7] = [
        ("promise", contract.promises.iter().map(|p| everywhere(&p.id)).collect()),
        ("workload", contract.workloads.iter().map(|w| (w.name.clone(), w.overlays.clone())).collect()),
        ("store", contract.stores.iter().map(|s| (s.name.clone(), s.overlays.clone())).collect()),
        ("pipeline", contract.pipelines.iter().map(|p| (p.name.clone(), p.overlays.clone())).collect()),
        ("authority", contract.prerequisites.authorities.iter().map(|a| everywhere(&a.name)).collect()),
        ("security context", contract.security.iter().map(|s| everywhere(&s.name)).collect()),
        ("budget", contract.budgets.iter().map(|b| (b.name.clone(), b.overlays.clone())).collect()),
    ];
    for (what, table) in tables {
        let mut taken: BTreeSet<(String, String)> = BTreeSet::new();
        for (name, only) in &table {
            let overlays: Vec<String> = match only.is_empty() {
                true => contract.overlays.keys().cloned().collect(),
                false => only.iter().map(|o| o.value.clone()).collect(),
            };
            let mut again = false;
            for overlay in overlays {
                again |= !taken.insert((name.value.clone(), overlay));
            }
            if again {
                findings.add(name, format!("a second {what} is called `{}`", name.value));
            }
        }
    }
}

fn overlays(findings: &mut Findings<'_>) {
    let c = findings.contract;
    let p = &c.prerequisites;
    let only = (c.workloads.iter().map(|x| &x.overlays))
        .chain(c.stores.iter().map(|x| &x.overlays))
        .chain(c.quorums.iter().map(|x| &x.overlays))
        .chain(c.budgets.iter().map(|x| &x.overlays))
        .chain(c.network.iter().map(|x| &x.overlays))
        .chain(c.backups.iter().map(|x| &x.overlays))
        .chain(c.quotas.iter().map(|x| &x.overlays))
        .chain(c.autoscalers.iter().map(|x| &x.overlays))
        .chain(c.ingresses.iter().map(|x| &x.overlays))
        .chain(c.monitoring.iter().map(|x| &x.overlays))
        .chain(c.pipelines.iter().map(|x| &x.overlays))
        .chain(p.certificates.iter().map(|x| &x.overlays))
        .chain(p.secrets.iter().map(|x| &x.overlays))
        .chain(p.claims.iter().map(|x| &x.overlays));
    for list in only {
        findings.overlays(list);
    }
    for workload in &c.workloads {
        for overlay in workload.replicas_in.keys().filter(|name| !c.overlays.contains_key(*name)) {
            findings.add(&workload.replicas, format!("replicasIn names the overlay `{overlay}`, which does not exist"));
        }
    }
    let defaults = c.overlays.values().filter(|overlay| overlay.default).count();
    if defaults != 1 {
        findings.add(&c.name, format!("exactly one overlay must say `default: true`; {defaults} do"));
    }
}

fn promises(findings: &mut Findings<'_>) {
    let c = findings.contract;
    let known = names(c.promises.iter().map(|p| &p.id));
    let optional = (c.workloads.iter().filter_map(|x| x.promise.as_ref()))
        .chain(c.security.iter().filter_map(|x| x.promise.as_ref()))
        .chain(c.stores.iter().filter_map(|x| x.promise.as_ref()))
        .chain(c.backups.iter().filter_map(|x| x.promise.as_ref()))
        .chain(c.quotas.iter().filter_map(|x| x.promise.as_ref()))
        .chain(c.limits.iter().filter_map(|x| x.promise.as_ref()))
        .chain(c.autoscalers.iter().filter_map(|x| x.promise.as_ref()))
        .chain(c.ingresses.iter().filter_map(|x| x.promise.as_ref()))
        .chain(c.monitoring.iter().filter_map(|x| x.promise.as_ref()))
        .chain(c.pipelines.iter().filter_map(|x| x.promise.as_ref()));
    let required = (c.quorums.iter().map(|x| &x.promise))
        .chain(c.budgets.iter().map(|x| &x.promise))
        .chain(c.network.iter().map(|x| &x.promise))
        .chain(c.objectives.failover.iter().map(|x| &x.promise))
        .chain(c.objectives.consensus.iter().map(|x| &x.promise))
        .chain(c.objectives.drain.iter().map(|x| &x.promise))
        .chain(c.objectives.jobs.iter().map(|x| &x.promise));
    for reference in optional.chain(required) {
        findings.known("promise", reference, &known);
    }
}

fn namespaces_and_prerequisites(findings: &mut Findings<'_>) {
    let c = findings.contract;
    let p = &c.prerequisites;
    let namespaces = names(&p.namespaces);
    let used = (c.workloads.iter().map(|x| &x.namespace))
        .chain(p.certificates.iter().map(|x| &x.namespace))
        .chain(p.secrets.iter().map(|x| &x.namespace))
        .chain(p.claims.iter().map(|x| &x.namespace))
        .chain(c.quotas.iter().map(|x| &x.namespace))
        .chain(c.limits.iter().map(|x| &x.namespace));
    for namespace in used {
        findings.known("namespace", namespace, &namespaces);
    }
    let authorities = names(p.authorities.iter().map(|a| &a.name));
    for certificate in &p.certificates {
        findings.known("authority", &certificate.authority, &authorities);
    }
    let contexts = names(c.security.iter().map(|s| &s.name));
    for context in c.workloads.iter().filter_map(|w| w.security.as_ref()) {
        findings.known("security context", context, &contexts);
    }
}

fn workloads(findings: &mut Findings<'_>) {
    let c = findings.contract;
    let known = names(c.workloads.iter().map(|w| &w.name));
    let references = (c.stores.iter().map(|x| &x.workload))
        .chain(c.stores.iter().filter_map(|x| x.init_job.as_ref()))
        .chain(c.quorums.iter().map(|x| &x.workload))
        .chain(c.budgets.iter().map(|x| &x.workload))
        .chain(c.backups.iter().map(|x| &x.workload))
        .chain(c.autoscalers.iter().map(|x| &x.workload))
        .chain(c.ingresses.iter().flat_map(|x| x.routes.iter().map(|r| &r.workload)))
        .chain(c.monitoring.iter().flat_map(|x| x.targets.iter().map(|t| &t.workload)))
        .chain(c.monitoring.iter().flat_map(|x| x.metrics.iter().map(|m| &m.workload)))
        .chain(c.pipelines.iter().map(|x| &x.workload))
        .chain(c.steady_state.completed_jobs.iter())
        .chain(c.network.iter().flat_map(|x| x.restricted_ingress.iter().chain(&x.restricted_egress)));
    for reference in references {
        findings.known("workload", reference, &known);
    }
    let peers = c.network.iter().flat_map(|network| &network.peers).map(|peer| peer.name.value.as_str());
    let parties: Vec<&str> = known.iter().copied().chain(peers).chain(BEYOND).collect();
    for party in c.network.iter().flat_map(|n| n.rules()).flat_map(|rule| rule.from.iter().chain(&rule.to)) {
        findings.known("workload or peer", party, &parties);
    }
}

fn stores(findings: &mut Findings<'_>) {
    let c = findings.contract;
    let known = names(c.stores.iter().map(|s| &s.name));
    let named = (c.backups.iter().map(|b| &b.store))
        .chain(c.objectives.failover.iter().map(|f| &f.store))
        .chain(c.objectives.consensus.iter().map(|x| &x.store));
    for reference in named {
        findings.known("store", reference, &known);
    }
    let served: Vec<&str> = known.iter().copied().chain(names(c.pipelines.iter().map(|p| &p.name))).collect();
    let windows = (c.objectives.drain.iter().flat_map(|d| &d.unavailable_at_most))
        .chain(c.objectives.consensus.iter().flat_map(|x| &x.unavailable_at_most));
    for window in windows {
        findings.known("store or pipeline", &window.of, &served);
    }
}

fn secrets(findings: &mut Findings<'_>) {
    let c = findings.contract;
    let tls = names(c.prerequisites.certificates.iter().map(|x| &x.secret));
    for reference in c.stores.iter().filter_map(|s| s.client_tls.as_ref()) {
        findings.known("certificate's secret", reference, &tls);
    }
    for reference in c.ingresses.iter().filter_map(|i| i.tls.as_ref()) {
        findings.known("certificate's secret", reference, &tls);
    }
    let secrets = names(c.prerequisites.secrets.iter().map(|x| &x.name));
    let used =
        (c.stores.iter().filter_map(|s| s.password.as_ref())).chain(c.pipelines.iter().filter_map(|p| p.key.as_ref()));
    for used in used {
        findings.known("secret", &used.secret, &secrets);
        if let Some(secret) = c.prerequisites.secrets.iter().find(|s| s.name.value == used.secret.value) {
            let keys: Vec<&str> = secret.values.keys().map(String::as_str).collect();
            findings.known(&format!("key of the secret `{}`", secret.name.value), &used.key, &keys);
        }
    }
}
