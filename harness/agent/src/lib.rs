//! What Gauntlet runs inside the cluster: one multi-call program, reached as `gauntlet agent …`.
//!
//! - [`workload`]: clients that use the system and record a history.
//! - [`standin`]: stand-ins for a system's services whose images are not public.
//! - [`cluster_view`]: what the nodes of a Redis Cluster say of it.
//! - [`exporter`]: a subset of `redis_exporter`; [`nats_cli`]: a subset of the `nats` command.
//! - [`probe`]: whether targets can be reached; [`idle`]: staying, so that it can be asked there.
//! - [`node`]: powers over the pods of a node, while somebody renews the lease.
//! - [`keep`]: known data for a backup to save, and what of it is there.
//! - `redis_link`, `nats_link`, `tls`, `http_client`, `http_server`, `lifecycle`, `output`: the edges that these share.

mod cli;
pub mod cluster_view;
pub mod exporter;
mod http_client;
mod http_server;
pub mod idle;
pub mod keep;
mod lifecycle;
pub mod nats_cli;
mod nats_link;
pub mod node;
mod output;
pub mod probe;
mod redis_link;
pub mod standin;
mod tls;
pub mod workload;

pub use cli::{asked, dispatch};
