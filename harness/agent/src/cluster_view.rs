//! `agent redis-cluster-view`: what every node of a Redis Cluster says of the cluster, and what a write to every shard
//! comes to. One JSON document on standard output; a node that does not answer is told of in it and is no error.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use gauntlet_core::history::slot_of;
use redis::Value;
use serde::Serialize;

use crate::redis_link::{RedisSettings, Timeouts};
use crate::standin::env;
use crate::workload::router::{Range, Router};

/// Keys that the probe writes begin with this; they run out after a minute.
const PREFIX: &str = "gauntlet-view";

#[derive(Debug, Serialize)]
pub struct View {
    /// Every configured node, in order.
    pub nodes: Vec<NodeView>,
    /// One entry per range of slots, after the view of the latest epoch.
    pub writes: Vec<WriteView>,
    /// Slots of the ranges that took a write.
    pub writable_slots: u32,
}

#[derive(Debug, Serialize)]
pub struct NodeView {
    pub address: String,
    /// Why nothing is known of it; everything else is then empty.
    pub error: Option<String>,
    /// `master` or `slave`.
    pub role: String,
    /// Of a replica: whether it follows its primary (`up`).
    pub master_link_status: Option<String>,
    pub connected_replicas: u32,
    /// How far its data is, in bytes of the replication stream.
    pub replication_offset: u64,
    /// `ok` or `fail`, in its own eyes.
    pub cluster_state: String,
    pub slots_ok: u32,
    pub known_nodes: u32,
    pub epoch: u64,
    pub node_timeout_ms: Option<u64>,
    /// Its lines of `CLUSTER NODES`, taken apart.
    pub peers: Vec<Peer>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    pub id: String,
    /// `ip:port@bus,hostname` as the node writes it.
    pub address: String,
    pub flags: Vec<String>,
    /// Of a replica: the id of its primary.
    pub primary: Option<String>,
    /// Whether the link to it is up.
    pub connected: bool,
    pub slots: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct WriteView {
    pub from: u16,
    pub to: u16,
    pub owner: String,
    /// Why it did not take a write.
    pub error: Option<String>,
}

/// Asks the nodes that the environment names, each question for at most `timeout`.
///
/// # Errors
/// The environment names no cluster.
pub async fn view(timeout: Duration) -> Result<View> {
    let settings = RedisSettings::from_env(env)?;
    ensure!(settings.is_cluster(), "REDIS_CLUSTER_ADDRESSES is not set; it names the nodes to ask");
    let router = Router::new(settings.clone(), Timeouts { connect: timeout, response: timeout });
    let nodes = join_all(settings.cluster.iter().map(|node| node_view(&router, node))).await;
    // Without anybody's view there are no ranges to write to, which the empty list says.
    if let Err(error) = router.refresh().await {
        tracing::warn!("{error:#}");
    }
    let ranges = router.map().ranges;
    let writes = join_all(ranges.into_iter().map(|range| write_view(&router, range))).await;
    let writable = writes.iter().filter(|write| write.error.is_none());
    let writable_slots = writable.map(|write| u32::from(write.to - write.from) + 1).sum();
    Ok(View { nodes, writes, writable_slots })
}

async fn node_view(router: &Router, address: &str) -> NodeView {
    match ask(router, address).await {
        Ok(view) => view,
        Err(error) => {
            let mut view = read(address, "", "", "", None);
            view.error = Some(format!("{error:#}"));
            view
        }
    }
}

async fn ask(router: &Router, address: &str) -> Result<NodeView> {
    let mut connection = router.connect(address).await?;
    let mut pipeline = redis::pipe();
    pipeline.cmd("INFO").arg("replication").cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("NODES");
    pipeline.cmd("CONFIG").arg("GET").arg("cluster-node-timeout");
    let (replication, info, nodes, config): (String, String, String, BTreeMap<String, u64>) =
        pipeline.query_async(&mut connection).await.with_context(|| format!("{address} does not answer"))?;
    Ok(read(address, &replication, &info, &nodes, config.into_values().next()))
}

fn read(address: &str, replication: &str, info: &str, nodes: &str, node_timeout_ms: Option<u64>) -> NodeView {
    let (replication, info) = (fields(replication), fields(info));
    let text = |map: &BTreeMap<&str, &str>, name: &str| map.get(name).map(|value| (*value).to_owned());
    let role = text(&replication, "role").unwrap_or_default();
    let offset = if role == "slave" { "slave_repl_offset" } else { "master_repl_offset" };
    NodeView {
        address: address.into(),
        error: None,
        master_link_status: text(&replication, "master_link_status"),
        connected_replicas: number(&replication, "connected_slaves"),
        replication_offset: number(&replication, offset),
        cluster_state: text(&info, "cluster_state").unwrap_or_default(),
        slots_ok: number(&info, "cluster_slots_ok"),
        known_nodes: number(&info, "cluster_known_nodes"),
        epoch: number(&info, "cluster_current_epoch"),
        node_timeout_ms,
        peers: nodes.lines().filter_map(peer).collect(),
        role,
    }
}

fn fields(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.trim().split_once(':')).collect()
}

fn number<T: std::str::FromStr + Default>(map: &BTreeMap<&str, &str>, name: &str) -> T {
    map.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// `id address flags primary ping pong epoch link-state slots…`
fn peer(line: &str) -> Option<Peer> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [id, address, flags, primary, _, _, _, link, slots @ ..] = &words[..] else { return None };
    Some(Peer {
        id: (*id).into(),
        address: (*address).into(),
        flags: flags.split(',').map(str::to_owned).collect(),
        primary: (*primary != "-").then(|| (*primary).to_owned()),
        connected: *link == "connected",
        slots: slots.iter().map(|slot| (*slot).to_owned()).collect(),
    })
}

async fn write_view(router: &Router, range: Range) -> WriteView {
    let written = write(router, &range).await;
    let Range { from, to, owner } = range;
    WriteView { from, to, owner, error: written.err().map(|error| format!("{error:#}")) }
}

async fn write(router: &Router, range: &Range) -> Result<()> {
    let key =
        key_within(range).with_context(|| format!("no key was found for slots {} to {}", range.from, range.to))?;
    let mut connection = router.connect(&range.owner).await?;
    let mut set = redis::cmd("SET");
    set.arg(key).arg("1").arg("EX").arg(60);
    let answer: Value = set.query_async(&mut connection).await?;
    ensure!(answer == Value::Okay, "{} did not say OK", range.owner);
    Ok(())
}

/// A narrow range takes some searching: one slot among 16384 is met after as many keys.
fn key_within(range: &Range) -> Option<String> {
    (0..1_000_000)
        .map(|number| format!("{PREFIX}:{number}"))
        .find(|key| (range.from..=range.to).contains(&slot_of(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_is_read_with_its_link_and_its_own_offset() {
        let replication = "# Replication\r\nrole:slave\r\nmaster_link_status:down\r\nslave_repl_offset:42\r\nmaster_repl_offset:7\r\n";
        let view = read("a:1", replication, "cluster_state:fail\r\ncluster_slots_ok:10923\r\n", "", Some(5000));
        assert_eq!((view.role.as_str(), view.master_link_status.as_deref()), ("slave", Some("down")));
        assert_eq!((view.replication_offset, view.slots_ok, view.node_timeout_ms), (42, 10_923, Some(5000)));
        assert_eq!(view.cluster_state, "fail");
    }

    #[test]
    fn peers_are_read_with_flags_and_slots() {
        let line = "07c3 10.0.0.1:6379@16379,redis-1 myself,master - 0 1426238317239 4 connected 0-5460 5462";
        let peer = peer(line).unwrap();
        assert_eq!(peer.flags, ["myself", "master"]);
        assert_eq!((peer.primary, peer.connected), (None, true));
        assert_eq!(peer.slots, ["0-5460", "5462"]);
        assert_eq!(super::peer("nonsense"), None);
    }

    #[test]
    fn every_slot_has_a_key() {
        let range = Range { from: 0, to: 0, owner: String::new() };
        assert_eq!(slot_of(&key_within(&range).unwrap()), 0);
    }
}
