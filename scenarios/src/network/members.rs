//! Putting probers in place: a container of ours in every real pod, pods of our own for everybody else; and taking away
//! what is ours. Where a pod takes no container a twin asks in its stead, and the pod itself is only reached for.

use super::enter::{Refused, enter_pods, one_of_each};
use super::parties::{self, CONTAINER, Names, Twin};
use super::plan::{Plan, Who};
use super::policies::{End, Subject};
use gauntlet_cluster::access::said;
use gauntlet_cluster::view::Snapshot;
use gauntlet_cluster::{apply, ranges};
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
use std::collections::BTreeSet;
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
    pub role: Role,
}

/// What a member is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Both,
    /// A twin: it asks as the pods that it stands in for, and nobody is to reach it.
    Asks,
    /// A real pod that took no container of ours.
    Answers,
}

impl Member {
    /// As policies see it.
    pub fn end(&self) -> End {
        End { pod: Some(self.subject.clone()), address: self.address.parse().ok() }
    }
}

/// Everybody of a matrix who is in place, and what of ours has to be taken away again.
pub struct Members {
    pub names: Names,
    pub all: Vec<Member>,
    /// Sources that could not be given a prober, and why.
    pub missing: Vec<(Who, String)>,
    pub(super) made_namespaces: Vec<String>,
    pub(super) ours: Vec<(String, String)>,
    pub(super) owners: Vec<String>,
}

/// A pod, and the container in it that is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub who: Who,
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub role: Role,
}

impl Place {
    /// In a pod of ours.
    pub fn own(who: Who, namespace: &str, pod: &str, role: Role) -> Self {
        Self { who, namespace: namespace.to_owned(), pod: pod.to_owned(), container: CONTAINER.to_owned(), role }
    }
}

impl Members {
    pub(super) fn none(names: Names) -> Self {
        Self { names, all: vec![], missing: vec![], made_namespaces: vec![], ours: vec![], owners: vec![] }
    }

    /// Puts everybody in place and waits until all probers run.
    ///
    /// # Errors
    /// Pods of ours were refused or do not start.
    pub async fn place(lab: &Lab, network: &Network, plan: &Plan) -> Result<Self, Trouble> {
        let deployment = lab.deployment();
        let names = Names::of(&lab.run);
        let (parties, peers) = (parties::of(deployment, plan, &names), parties::peers(network, plan, &names));
        let mut members = Self::none(names.clone());
        members.make_namespaces(lab, &parties::namespaces(&parties, &peers, &names)).await?;
        let (mut places, refused) = enter_pods(lab).await;
        let twins = members.twins(lab, &refused, peers).await?;
        let image = lab.cluster().agent_image();
        let own = parties.iter().map(|party| party.pod(image)).chain(parties::canaries(image, &names)).collect();
        let beside = twins.iter().map(|(twin, uid)| twin.pod(image, (&names.owner(), uid))).collect();
        let placed = members.apply(lab, own, beside).await;
        placed.map_err(|trouble| trouble.doing("cannot place pods of ours"))?;
        let own = parties.into_iter().map(|party| (party.who, party.namespace, party.name, Role::Both));
        let twins = twins.into_iter().map(|(twin, _)| (twin.who, twin.namespace, twin.name, Role::Asks));
        for (who, namespace, pod, role) in own.chain(twins) {
            places.push(Place::own(who, &namespace, &pod, role));
            members.ours.push((namespace, pod));
        }
        places.extend(parties::CANARIES.map(|name| Place::own(Who::Foreign, &names.namespace, name, Role::Both)));
        members.running(lab, &places).await?;
        members.all.extend(refused.iter().filter_map(Refused::member));
        Ok(members)
    }

    /// Pods in namespaces of ours, and twins, which stand where the pods do that they stand in for.
    async fn apply(&self, lab: &Lab, own: Vec<Value>, beside: Vec<Value>) -> Result<(), Trouble> {
        let (access, run) = (lab.access(), &lab.run);
        apply::apply(access, run, ranges::obeyed(access, own).await?).await?;
        apply::apply_among_others(access, run, ranges::obeyed(access, beside).await?).await.map(drop)
    }

    async fn make_namespaces(&mut self, lab: &Lab, names: &BTreeSet<&str>) -> Result<(), Trouble> {
        let api: Api<Namespace> = Api::all(lab.access().client.clone());
        for name in names.iter().copied() {
            let there = api.get_opt(name).await.or_trouble(|| format!("cannot look for namespace {name}"))?;
            if there.is_none() {
                let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                apply::apply(lab.access(), &lab.run, vec![object]).await?;
                self.made_namespaces.push(name.to_owned());
            }
        }
        Ok(())
    }

    /// Twins of the pods of peers, of Jobs and CronJobs, and of those that take no container; each with the uid of what
    /// controls it.
    async fn twins(
        &mut self,
        lab: &Lab,
        refused: &[Refused],
        peers: Vec<Twin>,
    ) -> Result<Vec<(Twin, String)>, Trouble> {
        let mut wanted = peers;
        for workload in lab.deployment().workloads().filter(|workload| !workload.kind.is_serving()) {
            let (name, namespace) = (&workload.name.value, &workload.namespace.value);
            let who = Who::Jobs(name.clone());
            match template(lab, workload).await {
                Ok(template) => wanted.push(Twin::new(who, name, namespace, &template, &self.names)),
                Err(why) => self.missing.push((who, why)),
            }
        }
        for refused in one_of_each(refused) {
            lab.note(format!("a twin asks for {}: {}", refused.workload, refused.why));
            wanted.push(refused.twin(&self.names));
        }
        let mut twins = Vec::new();
        for twin in wanted {
            let api: Api<Service> = Api::namespaced(lab.access().client.clone(), &twin.namespace);
            let services = api.list(&ListParams::default()).await.or_trouble(|| "cannot list Services")?;
            let values = services.items.iter().filter_map(|service| serde_json::to_value(service).ok());
            if values.into_iter().any(|service| parties::would_receive(&service, &twin.labels)) {
                let why = "a twin would receive traffic: a Service publishes pods that are not ready".to_owned();
                self.missing.push((twin.who, why));
                continue;
            }
            let uid = self.owner(lab, &twin.namespace).await?;
            twins.push((twin, uid));
        }
        Ok(twins)
    }

    async fn owner(&mut self, lab: &Lab, namespace: &str) -> Result<String, Trouble> {
        if !self.owners.iter().any(|owner| owner == namespace) {
            apply::apply_among_others(lab.access(), &lab.run, vec![parties::owner(&self.names.owner(), namespace)])
                .await?;
            self.owners.push(namespace.to_owned());
        }
        let api: Api<ConfigMap> = Api::namespaced(lab.access().client.clone(), namespace);
        let owner = api.get(&self.names.owner()).await.or_trouble(|| "cannot read the twins' owner")?;
        owner.uid().ok_or_else(|| Trouble::harness("the twins' owner has no uid"))
    }

    async fn running(&mut self, lab: &Lab, places: &[Place]) -> Result<(), Trouble> {
        let condition = |snapshot: &Snapshot| {
            let members: Vec<Result<Member, String>> = places.iter().map(|place| member(snapshot, place)).collect();
            let lacking: Vec<&str> = members.iter().filter_map(|m| m.as_ref().err().map(String::as_str)).collect();
            if lacking.is_empty() {
                return Ok(members.into_iter().filter_map(Result::ok).collect::<Vec<Member>>());
            }
            Err(format!("{} of {} not there: {}", lacking.len(), places.len(), lacking[0]))
        };
        self.all = lab.view().until("the probers to run", RUNNING_WITHIN, lab.progress(), condition).await?;
        Ok(())
    }

    /// Those who ask as somebody, with their places among all.
    pub fn probers<'a>(&'a self, who: &'a Who) -> impl Iterator<Item = (usize, &'a Member)> {
        self.in_role(who, Role::Asks)
    }

    /// Those who are reached as somebody, with their places among all.
    pub fn reached<'a>(&'a self, who: &'a Who) -> impl Iterator<Item = (usize, &'a Member)> {
        self.in_role(who, Role::Answers)
    }

    fn in_role<'a>(&'a self, who: &'a Who, role: Role) -> impl Iterator<Item = (usize, &'a Member)> {
        let is_canary = |member: &Member| parties::CANARIES.contains(&member.pod.as_str());
        let has_role = move |member: &Member| [role, Role::Both].contains(&member.role);
        let members = self.all.iter().enumerate();
        members.filter(move |(_, member)| member.who == *who && has_role(member) && !is_canary(member))
    }

    /// Whether the member at that place can be asked to probe.
    pub fn asks(&self, place: usize) -> bool {
        self.all.get(place).is_some_and(|member| member.role != Role::Answers)
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
            left.extend(gone(api.delete(&self.names.owner(), &DeleteParams::default()).await, namespace));
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
            self.ours.contains(&name) || name.0 == self.names.namespace
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
pub fn member(snapshot: &Snapshot, place: &Place) -> Result<Member, String> {
    let Place { who, namespace, pod: name, container, role } = place;
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
        subject: Subject::of(pod),
        role: *role,
    })
}
