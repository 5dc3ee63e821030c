//! Known data in JetStream.

use super::kept::Kept;
use super::take::Subject;
use super::tool::Tool;
use async_trait::async_trait;
use gauntlet_core::Trouble;
use gauntlet_core::contract::store::StoreKind;
use gauntlet_core::kept::Compared;
use gauntlet_core::kept::nats::NatsDump;
use std::time::Duration;

const READS_WITHIN: Duration = Duration::from_secs(90);

pub struct NatsKept<'a> {
    streams: &'a [String],
    keeper: Tool<'a>,
}

impl<'a> NatsKept<'a> {
    pub fn new(subject: Subject<'a>, keeper: Tool<'a>) -> Self {
        let streams = match &subject.store.kind {
            StoreKind::NatsJetstream { streams, .. } => streams.as_slice(),
            _ => &[],
        };
        Self { streams, keeper }
    }

    fn words<'b>(&'b self, word: &'b str, more: &[&'b str]) -> Vec<&'b str> {
        let streams = self.streams.iter().flat_map(|stream| ["--stream", stream.as_str()]);
        ["keep", word].into_iter().chain(streams).chain(more.iter().copied()).collect()
    }
}

#[async_trait]
impl Kept for NatsKept<'_> {
    type Dump = NatsDump;

    async fn fill(&self, round: u32) -> Result<String, Trouble> {
        let filled = self.keeper.tell(&self.words("nats-fill", &["--round", &round.to_string()]), READS_WITHIN).await;
        filled.map_err(|why| Trouble::harness(format!("the streams do not take known data: {why}")))?;
        let dump = self.dump().await.map_err(|why| Trouble::harness(format!("known data cannot be read: {why}")))?;
        if dump.streams.len() < self.streams.len() {
            return Err(Trouble::harness("not every stream could be read"));
        }
        Ok(self.told(&dump))
    }

    async fn dump(&self) -> Result<NatsDump, String> {
        let text = self.keeper.ask(&self.words("nats-dump", &[]), READS_WITHIN).await?;
        serde_json::from_str(&text).map_err(|error| format!("what was read cannot be understood: {error}"))
    }

    fn told(&self, dump: &NatsDump) -> String {
        dump.told()
    }

    fn is_empty(&self, dump: &NatsDump) -> bool {
        dump.ours() == 0 && dump.consumers() == 0
    }

    fn compared(&self, before: NatsDump, now: NatsDump) -> Compared {
        Compared::Nats { before, now }
    }

    async fn wipe(&self) -> Result<(), Trouble> {
        let wiped = self.keeper.tell(&self.words("nats-wipe", &[]), READS_WITHIN).await;
        wiped.map(drop).map_err(|why| Trouble::harness(format!("the streams cannot be deleted: {why}")))
    }

    async fn takes_data(&self) -> Result<String, String> {
        let probed = self.keeper.tell(&["keep", "nats-probe"], READS_WITHIN).await?;
        Ok(probed.trim().to_owned())
    }
}
