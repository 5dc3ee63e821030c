//! How to reach Redis: one server or a cluster, with or without TLS.

use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisFuture, RedisResult, Value,
};

use crate::tls::TlsFiles;

/// A password that shows in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where Redis is and how to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    pub url: String,
    /// `host:port` of cluster nodes; empty for a single server.
    pub cluster: Vec<String>,
    pub password: Option<Secret>,
    pub tls: Option<TlsFiles>,
}

/// How long connecting, and waiting for one answer, may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    pub response: Duration,
}

impl RedisSettings {
    /// From `REDIS_URL`, `REDIS_CLUSTER_ADDRESSES`, `REDIS_PASSWORD` and `REDIS_TLS_*`, as `get` gives them.
    ///
    /// # Errors
    /// As [`TlsFiles::from_env`].
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let cluster = get("REDIS_CLUSTER_ADDRESSES").unwrap_or_default();
        Ok(Self {
            url: get("REDIS_URL").unwrap_or_else(|| "redis://redis:6379".into()),
            cluster: cluster.split(',').map(str::trim).filter(|node| !node.is_empty()).map(str::to_owned).collect(),
            password: get("REDIS_PASSWORD").filter(|password| !password.is_empty()).map(Secret),
            tls: TlsFiles::from_env("REDIS", get)?,
        })
    }

    pub fn is_cluster(&self) -> bool {
        !self.cluster.is_empty()
    }

    fn uses_tls(&self) -> bool {
        self.tls.is_some() || self.url.starts_with("rediss://")
    }

    /// What the redis crate needs to reach one node, named as `host:port`.
    ///
    /// # Errors
    /// An address that is none.
    pub fn node(&self, address: &str) -> Result<ConnectionInfo> {
        let scheme = if self.uses_tls() { "rediss" } else { "redis" };
        self.with_password(&format!("{scheme}://{address}"))
    }

    /// What the redis crate needs to reach the single server that the URL names.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn server(&self) -> Result<ConnectionInfo> {
        self.with_password(&self.url)
    }

    fn with_password(&self, url: &str) -> Result<ConnectionInfo> {
        // A URL may carry a password, so errors do not quote it.
        let info = url.into_connection_info().context("the redis address cannot be understood")?;
        let Some(Secret(password)) = &self.password else { return Ok(info) };
        let redis = info.redis_settings().clone().set_password(password);
        Ok(info.set_redis_settings(redis))
    }

    /// A client for one node. Opens no connection yet.
    ///
    /// # Errors
    /// An address that is none, or unusable TLS files.
    pub fn client(&self, info: ConnectionInfo) -> Result<Client> {
        let wants_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let client = match (&self.tls, wants_tls) {
            (Some(tls), true) => Client::build_with_tls(info, tls.for_redis()?),
            _ => Client::open(info),
        };
        client.context("the redis client could not be set up")
    }

    /// Connects to the cluster, or to the single server.
    ///
    /// # Errors
    /// Bad settings, or nobody there who answers.
    pub async fn connect(&self, timeouts: Timeouts) -> Result<Link> {
        if !self.is_cluster() {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(timeouts.connect))
                .set_response_timeout(Some(timeouts.response))
                .set_max_delay(Duration::from_millis(500));
            let client = self.client(self.server()?)?;
            let manager = ConnectionManager::new_with_config(client, config).await.context("redis does not answer")?;
            return Ok(Link::Single(manager));
        }
        let nodes = self.cluster.iter().map(|node| self.node(node)).collect::<Result<Vec<_>>>()?;
        let mut builder = ClusterClientBuilder::new(nodes)
            .connection_timeout(timeouts.connect)
            .response_timeout(timeouts.response)
            .overall_response_timeout(Some(timeouts.response * 2))
            .retries(4)
            .max_retry_wait(500);
        if let Some(tls) = &self.tls {
            builder = builder.certs(tls.for_redis()?);
        }
        let client = builder.build().context("the redis cluster client could not be set up")?;
        Ok(Link::Cluster(client.get_async_connection().await.context("the redis cluster does not answer")?))
    }
}

/// A connection that heals itself, to one server or to a cluster.
#[derive(Clone)]
pub enum Link {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Link {
    /// Sends `commands`, all about `key`, back to back on one connection to the node that owns it.
    ///
    /// # Errors
    /// The first error of transport or of a command.
    pub async fn on_owner_of(&mut self, key: &str, pipeline: Pipeline) -> RedisResult<Vec<Value>> {
        let count = pipeline.len();
        match self {
            Self::Single(manager) => manager.req_packed_commands(&pipeline, 0, count).await,
            Self::Cluster(cluster) => {
                let route = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                cluster.route_pipeline(pipeline, 0, count, route).await
            }
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(manager) => manager.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(manager) => manager.req_packed_commands(cmd, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> RedisSettings {
        let get = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        RedisSettings::from_env(get).unwrap()
    }

    #[test]
    fn nothing_set_is_the_single_server_of_the_base_overlay() {
        let settings = settings(&[]);
        assert_eq!(settings.url, "redis://redis:6379");
        assert!(!settings.is_cluster() && !settings.uses_tls());
    }

    #[test]
    fn cluster_nodes_take_tls_from_the_url_or_the_ca() {
        let nodes = ("REDIS_CLUSTER_ADDRESSES", "a:1, b:2,");
        for tls in [("REDIS_URL", "rediss://redis:6379"), ("REDIS_TLS_CA", "/ca.crt")] {
            let settings = settings(&[nodes, tls]);
            assert_eq!(settings.cluster, ["a:1", "b:2"]);
            assert!(matches!(settings.node("a:1").unwrap().addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
        }
    }

    #[test]
    fn password_does_not_show() {
        let settings = settings(&[("REDIS_PASSWORD", "swordfish")]);
        assert!(!format!("{settings:?}").contains("swordfish"));
    }
}
