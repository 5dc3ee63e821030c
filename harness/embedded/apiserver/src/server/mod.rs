//! The network side: HTTPS, requests and answers.
//!
//! - `listener`: connections; `router`: who answers a request
//! - `request`, `query`, `negotiate`: what a request asks for
//! - `read`, `write`, `remove`: the verbs on stored objects; `plain`: parts of objects; `body`: what they are sent
//! - `watch`: streams of events
//! - `fields`: field selectors; `show`: objects, tables and bare metadata
//! - `respond`: answers

pub mod body;
mod fields;
mod listener;
pub mod negotiate;
pub mod plain;
pub mod query;
mod read;
pub mod remove;
pub mod request;
pub mod respond;
mod router;
pub mod show;
mod watch;
mod write;

use std::sync::Arc;

use embedded_apimachinery::kubelet::Kubelet;
use tokio_util::sync::CancellationToken;

use crate::auth::User;
use crate::catalog::Resource;
use crate::registry::ApiServer;
use query::Query;
use request::RequestInfo;

pub use listener::serve;

/// Everything that answering needs.
pub struct Server {
    pub api: Arc<ApiServer>,
    pub kubelet: Arc<dyn Kubelet>,
    /// Ends watches and streams when the server stops.
    pub shutdown: CancellationToken,
}

/// One request, authenticated and taken apart.
pub struct Call {
    pub info: RequestInfo,
    pub method: http::Method,
    pub query: Query,
    pub headers: http::HeaderMap,
    pub user: User,
}

impl Call {
    pub fn header(&self, name: http::header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Who writes, for `managedFields`: `fieldManager=`, or the name that the client gives itself.
    pub fn manager(&self) -> String {
        if let Some(manager) = self.query.get("fieldManager").filter(|m| !m.is_empty()) {
            return manager.to_owned();
        }
        let agent = self.header(http::header::USER_AGENT).unwrap_or("unknown");
        agent.split('/').next().unwrap_or(agent).to_owned()
    }

    pub fn actor(&self) -> embedded_apimachinery::Actor {
        embedded_apimachinery::Actor {
            user: self.user.name.clone(),
            groups: self.user.groups.clone(),
            manager: self.manager(),
        }
    }

    /// The namespace to list in; `None` for all.
    pub fn list_namespace(&self, resource: &Resource) -> Option<&str> {
        (resource.namespaced && !self.info.namespace.is_empty()).then_some(self.info.namespace.as_str())
    }

    /// The namespace of a single object; empty for cluster-scoped ones.
    pub fn object_namespace(&self, resource: &Resource) -> &str {
        if resource.namespaced { &self.info.namespace } else { "" }
    }
}
