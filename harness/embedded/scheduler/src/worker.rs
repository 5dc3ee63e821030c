//! The loop: takes in what changes, decides about the pods in line, writes the outcome.

use std::collections::HashMap;
use std::sync::Arc;

use embedded_apimachinery::informer::Informer;
use embedded_apimachinery::object::{self, list_at, str_at};
use embedded_apimachinery::recorder::Recorder;
use embedded_apimachinery::resource::{NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS};
use embedded_apimachinery::view::{Change, View};
use embedded_apimachinery::{Actor, Api, ApiExt, DeleteOptions, Object, Status, timestamp, volume_match};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::NAME;
use crate::cluster::Cluster;
use crate::decide::{Decision, Preemption, schedule};
use crate::filter::ClaimPlan;
use crate::pod::PodInfo;
use crate::queue::Queue;

/// Schedules pods until `shutdown`.
pub async fn run(api: Arc<dyn Api>, shutdown: CancellationToken) {
    let mut worker = Worker::new(api);
    loop {
        while worker.step() {
            if shutdown.is_cancelled() {
                return;
            }
            tokio::task::yield_now().await;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = worker.wait() => {}
        }
    }
}

/// The scheduler with what it knows. Driven by [`run`], or step by step in tests.
pub struct Worker {
    api: Arc<dyn Api>,
    actor: Actor,
    recorder: Recorder,
    informer: Informer,
    view: View,
    cluster: Cluster,
    queue: Queue,
    /// Pods whose node is chosen, until their claims are bound, by uid.
    waiting: HashMap<String, (Arc<PodInfo>, String)>,
}

impl Worker {
    pub fn new(api: Arc<dyn Api>) -> Self {
        let resources = Cluster::RESOURCES.into_iter().chain([PODS]).collect();
        Self {
            actor: Actor::system(NAME),
            recorder: Recorder::new(api.clone(), NAME, ""),
            informer: Informer::new(api.clone(), resources),
            view: View::default(),
            cluster: Cluster::default(),
            queue: Queue::default(),
            waiting: HashMap::new(),
            api,
        }
    }

    /// Takes in what has changed and decides about one pod. False when there was none.
    pub fn step(&mut self) -> bool {
        let changes = self.informer.drain(&mut self.view);
        self.take_in(&changes);
        let Some(pod) = self.queue.pop() else { return false };
        match schedule(&pod, &self.cluster) {
            Decision::Place { node, claims } => self.place(&pod, node, claims),
            Decision::Unschedulable { message, preemption } => self.refuse(pod, &message, preemption),
        }
        true
    }

    async fn wait(&mut self) {
        let mut changes = Vec::new();
        self.informer.wait(&mut self.view, &mut changes).await;
        self.take_in(&changes);
    }

    fn take_in(&mut self, changes: &[Change]) {
        let mut helpful = false;
        for change in changes {
            helpful |= self.may_help(change);
            if change.resource == PODS {
                self.take_in_pod(change);
            } else if let Some(after) = &change.after {
                self.cluster.put(&change.resource, after.clone());
            } else {
                self.cluster.remove(&change.resource, &change.key());
            }
        }
        if helpful {
            self.queue.recall();
        }
        self.bind_ready();
    }

    /// Whether a pod that fits nowhere could fit somewhere after this.
    fn may_help(&self, change: &Change) -> bool {
        let (before, after) = (change.before.as_deref(), change.after.as_deref());
        let part = |pointer: &str| before.and_then(|o| o.pointer(pointer)) != after.and_then(|o| o.pointer(pointer));
        if change.resource == NODES {
            // Heartbeats change conditions only.
            return ["/spec", "/metadata/labels", "/status/allocatable"].iter().any(|p| part(p));
        }
        if change.resource == PODS {
            let was_bound = before.is_some_and(|pod| !str_at(pod, "/spec/nodeName").is_empty());
            let is_bound = after.is_some_and(|pod| !str_at(pod, "/spec/nodeName").is_empty());
            let ended = |pod: Option<&Value>| pod.is_none_or(object::pod_is_terminal);
            return (was_bound || is_bound)
                && (was_bound != is_bound || ended(before) != ended(after) || part("/metadata/labels"));
        }
        before != after
    }

    fn take_in_pod(&mut self, change: &Change) {
        let Some(after) = &change.after else { return self.forget(object::uid(change.object())) };
        // A pod that was deleted and made again under the same name is another one.
        if let Some(before) = &change.before
            && object::uid(before) != object::uid(after)
        {
            self.forget(object::uid(before));
        }
        let pod = Arc::new(PodInfo::new(after.clone()));
        self.cluster.put_pod(&pod);
        if !is_mine(after) {
            self.queue.remove(pod.uid());
            self.waiting.remove(pod.uid());
            return;
        }
        if let Some((waiting, node)) = self.waiting.get_mut(pod.uid()) {
            *waiting = pod.clone();
            self.cluster.assume(&pod, node);
            return;
        }
        let unchanged = change.before.as_deref().is_some_and(|before| {
            before["spec"] == after["spec"] && before.pointer("/metadata/labels") == after.pointer("/metadata/labels")
        });
        // What the scheduler itself wrote is no reason to try again.
        if !(unchanged && self.queue.refresh(&pod)) {
            self.queue.add(pod);
        }
    }

    fn forget(&mut self, uid: &str) {
        self.cluster.remove_pod(uid);
        self.queue.remove(uid);
        self.waiting.remove(uid);
    }

    fn place(&mut self, pod: &Arc<PodInfo>, node: String, claims: Vec<ClaimPlan>) {
        self.cluster.assume(pod, &node);
        for plan in &claims {
            if let Err(status) = self.prepare_claim(plan, &node) {
                self.cluster.remove_pod(pod.uid());
                return self.set_aside_after_error(pod.clone(), &status);
            }
        }
        self.waiting.insert(pod.uid().to_owned(), (pod.clone(), node));
        self.bind_ready();
    }

    /// Reserves a volume for a claim, or asks for one on the node.
    fn prepare_claim(&self, plan: &ClaimPlan, node: &str) -> Result<(), Status> {
        match plan {
            ClaimPlan::Bind { claim, volume } => {
                let reserve = &mut |volume: &mut Value| {
                    if volume.pointer("/spec/claimRef/name").is_none() {
                        volume["spec"]["claimRef"] = volume_match::claim_reference(claim);
                        object::set_annotation(volume, volume_match::BOUND_BY_CONTROLLER, "yes");
                    }
                    Ok(())
                };
                self.api.modify(&self.actor, &PERSISTENT_VOLUMES, "", object::name(volume), "", reserve)?;
            }
            ClaimPlan::Provision { claim } => {
                let select = &mut |claim: &mut Value| {
                    object::set_annotation(claim, volume_match::SELECTED_NODE, node);
                    Ok(())
                };
                let (namespace, name) = (object::namespace(claim), object::name(claim));
                self.api.modify(&self.actor, &PERSISTENT_VOLUME_CLAIMS, namespace, name, "", select)?;
            }
        }
        Ok(())
    }

    /// Binds waiting pods whose claims are all bound by now; starts over with those whose choice was taken back.
    fn bind_ready(&mut self) {
        let waiting: Vec<_> = self.waiting.values().cloned().collect();
        for (pod, node) in waiting {
            let claims: Vec<Option<&Object>> = volume_match::claim_names(&pod.object)
                .iter()
                .map(|name| self.cluster.get(&PERSISTENT_VOLUME_CLAIMS, pod.namespace(), name))
                .collect();
            // Nodes believe the phase only.
            let usable = |claim: &Object| volume_match::is_bound(claim) && str_at(claim, "/status/phase") == "Bound";
            let all_bound = claims.iter().all(|claim| claim.is_some_and(usable));
            let lost = claims.iter().any(|claim| claim.is_none_or(|c| object::is_deleting(c)))
                || !self.cluster.nodes.contains_key(&node);
            if all_bound {
                self.waiting.remove(pod.uid());
                self.bind(&pod, &node);
            } else if lost {
                self.waiting.remove(pod.uid());
                self.cluster.remove_pod(pod.uid());
                self.queue.add(pod);
            }
        }
    }

    fn bind(&mut self, pod: &Arc<PodInfo>, node: &str) {
        let uid = pod.uid().to_owned();
        let now = timestamp::now();
        let change = &mut |current: &mut Value| {
            if object::uid(current) != uid || object::is_deleting(current) {
                return Err(Status::not_found(&PODS, object::name(current)));
            }
            current["spec"]["nodeName"] = node.into();
            let scheduled = json!({"type": "PodScheduled", "observedGeneration": object::generation(current),
                "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
            set_condition(current, scheduled);
            Ok(())
        };
        match self.api.modify(&self.actor, &PODS, pod.namespace(), pod.name(), "binding", change) {
            Ok(_) => {
                let message = format!("Successfully assigned {}/{} to {node}", pod.namespace(), pod.name());
                self.recorder.attempt("Normal", &pod.object, "Scheduled", "Binding", message);
                self.queue.remove(pod.uid());
            }
            Err(status) => {
                self.cluster.remove_pod(pod.uid());
                self.set_aside_after_error(pod.clone(), &status);
            }
        }
    }

    /// What failed is tried again when something changes; what is gone is forgotten by its deletion.
    fn set_aside_after_error(&mut self, pod: Arc<PodInfo>, status: &Status) {
        if !status.is_not_found() {
            tracing::warn!(pod = pod.name(), namespace = pod.namespace(), %status, "cannot bind");
        }
        self.queue.set_aside(pod);
    }

    fn refuse(&mut self, pod: Arc<PodInfo>, message: &str, preemption: Option<Preemption>) {
        let current = object::condition(&pod.object, "PodScheduled").map_or("", |c| str_at(c, "/message"));
        let nominated = str_at(&pod.object, "/status/nominatedNodeName");
        let news = current != message || preemption.as_ref().is_some_and(|p| p.node != nominated);
        if news {
            self.recorder.attempt("Warning", &pod.object, "FailedScheduling", "Scheduling", message.to_owned());
            let nominate = preemption.as_ref().map(|p| p.node.clone());
            let written = self.api.modify_status(&self.actor, &PODS, &pod.object, &mut |current| {
                set_condition(current, unschedulable(current, message));
                if let Some(node) = &nominate {
                    current["status"]["nominatedNodeName"] = node.clone().into();
                }
            });
            if let Err(status) = written {
                tracing::warn!(pod = pod.name(), namespace = pod.namespace(), %status, "cannot write the condition");
            }
        }
        self.queue.set_aside(pod.clone());
        for victim in preemption.iter().flat_map(|p| &p.victims) {
            self.preempt(&pod, victim);
        }
    }

    fn preempt(&self, pod: &PodInfo, victim: &PodInfo) {
        if object::is_deleting(&victim.object) {
            return;
        }
        let now = timestamp::now();
        let marked = self.api.modify_status(&self.actor, &PODS, &victim.object, &mut |current| {
            let target = json!({"type": "DisruptionTarget", "observedGeneration": object::generation(current),
                "status": "True", "lastProbeTime": null, "lastTransitionTime": now, "reason": "PreemptionByScheduler",
                "message": format!("{NAME}: preempting to accommodate a higher priority pod")});
            set_condition(current, target);
        });
        let options = DeleteOptions::of(&victim.object);
        let deleted = marked.and_then(|()| {
            self.api.delete(&self.actor, &PODS, victim.namespace(), victim.name(), &options).map(|_| ())
        });
        match deleted {
            Ok(()) => {
                let message = format!("Preempted by pod {} on node {}", pod.uid(), victim.node());
                self.recorder.attempt("Normal", &victim.object, "Preempted", "Preempting", message);
            }
            Err(status) => tracing::debug!(victim = victim.name(), %status, "cannot preempt"),
        }
    }
}

/// Whether this scheduler has to find a node for the pod.
fn is_mine(pod: &Value) -> bool {
    matches!(str_at(pod, "/spec/schedulerName"), "" | NAME)
        && str_at(pod, "/spec/nodeName").is_empty()
        && list_at(pod, "/spec/schedulingGates").is_empty()
        && !object::is_deleting(pod)
        && !object::pod_is_terminal(pod)
}

fn unschedulable(pod: &Value, message: &str) -> Value {
    json!({"type": "PodScheduled", "observedGeneration": object::generation(pod), "status": "False",
        "lastProbeTime": null, "lastTransitionTime": timestamp::now(), "reason": "Unschedulable", "message": message})
}

/// Puts a condition in the place of the one of its type; the time of transition stays if the status does.
fn set_condition(pod: &mut Value, mut condition: Value) {
    let kind = str_at(&condition, "/type").to_owned();
    let conditions = object::map_at_mut(pod, &["status"]).entry("conditions").or_insert_with(|| json!([]));
    let Value::Array(conditions) = conditions else { return };
    match conditions.iter_mut().find(|c| str_at(c, "/type") == kind) {
        Some(old) => {
            if old["status"] == condition["status"] {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}
