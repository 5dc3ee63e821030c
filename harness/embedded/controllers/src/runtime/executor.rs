//! Carries out plans through the API.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use embedded_apimachinery::object;
use embedded_apimachinery::recorder::Recorder;
use embedded_apimachinery::{Actor, Api, ApiExt, GroupResource, Object, Status};
use serde_json::Value;

use super::plan::{Action, Failure, Outcome, Report, Verb};

/// Writes on behalf of one controller.
pub struct Executor {
    api: Arc<dyn Api>,
    actor: Actor,
    recorder: Recorder,
}

impl Executor {
    pub fn new(api: Arc<dyn Api>, component: &str) -> Self {
        let recorder = Recorder::new(api.clone(), component, "");
        Self { api, actor: Actor::system(component), recorder }
    }

    /// Does one action after the other up to the first that fails.
    pub fn run(&self, actions: Vec<Action>) -> Outcome {
        let mut outcome = Outcome::default();
        for action in actions {
            let target = action.target();
            if let (Err(status), Some((verb, resource))) = (self.act(action, &mut outcome.created), target) {
                // What cannot be made in a namespace that is going away need not be made any more.
                if !(verb == Verb::Create && namespace_is_going_away(&status)) {
                    outcome.failure = Some(Failure { verb, resource, status });
                }
                break;
            }
        }
        outcome
    }

    fn act(&self, action: Action, created: &mut Vec<Object>) -> Result<(), Status> {
        match action {
            Action::Create { resource, object, report } => {
                let namespace = object::namespace(&object).to_owned();
                let name = object::name(&object).to_owned();
                let result = self.api.create(&self.actor, &resource, &namespace, object);
                let name = result.as_deref().map_or(name, |o| object::name(o).to_owned());
                self.report(report, &name, result.as_ref().map(|_| ()));
                created.push(result?);
                Ok(())
            }
            Action::Update { resource, object, report } => {
                let result = self.write(&resource, &object, "");
                self.report(report, object::name(&object), result.as_ref().copied());
                result
            }
            Action::Write { resource, object, subresource } => self.write(&resource, &object, subresource),
            Action::SetStatus { resource, object, status } => {
                let set = &mut |current: &mut Value| current["status"] = status.clone();
                self.api.modify_status(&self.actor, &resource, &object, set)
            }
            Action::Delete { resource, object, options, report } => {
                let (namespace, name) = (object::namespace(&object), object::name(&object));
                let result = self.api.delete(&self.actor, &resource, namespace, name, &options).map(|_| ());
                if result.as_ref().is_err_and(|status| status.is_not_found() || status.is_conflict()) {
                    return Ok(());
                }
                self.report(report, name, result.as_ref().copied());
                result
            }
            Action::MakeDirectory { path } => directory("make", &path, |path| {
                std::fs::create_dir_all(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
            }),
            Action::RemoveDirectory { path } => {
                directory("remove", &path, |path| match std::fs::remove_dir_all(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    result => result,
                })
            }
            Action::Event { about, kind, reason, message } => {
                self.recorder.record(kind, &about, "", reason, message);
                Ok(())
            }
        }
    }

    fn write(&self, resource: &GroupResource, object: &Value, subresource: &str) -> Result<(), Status> {
        let (namespace, name) = (object::namespace(object), object::name(object));
        let change = &mut |current: &mut Value| {
            let same = object::resource_version(current) == object::resource_version(object);
            if !same || object::uid(current) != object::uid(object) {
                return Err(Status::stale(resource, name));
            }
            *current = object.clone();
            Ok(())
        };
        self.api.modify(&self.actor, resource, namespace, name, subresource, change).map(|_| ())
    }

    fn report(&self, report: Option<Report>, name: &str, result: Result<(), &Status>) {
        let Some(Report { about, done, failed }) = report else { return };
        let ((reason, message), kind, error) = match result {
            Ok(()) => (done, "Normal", ""),
            Err(status) if status.is_conflict() || namespace_is_going_away(status) => return,
            Err(status) => (failed, "Warning", status.message.as_str()),
        };
        if !reason.is_empty() {
            let message = message.replace("{name}", name).replace("{error}", error);
            self.recorder.record(kind, &about, "", reason, message);
        }
    }
}

fn directory(verb: &str, path: &Path, work: impl Fn(&Path) -> std::io::Result<()>) -> Result<(), Status> {
    work(path).map_err(|error| Status::internal(format!("cannot {verb} the directory {}: {error}", path.display())))
}

fn namespace_is_going_away(status: &Status) -> bool {
    let causes = object::list_at(&status.details, "/causes");
    let namespace_missing = status.is_not_found() && object::str_at(&status.details, "/kind") == "namespaces";
    namespace_missing || causes.iter().any(|cause| object::str_at(cause, "/reason") == "NamespaceTerminating")
}
