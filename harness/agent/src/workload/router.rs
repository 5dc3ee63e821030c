//! Who owns which slot of a Redis Cluster, kept current while nodes come and go.
//!
//! The workload routes by itself, over connections of the redis crate, because it must know of every attempt whether
//! it reached a node, and must have `WAIT` on the connection that wrote: a cluster client that retries and redirects
//! on its own tells neither.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Value};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::redis_link::{RedisSettings, Timeouts};

/// How long to wait, once one node has answered, for others that may know better.
const STRAGGLERS: Duration = Duration::from_millis(300);

/// Slots `from..=to` and the node that owns them, as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub from: u16,
    pub to: u16,
    pub owner: String,
}

/// A view of who owns what; a later configuration has the greater epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotMap {
    pub epoch: u64,
    pub ranges: Vec<Range>,
}

impl SlotMap {
    pub fn owner(&self, slot: u16) -> Option<&str> {
        self.ranges.iter().find(|range| (range.from..=range.to).contains(&slot)).map(|range| range.owner.as_str())
    }

    /// The slots of each owner.
    pub fn shards(&self) -> BTreeMap<&str, Vec<(u16, u16)>> {
        let mut shards: BTreeMap<&str, Vec<(u16, u16)>> = BTreeMap::new();
        for range in &self.ranges {
            shards.entry(&range.owner).or_default().push((range.from, range.to));
        }
        shards
    }

    pub fn covered(&self) -> usize {
        self.ranges.iter().map(|range| usize::from(range.to - range.from) + 1).sum()
    }
}

/// Routes by slot. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    settings: RedisSettings,
    timeouts: Timeouts,
    map: Arc<Mutex<SlotMap>>,
    stale: Arc<Notify>,
    /// Connections for asking who owns what: a handshake with every node at every look would weigh on them.
    asking: Arc<Mutex<HashMap<String, MultiplexedConnection>>>,
}

impl Router {
    pub fn new(settings: RedisSettings, timeouts: Timeouts) -> Self {
        Self { settings, timeouts, map: Arc::default(), stale: Arc::default(), asking: Arc::default() }
    }

    pub fn map(&self) -> SlotMap {
        self.map.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn owner(&self, slot: u16) -> Option<String> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner).owner(slot).map(str::to_owned)
    }

    /// Somebody saw that the map is out of date.
    pub fn mark_stale(&self) {
        self.stale.notify_one();
    }

    /// Asks every node that is known and takes the view of the latest epoch.
    ///
    /// # Errors
    /// Nobody answers with a view that has owners.
    pub async fn refresh(&self) -> Result<()> {
        if !self.settings.is_cluster() {
            let range = Range { from: 0, to: u16::MAX, owner: single_address(&self.settings.url)? };
            *self.map.lock().unwrap_or_else(PoisonError::into_inner) = SlotMap { epoch: 0, ranges: vec![range] };
            return Ok(());
        }
        let mut nodes = self.settings.cluster.clone();
        nodes.extend(self.map().ranges.into_iter().map(|range| range.owner));
        nodes.sort();
        nodes.dedup();
        let mut asked: FuturesUnordered<_> = nodes.iter().map(|node| self.ask(node)).collect();
        let mut last = String::from("no node is known");
        let mut best: Option<SlotMap> = None;
        let mut until = Instant::now() + self.timeouts.connect + self.timeouts.response;
        while let Ok(Some(answer)) = tokio::time::timeout_at(until, asked.next()).await {
            match answer {
                Ok(map) => {
                    if best.is_none() {
                        until = until.min(Instant::now() + STRAGGLERS);
                    }
                    if best.as_ref().is_none_or(|best| rank(best) < rank(&map)) {
                        best = Some(map);
                    }
                }
                Err(error) => last = format!("{error:#}"),
            }
        }
        let Some(map) = best else { bail!("no node tells who owns the slots; last seen: {last}") };
        let mut current = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        if rank(&map) >= (current.epoch, 0) {
            *current = map;
        }
        Ok(())
    }

    /// Keeps the map current until `stop`.
    pub async fn follow(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.stale.notified() => {}
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.refresh().await {
                tracing::warn!("{error:#}");
            }
            // Many workers see the same thing at once; one look serves them all.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A connection of one's own to a node.
    ///
    /// # Errors
    /// It cannot be had in time; nothing was sent.
    pub async fn connect(&self, node: &str) -> Result<MultiplexedConnection> {
        let client = self.settings.client(self.settings.node(node)?)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeouts.connect))
            .set_response_timeout(Some(self.timeouts.response));
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        // The crate's own timeout covers TCP only.
        match tokio::time::timeout(self.timeouts.connect, connecting).await {
            Ok(connection) => connection.with_context(|| format!("{node} cannot be connected to")),
            Err(_) => bail!("{node} cannot be connected to within {:?}", self.timeouts.connect),
        }
    }

    async fn ask(&self, node: &str) -> Result<SlotMap> {
        let known = self.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
        let mut connection = match known {
            Some(connection) => connection,
            None => self.connect(node).await?,
        };
        let mut pipeline = redis::pipe();
        pipeline.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("INFO");
        let (slots, info): (Value, String) =
            pipeline.query_async(&mut connection).await.with_context(|| format!("{node} does not tell its slots"))?;
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned(), connection);
        let host = node.rsplit_once(':').map_or(node, |(host, _)| host);
        Ok(SlotMap { epoch: epoch(&info), ranges: ranges(&slots, host)? })
    }
}

/// Later epochs are better; among views of one epoch those that cover more.
fn rank(map: &SlotMap) -> (u64, usize) {
    (map.epoch, map.covered())
}

fn epoch(info: &str) -> u64 {
    let line = info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:"));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn single_address(url: &str) -> Result<String> {
    match url.into_connection_info().context("the redis address cannot be understood")?.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Ok(format!("{host}:{port}")),
        other => bail!("{other} is not reached over TCP"),
    }
}

/// Reads the answer to `CLUSTER SLOTS`. A node that announces no endpoint is where it was asked.
pub fn ranges(slots: &Value, asked: &str) -> Result<Vec<Range>> {
    let Value::Array(entries) = slots else { bail!("CLUSTER SLOTS gave no list") };
    entries.iter().map(|entry| range(entry, asked)).collect()
}

fn range(entry: &Value, asked: &str) -> Result<Range> {
    let Value::Array(parts) = entry else { bail!("CLUSTER SLOTS gave an entry that is no list") };
    ensure!(parts.len() >= 3, "CLUSTER SLOTS gave an entry without owner");
    let Value::Array(owner) = &parts[2] else { bail!("CLUSTER SLOTS gave an owner that is no list") };
    ensure!(owner.len() >= 2, "CLUSTER SLOTS gave an owner without port");
    let host = Option::<String>::from_redis_value_ref(&owner[0])?.filter(|host| !host.is_empty() && host != "?");
    let port = u16::from_redis_value_ref(&owner[1])?;
    Ok(Range {
        from: u16::from_redis_value_ref(&parts[0])?,
        to: u16::from_redis_value_ref(&parts[1])?,
        owner: format!("{}:{port}", host.as_deref().unwrap_or(asked)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from: i64, to: i64, host: Value, port: i64) -> Value {
        let id = Value::BulkString(b"id".to_vec());
        Value::Array(vec![Value::Int(from), Value::Int(to), Value::Array(vec![host, Value::Int(port), id])])
    }

    #[test]
    fn owners_come_by_the_endpoint_they_announce_or_where_they_were_asked() {
        let slots = Value::Array(vec![
            entry(0, 99, Value::BulkString(b"a.svc".to_vec()), 1),
            entry(100, 16_383, Value::Nil, 2),
        ]);
        let map = SlotMap { epoch: 1, ranges: ranges(&slots, "asked").unwrap() };
        assert_eq!(map.owner(99), Some("a.svc:1"));
        assert_eq!(map.owner(100), Some("asked:2"));
        assert_eq!(map.covered(), 16_384);
        assert_eq!(map.shards()["a.svc:1"], [(0, 99)]);
    }

    #[test]
    fn view_of_the_later_epoch_ranks_above_the_fuller_one() {
        let full = SlotMap { epoch: 1, ranges: vec![Range { from: 0, to: 16_383, owner: "a:1".into() }] };
        let late = SlotMap { epoch: epoch("x:1\r\ncluster_current_epoch:7\r\n"), ranges: vec![] };
        assert!(rank(&late) > rank(&full));
    }
}
