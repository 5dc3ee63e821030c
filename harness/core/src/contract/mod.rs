//! `system.yaml`: what a deployment promises, as data, with the document that each promise comes from.
//!
//! - [`model`]: the file as a whole, promises and overlays
//! - [`prerequisites`]: what must exist before the overlay is applied
//! - [`workload`]: workloads, their ports, probes, resources and security; images
//! - [`store`]: data stores, backups
//! - [`policy`]: budgets, quorums, quota, autoscaling, ingress, monitoring
//! - [`network`]: who may reach whom, and what follows for one cell of the matrix
//! - [`objective`]: steady state, pipeline, budgets of time and loss
//! - [`check`]: the file against itself: dangling references and contradictions
//! - [`deployment`]: the contract as one overlay deploys it

pub mod check;
pub mod deployment;
pub mod model;
pub mod network;
pub mod objective;
pub mod policy;
pub mod prerequisites;
pub mod store;
pub mod workload;

pub use deployment::Deployment;
pub use model::Contract;

use crate::problem::Problems;
use crate::yaml;

impl Contract {
    /// Parses and checks a contract. `file` is how messages call it.
    ///
    /// # Errors
    /// The first mistake of form, or else every dangling reference and contradiction.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let contract: Self = yaml::parse(file, text).map_err(|problem| Problems(vec![*problem]))?;
        let problems = check::problems(file, &contract);
        if problems.is_empty() { Ok(contract) } else { Err(Problems(problems)) }
    }
}
