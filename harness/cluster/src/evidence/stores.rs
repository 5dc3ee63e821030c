//! What the members of the contract's stores say of themselves.

use super::sink::{Keep, Sink};
use super::{Scope, Task, absent};
use crate::exec::{self, Place};
use crate::forward::{self, Port};
use gauntlet_core::contract::store::{Store, StoreKind};
use gauntlet_core::contract::workload::{Workload, WorkloadKind};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::fmt::Write as _;
use std::time::Duration;

const ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// Questions to a Redis server.
const REDIS: [&[&str]; 3] = [&["CLUSTER", "NODES"], &["CLUSTER", "INFO"], &["INFO"]];

/// Paths of a NATS server's monitoring.
const NATS: [&str; 4] = ["/varz", "/jsz?streams=true&consumers=true&config=true", "/routez", "/healthz"];

/// One file of each member.
pub fn tasks<'a>(scope: Scope<'a>, pods: &[Pod], sink: &'a Sink<'a>) -> Vec<Task<'a>> {
    let stores =
        scope.deployment.stores().filter_map(|store| Some((store, scope.deployment.workload(&store.workload.value)?)));
    let mut tasks = Vec::new();
    for (store, workload) in stores {
        let is_member = |pod: &&Pod| {
            pod.namespace().as_deref() == Some(&workload.namespace.value)
                && workload.labels.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
        };
        let members: Vec<&Pod> = pods.iter().filter(is_member).collect();
        if workload.kind == WorkloadKind::StatefulSet {
            let replicas = scope.deployment.replicas(workload);
            for name in absent::without_pod(&workload.name.value, replicas, &members) {
                sink.missing(format!("what {name} says of itself: it has no pod"));
            }
        }
        for pod in members.into_iter().map(ResourceExt::name_any) {
            let name = format!("stores/{}.{pod}.txt", workload.namespace.value);
            let member = Member { scope, store, workload, pod };
            tasks.push(Task::new(name.clone(), async move {
                sink.text(&name, &member.says(sink).await, Keep::Beginning);
            }));
        }
    }
    tasks
}

struct Member<'a> {
    scope: Scope<'a>,
    store: &'a Store,
    workload: &'a Workload,
    pod: String,
}

impl Member<'_> {
    async fn says(&self, sink: &Sink<'_>) -> String {
        let mut text = String::new();
        let mut answer = |question: String, answer: Result<String, String>| match answer {
            Ok(answer) => {
                let _ = write!(text, "# {question}\n{}\n\n", answer.trim_end());
            }
            Err(why) => sink.missing(format!("{question} of {}: {why}", self.pod)),
        };
        match self.store.kind {
            StoreKind::RedisCluster { .. } | StoreKind::Redis { .. } if !self.store.cli.is_empty() => {
                for question in REDIS {
                    answer(question.join(" "), self.ask(question).await);
                }
            }
            StoreKind::RedisCluster { .. } | StoreKind::Redis { .. } => {
                answer("INFO".to_owned(), Err("the contract says no way to ask".to_owned()));
            }
            StoreKind::NatsJetstream { .. } => {
                for path in NATS {
                    answer(path.to_owned(), self.get(path).await);
                }
            }
        }
        text
    }

    async fn ask(&self, question: &[&str]) -> Result<String, String> {
        let command: Vec<&str> = self.store.cli.iter().map(String::as_str).chain(question.iter().copied()).collect();
        let container = self.workload.container.as_deref().unwrap_or(&self.workload.name.value);
        let place = Place { namespace: &self.workload.namespace.value, pod: &self.pod, container };
        match exec::exec(self.scope.access(), place, &command, ANSWERS_WITHIN).await {
            Ok(output) if output.success() => Ok(output.stdout),
            Ok(output) => Err(output.stderr.trim().to_owned()),
            Err(trouble) => Err(trouble.message),
        }
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        let monitor = self.workload.ports.iter().find(|port| port.name.starts_with("monitor"));
        let number = monitor.ok_or("the contract names no port `monitor`")?.port.value;
        let port = Port { namespace: &self.workload.namespace.value, pod: &self.pod, number };
        let answer = forward::get(self.scope.access(), port, path, ANSWERS_WITHIN).await;
        answer.map_err(|trouble| trouble.message).map(|answer| match answer.status {
            200 => answer.body,
            // Who is not well says so in what it answers then.
            status => format!("status {status}\n{}", answer.body),
        })
    }
}
