//! Known data in a Redis Cluster.

use super::kept::Kept;
use super::take::Subject;
use super::tool::Tool;
use crate::redis::live::Members;
use async_trait::async_trait;
use gauntlet_core::Trouble;
use gauntlet_core::contract::store::StoreKind;
use gauntlet_core::history::SLOTS;
use gauntlet_core::kept::Compared;
use gauntlet_core::kept::redis::RedisDump;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_engine::Lab;
use serde_json::Value;
use std::time::Duration;

/// Our own keys begin with it: nobody else writes any.
const OWN: &str = "gauntlet-kept:";

/// Types that every shard must hold for a comparison to show anything.
const KINDS: usize = 6;

const READS_WITHIN: Duration = Duration::from_secs(90);

pub struct RedisKept<'a> {
    lab: &'a Lab,
    members: Members<'a>,
    keeper: Tool<'a>,
    primaries: usize,
}

impl<'a> RedisKept<'a> {
    /// # Errors
    /// The store cannot be asked.
    pub fn new(lab: &'a Lab, subject: Subject<'a>, keeper: Tool<'a>) -> Result<Self, Trouble> {
        let primaries = match subject.store.kind {
            StoreKind::RedisCluster { primaries, .. } => primaries as usize,
            _ => 1,
        };
        Ok(Self { lab, members: Members::of(lab, subject.store)?, keeper, primaries })
    }

    /// What the scenario's load writes begins with it.
    fn load(&self) -> String {
        format!("gauntlet-{}-load-", self.lab.slug())
    }
}

#[async_trait]
impl Kept for RedisKept<'_> {
    type Dump = RedisDump;

    async fn fill(&self, round: u32) -> Result<String, Trouble> {
        let round = round.to_string();
        let prefix = OWN.trim_end_matches(':');
        let words = ["keep", "redis-fill", "--prefix", prefix, "--round", &round];
        let filled = self.keeper.tell(&words, READS_WITHIN).await;
        filled.map_err(|why| Trouble::harness(format!("the store does not take known data: {why}")))?;
        let dump = self.dump().await.map_err(|why| Trouble::harness(format!("known data cannot be read: {why}")))?;
        let dump = dump.within(OWN);
        let shards = dump.kinds_by_shard();
        let full = shards.values().filter(|kinds| kinds.len() == KINDS).count();
        if full < self.primaries {
            return Err(Trouble::harness(format!("{full} of {} shards hold keys of every type", self.primaries)));
        }
        Ok(format!("{} keys of {KINDS} types on {full} shards", dump.keys.len()))
    }

    async fn dump(&self) -> Result<RedisDump, String> {
        let load = self.load();
        let words = ["keep", "redis-dump", "--prefix", OWN, "--prefix", &load];
        let text = self.keeper.ask(&words, READS_WITHIN).await?;
        serde_json::from_str(&text).map_err(|error| format!("what was read cannot be understood: {error}"))
    }

    fn told(&self, dump: &RedisDump) -> String {
        dump.told()
    }

    fn is_empty(&self, dump: &RedisDump) -> bool {
        dump.keys.is_empty()
    }

    fn compared(&self, before: RedisDump, now: RedisDump) -> Compared {
        Compared::Redis { before, now, own: OWN.to_owned() }
    }

    async fn wipe(&self) -> Result<(), Trouble> {
        let views = self.members.views(None).await;
        let view = views.first().ok_or_else(|| Trouble::harness("no node of the Redis Cluster answers"))?;
        for node in view.primaries() {
            let pod = self.members.pod_of(node);
            let pod = pod.ok_or_else(|| Trouble::harness(format!("no pod has the address {}", node.address)))?;
            let answer = self.members.tell(&pod, &["FLUSHALL"]).await.or_trouble(|| format!("cannot flush {pod}"))?;
            if answer.trim() != "OK" {
                return Err(Trouble::harness(format!("{pod} does not flush: {}", answer.trim())));
            }
        }
        Ok(())
    }

    async fn takes_data(&self) -> Result<String, String> {
        let view = self.keeper.ask(&["redis-cluster-view"], READS_WITHIN).await?;
        let view: Value = serde_json::from_str(&view).map_err(|error| error.to_string())?;
        let slots = view["writable_slots"].as_u64().unwrap_or(0);
        let told = format!("{slots} of {SLOTS} slots take writes");
        if slots == u64::from(SLOTS) { Ok(told) } else { Err(told) }
    }
}
