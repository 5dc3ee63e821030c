//! Which members of a store go down together, and whether everything can be read without them.

use crate::backup::take::Subject;
use crate::redis::live::Members;
use crate::redis::topology::{Node, Topology};
use gauntlet_cluster::ready;
use gauntlet_core::contract::store::StoreKind;
use gauntlet_core::{Seed, Trouble};
use gauntlet_engine::Lab;
use kube::ResourceExt;

/// Members that go down, on top of those that went down before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// As checks call the state.
    pub when: &'static str,
    /// As names of objects have it.
    pub word: &'static str,
    /// In the order in which they go; they come back in the other one.
    pub pods: Vec<String>,
    /// Whether clients can read all data nevertheless.
    pub readable: bool,
    /// Whether those that stay up have a copy of everything between them. Then a backup may be whole even where clients
    /// cannot read: a leader that has lost its quorum still hands out snapshots until it notices.
    pub copied: bool,
}

/// All nodes of a shard, the primary last, so that nobody takes over.
///
/// # Errors
/// The cluster does not tell its shards.
pub async fn of_redis(lab: &Lab, subject: Subject<'_>) -> Result<Vec<Outage>, Trouble> {
    let members = Members::of(lab, subject.store)?;
    let views = members.views(None).await;
    let view = views.first().ok_or_else(|| Trouble::harness("no node of the Redis Cluster answers"))?;
    let pod = |node: &Node| {
        members.pod_of(node).ok_or_else(|| Trouble::harness(format!("no pod has the address {}", node.address)))
    };
    let shards: Result<Vec<Vec<String>>, Trouble> =
        shards(view).into_iter().map(|nodes| nodes.into_iter().map(pod).collect()).collect();
    let first = subject.store.endpoints.first().map_or("", |endpoint| endpoint.split(['.', ':']).next().unwrap_or(""));
    let shards = shards?;
    let pods = victim(&shards, first, lab.seed).ok_or_else(|| Trouble::harness("no shard has a primary"))?;
    let told = |pods: &Vec<String>| pods.join(" with ");
    lab.chosen(&told(&pods), &shards.iter().map(told).collect::<Vec<String>>());
    Ok(vec![Outage { when: "while a shard is unreachable", word: "shard", pods, readable: false, copied: false }])
}

/// The nodes of each shard, its primary last.
fn shards(view: &Topology) -> Vec<Vec<&Node>> {
    let mut primaries: Vec<&Node> = view.primaries().collect();
    primaries.sort_by(|a, b| a.slots.cmp(&b.slots));
    let of = |primary: &Node| view.nodes.iter().filter(|node| node.primary.as_ref() == Some(&primary.id)).collect();
    primaries
        .into_iter()
        .map(|primary| {
            let mut nodes: Vec<&Node> = of(primary);
            nodes.push(primary);
            nodes
        })
        .collect()
}

/// A shard by lot. It is not that of `first`, if there is another: who asks `first` for the way finds nobody there and
/// fails whatever he makes of the rest.
fn victim(shards: &[Vec<String>], first: &str, seed: Seed) -> Option<Vec<String>> {
    let others: Vec<Vec<String>> = shards.iter().filter(|pods| !pods.iter().any(|pod| pod == first)).cloned().collect();
    let from: &[Vec<String>] = if others.is_empty() { shards } else { &others };
    seed.choose("shard", from).cloned()
}

/// One peer, with which the others are still a quorum, and then so many that they are none.
///
/// # Errors
/// There are no peers.
pub fn of_nats(lab: &Lab, subject: Subject<'_>) -> Result<Vec<Outage>, Trouble> {
    let workload = lab.deployment().workload(&subject.store.workload.value);
    let workload = workload.ok_or_else(|| Trouble::harness(format!("{} has no workload", subject.store.name.value)))?;
    let mut pods: Vec<String> =
        ready::pods_of(workload, &lab.view().snapshot()).iter().map(|pod| pod.name_any()).collect();
    pods.sort();
    let everywhere = match &subject.store.kind {
        StoreKind::NatsJetstream { servers, stream_replicas, .. } => stream_replicas >= servers,
        _ => false,
    };
    let outages = peers(&pods, everywhere, lab.seed);
    let chosen: Vec<&str> = outages.iter().flat_map(|outage| &outage.pods).map(String::as_str).collect();
    lab.chosen(&chosen.join(" and "), &pods);
    Ok(outages)
}

/// `copied` says whether every peer has everything.
fn peers(pods: &[String], copied: bool, seed: Seed) -> Vec<Outage> {
    let mut left = pods.to_vec();
    let mut lost = Vec::new();
    while left.len() * 2 > pods.len() {
        let Some(next) = seed.choose(&format!("peer {}", lost.len()), &left).cloned() else { break };
        left.retain(|pod| *pod != next);
        lost.push(next);
    }
    // The last of them is the one too many.
    let Some(last) = lost.pop() else { return vec![] };
    let quorum = Outage { when: "while a peer is down", word: "peer", pods: lost, readable: true, copied: true };
    let none = Outage { when: "without a quorum of peers", word: "quorum", pods: vec![last], readable: false, copied };
    if quorum.pods.is_empty() { vec![none] } else { vec![quorum, none] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_shard_is_lost_with_its_replicas_first() {
        let view =
            "a 10.0.0.1:1@2,r-0 myself,master - 0 0 1 connected 0-5\nb 10.0.0.2:1@2,r-1 slave a 0 0 1 connected\n";
        let view = Topology::parse(view).unwrap();
        let ids: Vec<&str> = shards(&view)[0].iter().map(|node| node.id.as_str()).collect();
        assert_eq!(ids, ["b", "a"]);
    }

    #[test]
    fn the_shard_of_the_first_endpoint_is_lost_only_where_there_is_no_other() {
        let shards = [names(&["r-3", "r-0"]), names(&["r-4", "r-1"]), names(&["r-5", "r-2"])];
        for seed in 0..20 {
            assert_ne!(victim(&shards, "r-3", Seed(seed)).unwrap(), shards[0]);
        }
        assert_eq!(victim(&shards[..1], "r-0", Seed(1)).unwrap(), shards[0]);
        assert_eq!(victim(&[], "r-0", Seed(1)), None);
    }

    #[test]
    fn the_last_peer_that_goes_takes_the_quorum_with_it() {
        for (count, with_quorum, without) in [(1, 0, 1), (2, 0, 1), (3, 1, 1), (5, 2, 1)] {
            let pods: Vec<String> = (0..count).map(|number| format!("n-{number}")).collect();
            let outages = peers(&pods, true, Seed(1));
            let down = |readable| -> Vec<usize> {
                outages.iter().filter(|outage| outage.readable == readable).map(|outage| outage.pods.len()).collect()
            };
            assert_eq!(down(true), if with_quorum == 0 { vec![] } else { vec![with_quorum] }, "{count}");
            assert_eq!(down(false), [without], "{count}");
        }
    }
}
