//! `backup.faulty`: backups are taken while parts of their store are down and on a volume too small for them, and one is
//! restored after half of an artefact went missing. Nothing incomplete may report success, or leave what looks like a
//! backup.
//!
//! - [`outage`]: which members go down, and whether all data can be read without them
//! - [`room`]: a backup on a volume of its own, as large as we like
//! - [`judge`]: what a job came to, and what it left
//! - [`lane`]: one backup through all of it

pub mod judge;
pub mod lane;
pub mod outage;
pub mod room;

use super::nats::NatsKept;
use super::redis::RedisKept;
use super::take::Subject;
use super::tool::Tool;
use super::trip::{is_nats, is_redis};
use crate::workload::Client;
use async_trait::async_trait;
use futures::future::try_join_all;
use gauntlet_chaos::hold::HoldContainer;
use gauntlet_core::contract::Deployment;
use gauntlet_core::event::Phase;
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::span::Span;
use gauntlet_core::{Capability, Info, Trouble};
use gauntlet_engine::{Lab, Scenario};
use lane::{Lane, Trial};

pub struct BackupFaulty;

#[async_trait]
impl Scenario for BackupFaulty {
    fn info(&self) -> Info {
        Info {
            name: "backup.faulty",
            summary: "members down, a full volume, half an artefact: nothing incomplete reports success",
            needs: &[HoldContainer::NEEDS, Capability::RestoreData],
            // Stores are emptied, and a restore that goes wrong leaves them so.
            cluster: ClusterNeed::Own,
            deadline: Span::from_secs(1500),
        }
    }

    fn applies(&self, deployment: Deployment<'_>) -> Result<(), String> {
        match subjects(deployment).next() {
            None => Err("this overlay has no backup of a Redis Cluster or of JetStream that can be asked".to_owned()),
            Some(_) => Ok(()),
        }
    }

    async fn run(&self, lab: &Lab) -> Result<(), Trouble> {
        let mut lanes: Vec<Box<dyn Trial + '_>> = Vec::new();
        for subject in subjects(lab.deployment()) {
            lanes.push(lane(lab, subject).await?);
        }
        // Backups of different stores have nothing to do with each other, so they share the time that retries take.
        lab.phase(Phase::Control);
        try_join_all(lanes.iter_mut().map(|lane| lane.control())).await?;
        lab.phase(Phase::Inject);
        try_join_all(lanes.iter().map(|lane| lane.disturb())).await?;
        Ok(())
    }
}

/// The backups whose stores we can fill, read and take apart.
fn subjects(deployment: Deployment<'_>) -> impl Iterator<Item = Subject<'_>> {
    let can_be_asked = |subject: &Subject<'_>| {
        let kind = &subject.store.kind;
        is_nats(kind) || (is_redis(kind) && !subject.store.cli.is_empty())
    };
    Subject::all(deployment).filter(can_be_asked)
}

async fn lane<'a>(lab: &'a Lab, subject: Subject<'a>) -> Result<Box<dyn Trial + 'a>, Trouble> {
    if is_redis(&subject.store.kind) {
        let keeper = Tool::client(lab, &Client::Redis(subject.store)).await?;
        let outages = outage::of_redis(lab, subject).await?;
        return Ok(Box::new(Lane::new(lab, subject, RedisKept::new(lab, subject, keeper)?, outages)));
    }
    let keeper = Tool::client(lab, &Client::Nats(subject.store)).await?;
    let outages = outage::of_nats(lab, subject)?;
    Ok(Box::new(Lane::new(lab, subject, NatsKept::new(subject, keeper), outages)))
}
