//! Names that a cluster would refuse: empty ones, and those of objects and pods that are not spelled as it wants them.

use super::Findings;
use crate::dns;
use crate::yaml::Located;

pub(super) fn check(findings: &mut Findings<'_>) {
    not_empty(findings);
    spelled_as_kubernetes_does(findings);
}

fn not_empty(findings: &mut Findings<'_>) {
    let c = findings.contract;
    let p = &c.prerequisites;
    let names = (std::iter::once(&c.name))
        .chain(c.promises.iter().map(|x| &x.id))
        .chain(&p.namespaces)
        .chain(p.authorities.iter().map(|x| &x.name))
        .chain(p.certificates.iter().map(|x| &x.secret))
        .chain(p.secrets.iter().map(|x| &x.name))
        .chain(p.claims.iter().map(|x| &x.name))
        .chain(c.images.iter().map(|x| &x.name))
        .chain(c.security.iter().map(|x| &x.name))
        .chain(c.workloads.iter().map(|x| &x.name))
        .chain(c.stores.iter().map(|x| &x.name))
        .chain(c.budgets.iter().map(|x| &x.name))
        .chain(c.network.iter().flat_map(|x| &x.peers).map(|x| &x.name))
        .chain(c.backups.iter().map(|x| &x.name))
        .chain(c.quotas.iter().map(|x| &x.name))
        .chain(c.ingresses.iter().map(|x| &x.name))
        .chain(c.pipelines.iter().map(|x| &x.name));
    for name in names.filter(|name| name.value.is_empty()) {
        findings.add(name, "a name is empty");
    }
}

/// Pods of ours are called after peers and workloads, so one bad name would have a whole scenario refused.
fn spelled_as_kubernetes_does(findings: &mut Findings<'_>) {
    let c = findings.contract;
    let labels = (c.prerequisites.namespaces.iter().map(|name| ("namespace", name)))
        .chain(c.network.iter().flat_map(|x| &x.peers).map(|peer| ("peer", &peer.name)));
    for (what, name) in labels.filter(|(_, name)| !dns::is_label(&name.value)) {
        refuse(findings, what, name, "lower-case letters, digits and inner dashes, 63 at the most");
    }
    for name in c.workloads.iter().map(|workload| &workload.name).filter(|name| !dns::is_subdomain(&name.value)) {
        refuse(findings, "workload", name, "lower-case letters, digits, inner dashes and dots");
    }
}

fn refuse(findings: &mut Findings<'_>, what: &str, name: &Located<String>, spelling: &str) {
    if !name.value.is_empty() {
        let message = format!("Kubernetes takes no {what} that is called {:?}", name.value);
        findings.add_hinted(name, message, format!("such a name has {spelling}"));
    }
}
