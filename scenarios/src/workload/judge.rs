//! What is asked of the histories of a fleet. The questions and their answers are `gauntlet-core`'s, so that a saved run
//! can be judged again by the same code.

use super::clients::Client;
use super::environment::CONSUMER;
use super::fleet::Histories;
use gauntlet_core::Evidence;
use gauntlet_core::checkers::nats;
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::store::{Store, StoreKind};
use gauntlet_core::judgement::{self, Consumer, Control, Gap, Jobs, Messages, Question, Refusals, Telling, Writes};
use gauntlet_engine::Lab;
use std::time::Duration;

pub use gauntlet_core::judgement::Allowance;

/// Asks about everything that clients wrote, under the promises of what they used.
pub fn judge_all(lab: &Lab, histories: &Histories, allowance: Allowance, loss_promise: &str) {
    let deployment = lab.deployment();
    for client in Client::all(deployment) {
        let name = client.name();
        match client {
            Client::Redis(store) => {
                let (client, promise) = (name.to_owned(), loss_promise.to_owned());
                let asked = Writes { client, promise, has_replicas: has_replicas(store), allowance };
                histories.ask(lab, Question::Writes(asked));
            }
            Client::Nats(store) | Client::NatsAt(store, _) => {
                let promise = store.promise.as_ref().map_or(loss_promise, |promise| promise.as_str());
                judge_nats(lab, histories, name, promise, "acknowledged messages are there once and in order");
            }
            Client::Jobs(_) => {
                let objective = deployment.contract.objectives.jobs.as_ref();
                let promise = objective.map_or(loss_promise, |jobs| jobs.promise.as_str()).to_owned();
                let check = "every accepted job ended once".to_owned();
                histories.ask(lab, Question::Jobs(Jobs { client: name.to_owned(), promise, check }));
            }
        }
    }
}

/// Whether replicas are promised.
fn has_replicas(store: &Store) -> bool {
    matches!(store.kind, StoreKind::RedisCluster { replicas_per_primary, .. } if replicas_per_primary > 0)
}

/// Asks what became of everything that a client of NATS published.
pub fn judge_nats(lab: &Lab, histories: &Histories, client: &str, promise: &str, check: &str) {
    let asked = Messages {
        client: client.to_owned(),
        stream: histories.stream.clone(),
        promise: promise.to_owned(),
        check: check.to_owned(),
    };
    histories.ask(lab, Question::Messages(asked));
}

/// Asks what became of a fleet's durable consumer. What was confirmed in `excused` times may have been undone.
pub fn judge_consumer(lab: &Lab, histories: &Histories, store: &str, excused: &[nats::Span], promise: &str) {
    let asked = Consumer {
        client: store.to_owned(),
        stream: histories.stream.clone(),
        consumer: CONSUMER.to_owned(),
        excused: excused.to_vec(),
        promise: promise.to_owned(),
    };
    histories.ask(lab, Question::Consumer(asked));
}

/// Asks what became of a client's publishes where there was no quorum, for so long, and in people's words why.
pub fn judge_refusals(
    lab: &Lab,
    histories: &Histories,
    client: &str,
    promise: &str,
    without: nats::Span,
    (within, when): (Duration, &str),
) {
    let asked = Refusals {
        client: client.to_owned(),
        stream: histories.stream.clone(),
        without,
        within_us: micros(within),
        promise: promise.to_owned(),
        when: when.to_owned(),
    };
    histories.ask(lab, Question::Refusals(asked));
}

/// A time in which a client had to be served.
pub struct Served<'a> {
    pub client: &'a str,
    pub span: nats::Span,
    pub allowed: Duration,
    pub promise: &'a str,
    pub check: &'a str,
    pub telling: Telling,
    pub figure: Option<&'a str>,
}

/// Asks for the longest time without success of the groups of operations that `is_concerned` picks, or of all of them.
/// Its length in seconds, where that can be told.
pub fn judge_gap(
    lab: &Lab,
    histories: &Histories,
    served: &Served<'_>,
    is_concerned: Option<&dyn Fn(&str) -> bool>,
) -> Option<f64> {
    let asked = Gap {
        client: served.client.to_owned(),
        groups: is_concerned.map(|is_concerned| histories.groups(served.client, is_concerned)),
        span: served.span,
        allowed_us: micros(served.allowed),
        promise: served.promise.to_owned(),
        check: served.check.to_owned(),
        telling: served.telling,
        figure: served.figure.map(str::to_owned),
    };
    histories.ask(lab, Question::Gap(asked)).gap
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The control: whether the same clients without any fault saw nothing that a fault could be blamed for.
pub fn control(lab: &Lab, histories: &Histories) -> Evidence {
    if Client::all(lab.deployment()).is_empty() {
        return Evidence::Shown("the contract names nothing that clients could use: only pods are watched".to_owned());
    }
    let asked = Control {
        clients: clients(lab.deployment(), histories),
        stream: histories.stream.clone(),
        consumer: CONSUMER.to_owned(),
    };
    let answer = histories.ask(lab, Question::Control(asked));
    answer.control.unwrap_or_else(Evidence::not_looked_at)
}

/// Everybody who has to be clean: a client for everything, and those that know one endpoint, where there are such.
fn clients(deployment: Deployment<'_>, histories: &Histories) -> Vec<judgement::Client> {
    let pinned = Client::pinned(deployment).into_iter().filter(|client| histories.of(client.name()).is_some());
    let asked = |client: Client<'_>| judgement::Client {
        name: client.name().to_owned(),
        uses: match client {
            Client::Redis(_) => judgement::Store::Redis,
            Client::Nats(_) | Client::NatsAt(..) => judgement::Store::Nats,
            Client::Jobs(_) => judgement::Store::Jobs,
        },
    };
    Client::all(deployment).into_iter().chain(pinned).map(asked).collect()
}
