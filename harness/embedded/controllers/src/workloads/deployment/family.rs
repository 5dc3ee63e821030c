//! The ReplicaSets of a Deployment: the one of its present template, the ones before, and their annotations.

use embedded_apimachinery::object::{self, annotation, int_at, str_at};
use embedded_apimachinery::resource::{DEPLOYMENTS, REPLICA_SETS};
use embedded_apimachinery::{Object, timestamp};
use serde_json::{Value, json};

use super::{counted, is_complete, max_surge, replicas};
use crate::runtime::{Action, Report};
use crate::workloads::hash;

pub const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
const HASH_LABEL: &str = "pod-template-hash";
/// Annotations of a Deployment that its ReplicaSets do not inherit.
const NOT_INHERITED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];
/// Characters of revision history that are kept.
const HISTORY_LIMIT: usize = 2000;

/// A ReplicaSet as it was found and as it is to be.
pub struct Member {
    seen: Object,
    pub set: Value,
}

impl Member {
    pub fn replicas(&self) -> i64 {
        replicas(&self.set)
    }

    pub fn available(&self) -> i64 {
        counted(&self.set, "availableReplicas")
    }

    pub fn uid(&self) -> &str {
        object::uid(&self.seen)
    }

    pub fn name(&self) -> &str {
        object::name(&self.seen)
    }

    fn revision(&self) -> i64 {
        annotation(&self.set, REVISION).and_then(|v| v.parse().ok()).unwrap_or(0)
    }
}

/// One of the sets; old ones are counted in the order of their creation.
#[derive(Clone, Copy)]
pub enum Which {
    New,
    Old(usize),
}

pub struct Family<'a> {
    pub deployment: &'a Object,
    pub new: Option<Member>,
    /// In the order of their creation.
    pub old: Vec<Member>,
    creation: Option<Action>,
    /// The revision to note on the Deployment.
    revision: Option<i64>,
    events: Vec<Action>,
    deletions: Vec<Action>,
}

impl<'a> Family<'a> {
    /// Sorts the sets: the oldest whose template is the Deployment's is the new one.
    pub fn of(deployment: &'a Object, mut sets: Vec<Object>) -> Self {
        sets.sort_by_key(|set| {
            (timestamp::parse(str_at(set, "/metadata/creationTimestamp")), object::resource_version(set))
        });
        let template = &deployment["spec"]["template"];
        let new = sets.iter().position(|set| same_template(&set["spec"]["template"], template));
        let member = |seen: Object| Member { set: Value::clone(&seen), seen };
        let new = new.map(|at| member(sets.remove(at)));
        let old = sets.into_iter().map(member).collect();
        Self { deployment, new, old, creation: None, revision: None, events: Vec::new(), deletions: Vec::new() }
    }

    pub fn all(&self) -> impl Iterator<Item = &Member> {
        self.old.iter().chain(&self.new)
    }

    /// Gives the new set the next revision number and the Deployment's annotations, if it is there.
    pub fn number_revisions(&mut self) {
        let revision = self.next_revision();
        let deployment = self.deployment;
        let Some(member) = &mut self.new else { return };
        annotate(&mut member.set, deployment, revision);
        if let Some(seconds) = deployment.pointer("/spec/minReadySeconds") {
            member.set["spec"]["minReadySeconds"] = seconds.clone();
        } else if let Some(spec) = member.set.pointer_mut("/spec").and_then(Value::as_object_mut) {
            spec.shift_remove("minReadySeconds");
        }
        self.revision = Some(member.revision());
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(Member::revision).max().unwrap_or(0) + 1
    }

    /// Whether the size of the Deployment changed since its sets were last sized.
    pub fn is_being_scaled(&self) -> bool {
        let desired = |member: &Member| annotation(&member.set, DESIRED_REPLICAS)?.parse::<i64>().ok();
        let mut active = self.all().filter(|member| member.replicas() > 0);
        active.any(|member| desired(member).is_some_and(|n| n != replicas(self.deployment)))
    }

    /// Plans the set of the present template, with `size` pods to begin with.
    pub fn create_new(&mut self, size: i64) {
        let deployment = self.deployment;
        let collisions = int_at(deployment, "/status/collisionCount").unwrap_or(0);
        let hash = hash::of(&deployment["spec"]["template"], collisions);
        let mut template = deployment["spec"]["template"].clone();
        object::set_label(&mut template, HASH_LABEL, &hash);
        let mut selector = deployment["spec"]["selector"].clone();
        object::map_at_mut(&mut selector, &["matchLabels"]).insert(HASH_LABEL.into(), hash.clone().into());
        let name = format!("{}-{hash}", object::name(deployment));
        let mut set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": name, "namespace": object::namespace(deployment),
                "labels": template["metadata"]["labels"],
                "ownerReferences": [object::controller_reference_to(deployment)]},
            "spec": {"replicas": size, "selector": selector, "template": template}});
        if let Some(seconds) = deployment.pointer("/spec/minReadySeconds") {
            set["spec"]["minReadySeconds"] = seconds.clone();
        }
        let revision = self.next_revision();
        annotate(&mut set, deployment, revision);
        annotate_sizes(&mut set, deployment);
        self.revision = Some(revision);
        let announced = if size > 0 { "ScalingReplicaSet" } else { "" };
        self.creation = Some(Action::create(REPLICA_SETS, set).reported(Report {
            about: deployment.clone(),
            done: (announced, format!("Scaled up replica set {name} from 0 to {size}")),
            failed: ("ReplicaSetCreateError", format!("Failed to create new replica set \"{name}\": {{error}}")),
        }));
    }

    /// The name that the new set would get. Somebody else's set of that name is a collision.
    pub fn name_of_new(&self) -> String {
        let collisions = int_at(self.deployment, "/status/collisionCount").unwrap_or(0);
        format!("{}-{}", object::name(self.deployment), hash::of(&self.deployment["spec"]["template"], collisions))
    }

    /// Counts a collision, so that the next look finds another name.
    pub fn count_collision(&mut self) {
        let mut status = self.deployment["status"].clone();
        let collisions = int_at(self.deployment, "/status/collisionCount").unwrap_or(0);
        status["collisionCount"] = (collisions + 1).into();
        self.creation = Some(Action::set_status(DEPLOYMENTS, self.deployment, status));
    }

    pub fn member(&self, which: Which) -> Option<&Member> {
        match which {
            Which::New => self.new.as_ref(),
            Which::Old(index) => self.old.get(index),
        }
    }

    /// Resizes a set. False if it has that size already.
    pub fn resize(&mut self, which: Which, size: i64) -> bool {
        let deployment = self.deployment;
        let Some(member) = self.member_mut(which).filter(|member| member.replicas() != size) else { return false };
        let before = member.replicas();
        annotate_sizes(&mut member.set, deployment);
        member.set["spec"]["replicas"] = size.into();
        let direction = if size > before { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {before} to {size}", member.name());
        self.events.push(Action::normal(deployment, "ScalingReplicaSet", message));
        true
    }

    /// Notes that a set has the right size for the Deployment as it is now.
    pub fn note_size(&mut self, which: Which) {
        let deployment = self.deployment;
        if let Some(member) = self.member_mut(which) {
            annotate_sizes(&mut member.set, deployment);
        }
    }

    fn member_mut(&mut self, which: Which) -> Option<&mut Member> {
        match which {
            Which::New => self.new.as_mut(),
            Which::Old(index) => self.old.get_mut(index),
        }
    }

    /// Removes the oldest empty sets beyond `revisionHistoryLimit`.
    pub fn forget_old_revisions(&mut self) {
        let limit = int_at(self.deployment, "/spec/revisionHistoryLimit").filter(|n| *n != i64::from(i32::MAX));
        let Some(limit) = limit.and_then(|n| usize::try_from(n).ok()) else { return };
        let mut old: Vec<&Member> = self.old.iter().filter(|m| !object::is_deleting(&m.seen)).collect();
        old.sort_by_key(|member| member.revision());
        let surplus = old.len().saturating_sub(limit);
        let unused = |member: &&&Member| {
            let observed = int_at(&member.seen, "/status/observedGeneration").unwrap_or(0);
            member.replicas() == 0
                && counted(&member.seen, "replicas") == 0
                && observed >= object::generation(&member.seen)
        };
        let unused = old.iter().take(surplus).filter(unused);
        self.deletions = unused.map(|member| Action::delete(REPLICA_SETS, &member.seen)).collect();
    }

    pub fn forget_if_complete(&mut self) {
        if is_complete(self.deployment, &self.deployment["status"]) {
            self.forget_old_revisions();
        }
    }

    /// Everything that was decided, as writes.
    pub fn actions(self) -> Vec<Action> {
        let mut actions: Vec<Action> = self.creation.into_iter().collect();
        let changed = self.new.into_iter().chain(self.old).filter(|member| member.set != *member.seen);
        actions.extend(changed.map(|member| Action::update(REPLICA_SETS, member.set)));
        actions.extend(self.events);
        actions.extend(self.deletions);
        if let Some(revision) = self.revision.map(|r| r.to_string())
            && annotation(self.deployment, REVISION) != Some(&revision)
        {
            let mut deployment = Value::clone(self.deployment);
            object::set_annotation(&mut deployment, REVISION, &revision);
            // Along with the status, so that it does not count as a change of the Deployment.
            actions.push(Action::write_status(DEPLOYMENTS, deployment));
        }
        actions
    }
}

/// Notes what the set was sized for, to tell later that the Deployment was resized, and in what proportion.
fn annotate_sizes(set: &mut Value, deployment: &Value) {
    let wanted = replicas(deployment);
    object::set_annotation(set, DESIRED_REPLICAS, &wanted.to_string());
    object::set_annotation(set, MAX_REPLICAS, &(wanted + max_surge(deployment)).to_string());
}

/// Copies the Deployment's annotations, and moves the set up to `revision`, remembering the ones it had.
fn annotate(set: &mut Value, deployment: &Value, revision: i64) {
    for (key, value) in object::string_map(deployment.pointer("/metadata/annotations")) {
        if !NOT_INHERITED.contains(&key.as_str()) {
            object::set_annotation(set, &key, &value);
        }
    }
    let before = annotation(set, REVISION).map(str::to_owned);
    let number: i64 = before.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0);
    if number >= revision {
        return;
    }
    object::set_annotation(set, REVISION, &revision.to_string());
    let Some(before) = before else { return };
    let history = match annotation(set, REVISION_HISTORY) {
        None | Some("") => before,
        Some(history) => shortened(&format!("{history},{before}")),
    };
    object::set_annotation(set, REVISION_HISTORY, &history);
}

/// Drops the oldest entries of a history that has grown too long.
fn shortened(history: &str) -> String {
    let mut rest = history;
    while rest.len() > HISTORY_LIMIT
        && let Some((_, newer)) = rest.split_once(',')
    {
        rest = newer;
    }
    rest.to_owned()
}

/// Whether two pod templates are the same but for the hash.
fn same_template(of_set: &Value, of_deployment: &Value) -> bool {
    stripped(of_set) == stripped(of_deployment)
}

fn stripped(template: &Value) -> Value {
    let mut template = template.clone();
    let meta = object::metadata_mut(&mut template);
    if let Some(Value::Object(labels)) = meta.get_mut("labels") {
        labels.shift_remove(HASH_LABEL);
    }
    meta.retain(|_, v| !v.is_null() && v.as_object().is_none_or(|map| !map.is_empty()));
    template
}
