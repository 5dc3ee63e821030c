//! Putting probers in place: a container of ours in every real pod, pods of our own for everybody else; and taking away
//! what is ours.

use super::parties::{self, CONTAINER, IMAGE, LIVES_FOR, NAMESPACE, PREFIX, Party, Twin};
use super::plan::{Plan, Who};
use super::policies::Subject;
use futures::future::join_all;
use gauntlet_cluster::access::said;
use gauntlet_cluster::view::Snapshot;
use gauntlet_cluster::{apply, probe, ready};
use gauntlet_core::Trouble;
use gauntlet_core::contract::network::Network;
use gauntlet_core::contract::workload::{Workload, WorkloadKind};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_engine::Lab;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Pods and containers of ours start at once, or something is wrong.
const RUNNING_WITHIN: Duration = Duration::from_secs(120);

const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Where probes run, and what policies see there.
#[derive(Debug, Clone)]
pub struct Member {
    pub who: Who,
    pub namespace: String,
    pub pod: String,
    /// The container that has the agent.
    pub container: String,
    pub address: String,
    pub node: String,
    pub subject: Subject,
}

/// Everybody of a matrix who is in place, and what of ours has to be taken away again.
pub struct Members {
    pub all: Vec<Member>,
    /// Sources that could not be given a prober, and why.
    pub missing: Vec<(Who, String)>,
    made_namespaces: Vec<String>,
    ours: Vec<(String, String)>,
    owners: Vec<String>,
}

/// Pods and the containers that are awaited in them.
type Awaited = Vec<(Who, String, String, String)>;

impl Members {
    /// Puts everybody in place and waits until all probers run.
    ///
    /// # Errors
    /// Pods of ours were refused or do not start.
    pub async fn place(lab: &Lab, network: &Network, plan: &Plan) -> Result<Self, Trouble> {
        let deployment = lab.deployment();
        let parties = parties::of(deployment, network, plan);
        let mut members = Self { all: vec![], missing: vec![], made_namespaces: vec![], ours: vec![], owners: vec![] };
        members.make_namespaces(lab, &parties).await?;
        let twins = members.twins(lab).await?;
        let mut objects: Vec<Value> = parties.iter().map(Party::pod).chain(parties::canaries()).collect();
        objects.extend(twins.iter().map(|(twin, uid)| twin.pod(uid)));
        apply::apply(lab.access(), &lab.run, objects).await.map_err(|t| t.doing("cannot place pods of ours"))?;
        let mut awaited: Awaited = Vec::new();
        let own = parties.into_iter().map(|party| (party.who, party.namespace, party.name));
        let twins = twins.into_iter().map(|(twin, _)| (twin.who, twin.namespace, twin.name));
        for (who, namespace, name) in own.chain(twins) {
            members.ours.push((namespace.clone(), name.clone()));
            awaited.push((who, namespace, name, CONTAINER.to_owned()));
        }
        for name in parties::CANARIES {
            awaited.push((Who::Foreign, NAMESPACE.to_owned(), name.to_owned(), CONTAINER.to_owned()));
        }
        awaited.extend(members.enter_pods(lab).await);
        members.running(lab, &awaited).await?;
        Ok(members)
    }

    async fn make_namespaces(&mut self, lab: &Lab, parties: &[Party]) -> Result<(), Trouble> {
        let api: Api<Namespace> = Api::all(lab.access().client.clone());
        for name in parties::namespaces(parties) {
            let there = api.get_opt(name).await.or_trouble(|| format!("cannot look for namespace {name}"))?;
            if there.is_none() {
                let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                apply::apply(lab.access(), &lab.run, vec![object]).await?;
                self.made_namespaces.push(name.to_owned());
            }
        }
        Ok(())
    }

    /// Twins of the pods of Jobs and CronJobs, each with the uid of what controls it.
    async fn twins(&mut self, lab: &Lab) -> Result<Vec<(Twin, String)>, Trouble> {
        let mut twins = Vec::new();
        for workload in lab.deployment().workloads().filter(|workload| !workload.kind.is_serving()) {
            let namespace = &workload.namespace.value;
            let twin = match template(lab, workload).await {
                Ok(template) => Twin::new(&workload.name.value, namespace, &template),
                Err(why) => {
                    self.missing.push((Who::Jobs(workload.name.value.clone()), why));
                    continue;
                }
            };
            let api: Api<Service> = Api::namespaced(lab.access().client.clone(), namespace);
            let services = api.list(&ListParams::default()).await.or_trouble(|| "cannot list Services")?;
            let values = services.items.iter().filter_map(|service| serde_json::to_value(service).ok());
            if values.into_iter().any(|service| parties::would_receive(&service, &twin.labels)) {
                let why = "a twin would receive traffic: a Service publishes pods that are not ready".to_owned();
                self.missing.push((twin.who, why));
                continue;
            }
            let uid = self.owner(lab, namespace).await?;
            twins.push((twin, uid));
        }
        Ok(twins)
    }

    async fn owner(&mut self, lab: &Lab, namespace: &str) -> Result<String, Trouble> {
        if !self.owners.iter().any(|owner| owner == namespace) {
            apply::apply(lab.access(), &lab.run, vec![parties::owner(namespace)]).await?;
            self.owners.push(namespace.to_owned());
        }
        let api: Api<ConfigMap> = Api::namespaced(lab.access().client.clone(), namespace);
        let owner = api.get(&parties::owner_name()).await.or_trouble(|| "cannot read the twins' owner")?;
        owner.uid().ok_or_else(|| Trouble::harness("the twins' owner has no uid"))
    }

    /// Adds a container with the agent to every pod of every serving workload.
    async fn enter_pods(&mut self, lab: &Lab) -> Awaited {
        lab.view().complete().await;
        let snapshot = lab.view().snapshot();
        let serving = lab.deployment().workloads().filter(|workload| workload.kind.is_serving());
        let pods: Vec<(Who, Arc<Pod>)> = serving
            .flat_map(|workload| {
                let who = Who::Pods(workload.name.value.clone());
                real_pods(workload, &snapshot).into_iter().map(move |pod| (who.clone(), pod))
            })
            .collect();
        let entered = pods.into_iter().map(async |(who, pod)| {
            let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
            let before = pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten()).count();
            let container = format!("gauntlet-probe-{before}");
            let added = probe::add_container(lab.access(), &namespace, &name, &container, IMAGE, LIVES_FOR).await;
            added.map(|()| (who.clone(), namespace, name, container)).map_err(|why| (who, why))
        });
        let mut awaited = Vec::new();
        for entered in join_all(entered).await {
            match entered {
                Ok(place) => awaited.push(place),
                Err(missing) => self.missing.push(missing),
            }
        }
        awaited
    }

    async fn running(&mut self, lab: &Lab, awaited: &Awaited) -> Result<(), Trouble> {
        let condition = |snapshot: &Snapshot| {
            let members: Vec<Result<Member, String>> = awaited.iter().map(|place| member(snapshot, place)).collect();
            let lacking: Vec<&str> = members.iter().filter_map(|m| m.as_ref().err().map(String::as_str)).collect();
            if lacking.is_empty() {
                return Ok(members.into_iter().filter_map(Result::ok).collect::<Vec<Member>>());
            }
            Err(format!("{} of {} not there: {}", lacking.len(), awaited.len(), lacking[0]))
        };
        self.all = lab.view().until("the probers to run", RUNNING_WITHIN, lab.progress(), condition).await?;
        Ok(())
    }

    pub fn of<'a>(&'a self, who: &'a Who) -> impl Iterator<Item = (usize, &'a Member)> {
        let is_canary = |member: &Member| parties::CANARIES.contains(&member.pod.as_str());
        self.all.iter().enumerate().filter(move |(_, member)| member.who == *who && !is_canary(member))
    }

    pub fn named(&self, pod: &str) -> Option<&Member> {
        self.all.iter().find(|member| member.pod == pod)
    }

    /// Takes away what is ours. Containers in others' pods cannot be taken away; they end by themselves.
    ///
    /// # Errors
    /// What is left.
    pub async fn remove(&self, lab: &Lab) -> Result<(), Trouble> {
        let client = &lab.access().client;
        let mut left = Vec::new();
        for (namespace, name) in self.ours.iter().filter(|(namespace, _)| !self.made_namespaces.contains(namespace)) {
            let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
            left.extend(gone(api.delete(name, &DeleteParams::default()).await, name));
        }
        for namespace in &self.owners {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            left.extend(gone(api.delete(&parties::owner_name(), &DeleteParams::default()).await, namespace));
        }
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for namespace in &self.made_namespaces {
            left.extend(gone(namespaces.delete(namespace, &DeleteParams::default()).await, namespace));
        }
        if !left.is_empty() {
            return Err(Trouble::harness(format!("cannot take away what is ours: {}", left.join("; "))));
        }
        let ours = |pod: &Arc<Pod>| {
            let name = (pod.namespace().unwrap_or_default(), pod.name_any());
            self.ours.contains(&name) || name.0 == NAMESPACE
        };
        let condition = |snapshot: &Snapshot| match snapshot.pods.iter().filter(|pod| ours(pod)).count() {
            0 => Ok(()),
            n => Err(format!("{n} are still there")),
        };
        lab.view().until("pods of ours to be gone", GONE_WITHIN, lab.progress(), condition).await
    }
}

fn gone<T>(deleted: Result<T, kube::Error>, what: &str) -> Option<String> {
    match deleted {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => Some(format!("{what}: {}", said(&error))),
    }
}

/// The workload's own pods that run; twins bear its labels too.
fn real_pods(workload: &Workload, snapshot: &Snapshot) -> Vec<Arc<Pod>> {
    let pods = ready::pods_of(workload, snapshot).into_iter();
    pods.filter(|pod| !pod.name_any().starts_with(PREFIX) && ready::is_ready(pod)).collect()
}

/// The template that the pods of a Job or CronJob are made from.
async fn template(lab: &Lab, workload: &Workload) -> Result<Value, String> {
    let (namespace, name) = (&workload.namespace.value, &workload.name.value);
    let client = lab.access().client.clone();
    let (found, path) = match workload.kind {
        WorkloadKind::CronJob => {
            let api: Api<CronJob> = Api::namespaced(client, namespace);
            (api.get(name).await.map(serde_json::to_value), "/spec/jobTemplate/spec/template")
        }
        _ => {
            let api: Api<Job> = Api::namespaced(client, namespace);
            (api.get(name).await.map(serde_json::to_value), "/spec/template")
        }
    };
    let object = found.map_err(|error| said(&error))?.map_err(|error| error.to_string())?;
    object.pointer(path).cloned().ok_or_else(|| format!("{name} has no pod template"))
}

/// A place whose container runs, as a member.
///
/// # Errors
/// What is not there yet.
pub fn member(snapshot: &Snapshot, place: &(Who, String, String, String)) -> Result<Member, String> {
    let (who, namespace, name, container) = place;
    let named = |pod: &&Arc<Pod>| pod.name_any() == *name && pod.namespace().as_deref() == Some(namespace);
    let pod = snapshot.pods.iter().find(named).ok_or_else(|| format!("{namespace}/{name} does not exist"))?;
    let status = pod.status.as_ref().ok_or_else(|| format!("{namespace}/{name} has no status"))?;
    let statuses = status.container_statuses.iter().chain(&status.ephemeral_container_statuses).flatten();
    let running = |state: &k8s_openapi::api::core::v1::ContainerState| state.running.is_some();
    let runs = statuses.into_iter().any(|s| s.name == *container && s.state.as_ref().is_some_and(running));
    let address = status.pod_ip.clone().filter(|_| runs);
    let address = address.ok_or_else(|| format!("{namespace}/{name} {container} does not run"))?;
    Ok(Member {
        who: who.clone(),
        namespace: namespace.clone(),
        pod: name.clone(),
        container: container.clone(),
        address,
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        subject: Subject { namespace: namespace.clone(), labels: pod.labels().clone() },
    })
}
