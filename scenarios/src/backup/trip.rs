//! `backup.redis` and `backup.nats`: known data is backed up as documented while clients work, then lost, once by
//! deleting it through the store and once with the volumes, and restored as documented. Everything that was acknowledged
//! before the backup began must be back.

use super::kept::Kept;
use super::nats::NatsKept;
use super::redis::RedisKept;
use super::round::{Loss, Round};
use super::take::{self, Subject};
use super::tool::Tool;
use crate::workload::Client;
use async_trait::async_trait;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::store::StoreKind;
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::{Capability, Info, Outcome, Trouble};
use gauntlet_engine::{Lab, Scenario};

pub struct BackupRedis;

/// A restore that fails leaves the store as it is, so nobody else may use the cluster after.
const CLUSTER: ClusterNeed = ClusterNeed::Own;

pub fn is_redis(kind: &StoreKind) -> bool {
    matches!(kind, StoreKind::RedisCluster { .. })
}

#[async_trait]
impl Scenario for BackupRedis {
    fn info(&self) -> Info {
        Info {
            name: "backup.redis",
            summary: "every shard is backed up under load, lost, and restored: keys have type, value and expiry again",
            needs: &[Capability::RestoreData],
            cluster: CLUSTER,
            deadline: Span::from_secs(1500),
        }
    }

    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String> {
        match Subject::find(deployment, is_redis) {
            None => Err("this overlay has no backup of a Redis Cluster".to_owned()),
            Some(subject) if subject.store.cli.is_empty() => {
                Err(format!("the contract does not say how to ask {} (`cli`)", subject.store.name.value))
            }
            Some(_) => Ok(()),
        }
    }

    async fn run(&self, lab: &Lab) -> Result<(), Trouble> {
        let subject = Subject::find(lab.deployment(), is_redis).ok_or_else(|| Trouble::harness("no backup"))?;
        let keeper = Tool::client(lab, &Client::Redis(subject.store)).await?;
        there_and_back(lab, subject, &RedisKept::new(lab, subject, keeper)?).await
    }
}

pub struct BackupNats;

pub fn is_nats(kind: &StoreKind) -> bool {
    matches!(kind, StoreKind::NatsJetstream { .. })
}

#[async_trait]
impl Scenario for BackupNats {
    fn info(&self) -> Info {
        Info {
            name: "backup.nats",
            summary: "every stream is backed up under load, lost, and restored: messages and consumers are as they were",
            needs: &[Capability::RestoreData],
            cluster: CLUSTER,
            deadline: Span::from_secs(1500),
        }
    }

    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String> {
        match Subject::find(deployment, is_nats) {
            None => Err("this overlay has no backup of JetStream".to_owned()),
            Some(_) => Ok(()),
        }
    }

    async fn run(&self, lab: &Lab) -> Result<(), Trouble> {
        let subject = Subject::find(lab.deployment(), is_nats).ok_or_else(|| Trouble::harness("no backup"))?;
        let keeper = Tool::client(lab, &Client::Nats(subject.store)).await?;
        there_and_back(lab, subject, &NatsKept::new(subject, keeper)).await
    }
}

/// Both ways of losing the data; the second is left out when the first could not be mended.
async fn there_and_back<K: Kept>(lab: &Lab, subject: Subject<'_>, kept: &K) -> Result<(), Trouble> {
    let cron_job = subject.cron_job(lab).await?;
    for (name, outcome, detail) in take::compare(subject.backup, &cron_job) {
        match outcome {
            Outcome::Broken => {
                let told = format!("of {} it is not so that {name}: {detail}", subject.workload.name.value);
                lab.broken(subject.promise(), name, detail, told);
            }
            outcome => lab.check(subject.promise(), name, outcome, detail),
        }
    }
    for (number, loss) in [(1, Loss::Wiped), (2, Loss::Volumes)] {
        if !(Round { lab, subject, kept, number, loss }).run().await? {
            break;
        }
    }
    Ok(())
}
