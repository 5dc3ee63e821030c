//! The API server of the embedded Kubernetes.
//!
//! - [`catalog`]: which resources there are; [`versions`]: objects in other versions than the stored one
//! - [`registry`]: the write pipeline; [`ApiServer`] implements [`embedded_apimachinery::Api`]
//! - [`admission`]: what is added to and demanded of objects depending on others
//! - [`schema`]: where writes meet the schemas
//! - [`auth`]: who asks, and what they may do; the cluster's certificates
//! - [`server`]: HTTPS; [`discovery`], [`tables`], [`subresources`]: what it answers beyond objects
//!
//! - [`protobuf`]: bodies that Go clients send
//!
//! What is deliberately absent: webhooks, aggregated API servers, answers in protobuf, audit logs.

mod admission;
pub mod auth;
pub mod catalog;
mod discovery;
mod protobuf;
mod registry;
mod schema;
mod server;
mod subresources;
mod tables;
mod versions;

pub use auth::pki::{Identity, Pki, PkiError};
pub use registry::{ApiServer, Options};
pub use server::{Server, serve};
