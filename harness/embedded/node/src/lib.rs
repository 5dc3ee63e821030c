//! The nodes of an embedded cluster: pods as real processes under an OCI runtime.
//!
//! - [`image`]: image recipes, which say what an image name stands for on this machine
//! - [`probe`]: whether containers have started, are ready, are alive
//! - [`registration`]: Node objects and their signs of life
//! - [`runtime`]: containers under `runc`: root file systems, processes, commands inside them, logs
//! - [`agent`]: the kubelet: pods from watches to status, probes, volumes, environment

pub mod agent;
pub mod image;
pub mod probe;
pub mod registration;
pub mod runtime;
