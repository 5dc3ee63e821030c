//! Containers under an OCI runtime (`runc`, or `crun` where that is what the host has and can start).
//!
//! - [`api`]: what the kubelet needs of a runtime
//! - [`config`]: what a container is, resolved to the last detail by the kubelet
//! - [`runc`]: containers by a runtime program; every process of a cluster is a child of the cluster's server
//! - `spec`: the OCI runtime specification of a container, a pure function of its configuration
//! - `rootfs`: the host's programs, and nothing else of the host
//! - `exec`: commands inside a container
//! - `log`: what containers print, kept in files with times
//! - `cgroup`: limits, where the host lets us set them

pub mod api;
mod cgroup;
pub mod config;
mod exec;
mod log;
mod rootfs;
pub mod runc;
mod spec;

pub use api::{ContainerRuntime, RuntimeError, Started};
pub use config::{Capabilities, ContainerConfig, Exit, Limits, Mount, MountKind, Processes, User};
pub use runc::Runc;
