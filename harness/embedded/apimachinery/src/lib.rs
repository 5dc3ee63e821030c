//! The vocabulary that every part of the embedded Kubernetes shares.
//!
//! - [`resource`]: names of API resources and the built-in ones
//! - [`object`]: objects as JSON values and access to their metadata
//! - [`status`]: Kubernetes `Status` errors with their reasons and codes
//! - [`selector`]: label and field selectors
//! - [`placement`]: which nodes a pod may be on; [`pod_resources`]: what a pod asks for in total;
//!   [`volume_match`]: which volume serves a claim; [`quota_usage`]: what objects count for in quotas
//! - [`quantity`], [`intstr`], [`timestamp`]: the scalar formats of the API
//! - [`store`]: the log of revisions, with watches
//! - [`view`], [`informer`]: what a part of the control plane knows of the cluster, and how it stays current
//! - [`api`]: what controllers, the scheduler and node agents see of the API server
//! - [`kubelet`]: what the API server asks of a node (logs, exec, port-forward)
//! - [`recorder`]: Events worth reading
//!
//! Everything here is synchronous and in memory, except waiting on a [`store::Watcher`].

pub mod api;
pub mod informer;
pub mod intstr;
pub mod kubelet;
pub mod object;
pub mod placement;
pub mod pod_resources;
pub mod quantity;
pub mod quota_usage;
pub mod recorder;
pub mod resource;
pub mod selector;
pub mod status;
pub mod store;
pub mod timestamp;
pub mod view;
pub mod volume_match;

pub use api::{Actor, Api, ApiExt, DeleteOptions, Preconditions, Propagation};
pub use object::{Object, ObjectKey};
pub use resource::GroupResource;
pub use status::{Result, Status};
pub use store::{EventType, Store, WatchEvent, Watcher};
