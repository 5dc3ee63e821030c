//! What controllers want done, as data.

use std::path::PathBuf;
use std::time::Duration;

use embedded_apimachinery::resource::PERSISTENT_VOLUMES;
use embedded_apimachinery::{DeleteOptions, GroupResource, Object, Status};
use serde_json::Value;

/// Actions in order, and when to look again if nothing changes until then.
#[derive(Debug, Default)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub recheck: Option<Duration>,
}

impl Plan {
    pub fn of(actions: Vec<Action>) -> Self {
        Self { actions, recheck: None }
    }

    pub fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Look again after `delay` at the latest. The earliest of several wishes counts.
    pub fn recheck_after(&mut self, delay: Duration) {
        self.recheck = Some(self.recheck.map_or(delay, |earlier| earlier.min(delay)));
    }
}

/// One write.
#[derive(Clone, Debug)]
pub enum Action {
    /// The namespace is the object's own.
    Create { resource: GroupResource, object: Value, report: Option<Report> },
    /// Writes all but the status. Fails with a conflict if the object is no longer the version that `object` names.
    Update { resource: GroupResource, object: Value, report: Option<Report> },
    /// As `Update`, through a subresource: `status` writes the status only, `finalize` the finalizers of a namespace.
    Write { resource: GroupResource, object: Value, subresource: &'static str },
    /// Replaces the status of an object that is still the one seen (by uid). For statuses that the controller owns.
    SetStatus { resource: GroupResource, object: Object, status: Value },
    /// Deletes an object that is still the one seen (by uid). One that is gone already is no failure.
    Delete { resource: GroupResource, object: Object, options: DeleteOptions, report: Option<Report> },
    /// Makes a directory of the host, and those above it, that every user may write to. It may be there already.
    MakeDirectory { path: PathBuf },
    /// Removes a directory of the host with all that is in it. One that is gone already is no failure.
    RemoveDirectory { path: PathBuf },
    /// `kind` is `Normal` or `Warning`.
    Event { about: Object, kind: &'static str, reason: &'static str, message: String },
}

impl Action {
    pub fn create(resource: GroupResource, object: Value) -> Self {
        Self::Create { resource, object, report: None }
    }

    pub fn update(resource: GroupResource, object: Value) -> Self {
        Self::Update { resource, object, report: None }
    }

    /// Writes the status of `object`, unless the object has changed since it was seen.
    pub fn write_status(resource: GroupResource, object: Value) -> Self {
        Self::Write { resource, object, subresource: "status" }
    }

    pub fn set_status(resource: GroupResource, object: &Object, status: Value) -> Self {
        Self::SetStatus { resource, object: object.clone(), status }
    }

    /// With the object's own grace period, in the background.
    pub fn delete(resource: GroupResource, object: &Object) -> Self {
        Self::Delete { resource, object: object.clone(), options: DeleteOptions::of(object), report: None }
    }

    pub fn normal(about: &Object, reason: &'static str, message: impl Into<String>) -> Self {
        Self::Event { about: about.clone(), kind: "Normal", reason, message: message.into() }
    }

    pub fn warning(about: &Object, reason: &'static str, message: impl Into<String>) -> Self {
        Self::Event { about: about.clone(), kind: "Warning", reason, message: message.into() }
    }

    /// What this does to which resource. Events are no writes.
    pub fn target(&self) -> Option<(Verb, GroupResource)> {
        match self {
            Self::Create { resource, .. } => Some((Verb::Create, resource.clone())),
            Self::Update { resource, .. } => Some((Verb::Update, resource.clone())),
            Self::SetStatus { resource, .. } => Some((Verb::SetStatus, resource.clone())),
            Self::Delete { resource, .. } => Some((Verb::Delete, resource.clone())),
            Self::Write { resource, .. } => Some((Verb::Update, resource.clone())),
            Self::MakeDirectory { .. } => Some((Verb::Create, PERSISTENT_VOLUMES)),
            Self::RemoveDirectory { .. } => Some((Verb::Delete, PERSISTENT_VOLUMES)),
            Self::Event { .. } => None,
        }
    }

    /// Announce the outcome of this write in Events. Events and status writes announce nothing.
    pub fn reported(mut self, new: Report) -> Self {
        match &mut self {
            Self::Create { report, .. } | Self::Update { report, .. } | Self::Delete { report, .. } => {
                *report = Some(new);
            }
            Self::Write { .. }
            | Self::SetStatus { .. }
            | Self::MakeDirectory { .. }
            | Self::RemoveDirectory { .. }
            | Self::Event { .. } => {}
        }
        self
    }
}

/// Events about how a write went. In messages `{name}` stands for the name of the object written, `{error}` for the
/// error's text; an empty reason announces nothing.
#[derive(Clone, Debug)]
pub struct Report {
    pub about: Object,
    pub done: (&'static str, String),
    pub failed: (&'static str, String),
}

/// How the actions of a plan went. The first failure ends a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    pub failure: Option<Failure>,
    /// Objects as they were created, in order.
    pub created: Vec<Object>,
}

#[derive(Debug)]
pub struct Failure {
    pub verb: Verb,
    pub resource: GroupResource,
    pub status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Create,
    Update,
    SetStatus,
    Delete,
}
