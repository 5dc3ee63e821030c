//! The contract as one overlay deploys it: what the overlay does not have is left out, what it overrides is resolved.

use super::model::{Contract, Only, Overlay, Promise, Ref};
use super::objective::{Consensus, Failover, Pipeline};
use super::policy::{Budget, Quorum};
use super::prerequisites::{Certificate, Claim, Secret};
use super::store::{Backup, Store};
use super::workload::Workload;

/// A contract seen through one of its overlays.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'a> {
    pub contract: &'a Contract,
    pub overlay_name: &'a str,
    pub overlay: &'a Overlay,
}

fn exists(only: &Only, overlay: &str) -> bool {
    only.is_empty() || only.iter().any(|name| name.value == overlay)
}

impl Contract {
    /// The overlay of that name, or the default one.
    pub fn deployment<'a>(&'a self, overlay: Option<&str>) -> Option<Deployment<'a>> {
        let (name, overlay) = match overlay {
            Some(name) => self.overlays.get_key_value(name)?,
            None => self.overlays.iter().find(|(_, overlay)| overlay.default)?,
        };
        Some(Deployment { contract: self, overlay_name: name, overlay })
    }

    /// Whether a promise counts for nothing yet, since it or the figures that it is held to are only guessed.
    pub fn is_guessed(&self, promise: &str) -> bool {
        let objectives = &self.objectives;
        let figures = (objectives.drain.iter().map(|x| (&x.promise, x.guessed)))
            .chain(objectives.failover.iter().map(|x| (&x.promise, x.guessed)))
            .chain(objectives.consensus.iter().map(|x| (&x.promise, x.guessed)))
            .chain(self.network.iter().map(|x| (&x.promise, x.guessed)));
        let mut figures = figures.filter(|(_, guessed)| *guessed);
        self.promise(promise).is_some_and(|promise| promise.guessed) || figures.any(|(id, _)| id.value == promise)
    }

    /// Ids of the promises that nobody has confirmed.
    pub fn guesses(&self) -> impl Iterator<Item = &str> {
        self.promises.iter().map(|promise| promise.id.value.as_str()).filter(|id| self.is_guessed(id))
    }

    /// Whether a program has proposed everything in here and nobody has confirmed any of it.
    pub fn is_all_guessed(&self) -> bool {
        !self.promises.is_empty() && self.guesses().count() == self.promises.len()
    }

    pub fn promise(&self, id: &str) -> Option<&Promise> {
        self.promises.iter().find(|promise| promise.id.value == id)
    }
}

macro_rules! in_overlay {
    ($($(#[$doc:meta])* $name:ident: $field:expr => $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(self) -> impl Iterator<Item = &'a $type> {
            let get: fn(&'a Contract) -> &'a [$type] = $field;
            get(self.contract).iter().filter(move |item| exists(&item.overlays, self.overlay_name))
        }
    )*};
}

impl<'a> Deployment<'a> {
    in_overlay! {
        workloads: |c| &c.workloads => Workload;
        stores: |c| &c.stores => Store;
        backups: |c| &c.backups => Backup;
        quorums: |c| &c.quorums => Quorum;
        budgets: |c| &c.budgets => Budget;
        pipelines: |c| &c.pipelines => Pipeline;
        certificates: |c| &c.prerequisites.certificates => Certificate;
        secrets: |c| &c.prerequisites.secrets => Secret;
        claims: |c| &c.prerequisites.claims => Claim;
    }

    pub fn workload(self, name: &str) -> Option<&'a Workload> {
        self.workloads().find(|workload| workload.name.value == name)
    }

    pub fn store(self, name: &str) -> Option<&'a Store> {
        self.stores().find(|store| store.name.value == name)
    }

    /// Replicas of a workload in this overlay.
    pub fn replicas(self, workload: &Workload) -> u32 {
        workload.replicas_in.get(self.overlay_name).copied().unwrap_or(workload.replicas.value)
    }

    /// How the store of that name survives the loss of a primary, where it promises to.
    pub fn failover(self, store: &str) -> Option<&'a Failover> {
        self.contract.objectives.failover.iter().find(|failover| failover.store.value == store)
    }

    /// How the store of that name survives the loss of members that vote, where it promises to.
    pub fn consensus(self, store: &str) -> Option<&'a Consensus> {
        self.contract.objectives.consensus.iter().find(|consensus| consensus.store.value == store)
    }

    /// Where the document makes the promise; the id itself if it were unknown, which parsing rules out.
    pub fn reference(self, promise: &Ref) -> &'a str {
        self.contract.promise(&promise.value).map_or("", |promise| &promise.reference)
    }
}
