//! What is known of a run before it begins: what it is about, and what of it need not be hidden.

use crate::plan::Planned;
use crate::run::Options;
use gauntlet_core::contract::model::Promise;
use gauntlet_core::contract::prerequisites::SecretValue;
use gauntlet_core::contract::workload::Image;
use gauntlet_core::event::{Promised, RunHeader};
use gauntlet_core::{Contract, Redactor};
use std::collections::BTreeMap;
use std::path::Path;

/// What is said of the run first.
pub(crate) fn header(options: &Options) -> RunHeader {
    RunHeader {
        run: options.run.clone(),
        seed: options.seed,
        system: options.system.contract.name.value.clone(),
        overlay: options.system.overlay.clone(),
        mutant: options.system.mutant.as_deref().map(mutant),
        provider: options.provider.name().to_owned(),
        versions: options.versions.clone(),
        // How often they will run until something fails, nobody knows.
        scenarios: options
            .scenarios
            .iter()
            .filter(|p| !options.until_fail || p.round == 1)
            .map(Planned::name)
            .collect(),
        again: options.again.run(options.seed),
        document: options.system.contract.document_url.as_ref().map(|url| url.value.clone()),
        promises: promised(&options.system.contract),
        stand_ins: stand_ins(&options.system.contract),
    }
}

/// The name by which `--mutant` knows the folder: that of a scenario and its own.
fn mutant(folder: &Path) -> String {
    let names: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
    names[names.len().saturating_sub(2)..].join("/")
}

/// Knows nothing yet but what need not be hidden.
pub fn redactor(contract: &Contract) -> Redactor {
    Redactor::sparing(public(contract))
}

fn stand_ins(contract: &Contract) -> BTreeMap<String, String> {
    let name = |image: &Image| Some((image.name.value.clone(), image.stand_in()?));
    contract.images.iter().filter_map(name).collect()
}

/// What a Secret may hold and is none: names, without which no report could be read, and values of which the contract says
/// so.
fn public(contract: &Contract) -> Vec<String> {
    let workloads = contract.workloads.iter().flat_map(|workload| {
        let name = Some(workload.name.value.clone());
        [name, workload.service.clone(), workload.container.clone()].into_iter().flatten()
    });
    let namespaces = contract.prerequisites.namespaces.iter().map(|namespace| namespace.value.clone());
    let endpoints = contract.stores.iter().flat_map(|store| &store.endpoints).flat_map(|endpoint| {
        let host = endpoint.value.split(':').next().unwrap_or_default();
        [endpoint.value.clone(), host.to_owned()]
    });
    let values = contract.prerequisites.secrets.iter().flat_map(|secret| secret.values.values());
    let literals = values.filter_map(|value| match value {
        SecretValue::Literal(text) => Some(text.clone()),
        SecretValue::RandomHex(_) => None,
    });
    let all = workloads.chain(namespaces).chain(endpoints).chain(literals);
    all.chain([contract.name.value.clone()]).collect()
}

fn promised(contract: &Contract) -> Vec<Promised> {
    let promised = |promise: &Promise| Promised {
        id: promise.id.value.clone(),
        says: promise.says.clone(),
        reference: promise.reference.clone(),
        at: promise.at.as_ref().map(|at| at.value.clone()),
        quote: promise.quote.clone(),
        guessed: contract.is_guessed(promise.id.as_str()),
    };
    contract.promises.iter().map(promised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_has_the_name_that_the_command_line_knows() {
        for (folder, name) in [
            ("/s/cordum/mutants/redis.failover/no-replicas", "redis.failover/no-replicas"),
            ("/s/cordum/mutants/redis.failover/no-replicas/", "redis.failover/no-replicas"),
            ("mine", "mine"),
        ] {
            assert_eq!(mutant(Path::new(folder)), name);
        }
    }
}
