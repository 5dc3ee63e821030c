//! An embedded Kubernetes cluster: launched, listed, ended and cleaned up after.
//!
//! ```text
//! launcher ── launch() ──▶ supervisor ──▶ server: API, controllers, scheduler, nodes, network
//!    │                        │              (first process of a PID namespace, own mounts, own network)
//!    └──── lifeline ──────────┴── lifeline ──▶ ends with its supervisor, which ends with the launcher
//! ```
//!
//! - [`config`]: what is wanted; [`preflight`]: whether this machine can
//! - [`launch`]: the launcher's side; [`clean`]: ending other processes' clusters, removing dead ones
//! - [`admin`]: the socket for faults of nodes and, in [`network_faults`], of the network
//! - [`state`]: the state directory
//! - `supervisor`, `server`: the processes; `protocol`: what they say to the launcher
//! - `compose`: the parts put together; `nodes`: the nodes among them; `power`: stopping and freezing them; `bootstrap`: the objects every cluster has
//! - [`sweep`]: finding and removing what a cluster made
//!
//! Nothing here knows of the harness: a cluster is reached by its kubeconfig and its admin socket.

use std::process::ExitCode;

pub mod admin;
mod bootstrap;

pub mod clean;
mod compose;
pub mod config;
mod error;
pub mod launch;
pub mod network_faults;
mod nodes;
mod power;
pub mod preflight;
mod protocol;
mod server;
pub mod state;
mod supervisor;
pub mod sweep;

pub use clean::{clean, clean_dead, stop};
pub use embedded_node::image::{ImageRecipe, RecipeFile};

pub use config::{Capacity, Config, NodeConfig, default_state_dir};
pub use error::{Error, Result};
pub use launch::{Handle, launch};
pub use state::{ClusterInfo, ClusterState, ClusterStatus, OutsideHost, list};

/// Runs this process as a cluster's server if it was started as one; returns otherwise.
///
/// Programs that launch clusters call this first thing in `main`, before they start any thread: the server is the same
/// program, started again with a hidden subcommand.
pub fn dispatch() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(protocol::SUBCOMMAND) {
        return;
    }
    let code = match arguments.next().as_deref() {
        Some(protocol::INSIDE) => server::main(),
        Some(other) => {
            eprintln!("unexpected argument {other:?}");
            ExitCode::from(2)
        }
        None => supervisor::main(),
    };
    // There is nothing to unwind: main has done nothing yet.
    std::process::exit(i32::from(code != ExitCode::SUCCESS))
}
