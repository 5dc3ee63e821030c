//! Server-side apply of many objects, with every error reported and none hiding another.

use crate::access::{Access, MANAGER, RUN_LABEL, said};
use crate::order;
use crate::ownership;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How long the controller of ServiceAccounts may take to make that of a new namespace.
const ACCOUNT_COMES_WITHIN: Duration = Duration::from_secs(10);

/// Between two tries; a watch would need a permission that nothing else needs.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Applies objects in dependency order, labelled with the run. On a cluster that has other users they must stand in
/// namespaces of the run.
///
/// # Errors
/// Every object that the API refused, with what it said.
pub async fn apply(access: &Access, run: &str, objects: Vec<Value>) -> Result<usize, Trouble> {
    Applying { access, run, among_others: false }.apply(objects).await
}

/// The same for what has to stand beside objects of others. Nothing of theirs is changed.
///
/// # Errors
/// As [`apply`].
pub async fn apply_among_others(access: &Access, run: &str, objects: Vec<Value>) -> Result<usize, Trouble> {
    Applying { access, run, among_others: true }.apply(objects).await
}

struct Applying<'a> {
    access: &'a Access,
    run: &'a str,
    /// Namespaces may be anybody's.
    among_others: bool,
}

impl Applying<'_> {
    async fn apply(&self, mut objects: Vec<Value>) -> Result<usize, Trouble> {
        order::by_dependency(&mut objects);
        let kinds = self.access.kinds().await.or_trouble(|| "cannot discover the API's kinds")?;
        let mut refused = Vec::new();
        let count = objects.len();
        for mut object in objects {
            label(&mut object, self.run);
            if let Err(why) = self.apply_in_time(&kinds, &object).await {
                refused.push(format!("{}: {why}", name_of(&object)));
            }
        }
        if refused.is_empty() {
            return Ok(count);
        }
        Err(Trouble::input(format!(
            "the API refused {} of {count} objects:\n  {}",
            refused.len(),
            refused.join("\n  ")
        )))
    }

    /// Pods are refused in a namespace that is so new that its ServiceAccount is not there yet; it comes by itself.
    async fn apply_in_time(&self, kinds: &Discovery, object: &Value) -> Result<(), String> {
        let until = Instant::now() + ACCOUNT_COMES_WITHIN;
        loop {
            match self.apply_one(kinds, object).await {
                Err(why) if is_too_early(&why) && Instant::now() < until => tokio::time::sleep(ASK_EVERY).await,
                applied => return applied,
            }
        }
    }

    async fn apply_one(&self, kinds: &Discovery, object: &Value) -> Result<(), String> {
        let (resource, capabilities) = resolve(kinds, object)?;
        let name = object["metadata"]["name"].as_str().ok_or("metadata.name is missing")?;
        let namespace = object["metadata"]["namespace"].as_str();
        let is_namespaced = matches!(capabilities.scope, Scope::Namespaced);
        let api = api_for(self.access, &resource, namespace.filter(|_| is_namespaced), is_namespaced);
        if self.access.is_shared {
            if is_namespaced {
                self.check_namespace(namespace).await?;
            }
            let found = api.get_opt(name).await.map_err(|error| said(&error))?;
            if let Some(found) = found
                && !ownership::may_change(self.access, self.run, &found).await.map_err(|error| said(&error))?
            {
                // A kind that is there already serves as well as one of ours would.
                let serves = object["kind"] == "CustomResourceDefinition";
                return if serves { Ok(()) } else { Err("it exists already and is not this run's".to_owned()) };
            }
        }
        let parameters = PatchParams::apply(MANAGER).force();
        api.patch(name, &parameters, &Patch::Apply(object)).await.map_err(|error| said(&error))?;
        Ok(())
    }

    /// Whether something of ours may stand there.
    async fn check_namespace(&self, namespace: Option<&str>) -> Result<(), String> {
        let Some(namespace) = namespace else {
            return Err("it names no namespace, and the context's own is somebody else's".to_owned());
        };
        if self.among_others || ownership::is_of(self.access, self.run, namespace).await.map_err(|e| said(&e))? {
            return Ok(());
        }
        Err(format!("namespace {namespace} is not this run's"))
    }
}

/// Gives an object, and what controllers make from it, the label of the run.
fn label(object: &mut Value, run: &str) {
    object["metadata"]["labels"][RUN_LABEL] = Value::from(run);
    for template in ["/spec/template", "/spec/jobTemplate", "/spec/jobTemplate/spec/template"] {
        if let Some(template) = object.pointer_mut(template).filter(|template| template.is_object()) {
            template["metadata"]["labels"][RUN_LABEL] = Value::from(run);
        }
    }
    let claims = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
    for claim in claims.into_iter().flatten() {
        claim["metadata"]["labels"][RUN_LABEL] = Value::from(run);
    }
}

/// In the words of the admission plugin `ServiceAccount`, the only sign that it gives. Others than the default one do not
/// come by themselves.
fn is_too_early(why: &str) -> bool {
    why.contains("error looking up service account") && why.contains("serviceaccount \"default\" not found")
}

fn api_for(
    access: &Access,
    resource: &ApiResource,
    namespace: Option<&str>,
    is_namespaced: bool,
) -> Api<DynamicObject> {
    let client = access.client.clone();
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None if is_namespaced => Api::default_namespaced_with(client, resource),
        None => Api::all_with(client, resource),
    }
}

fn resolve(kinds: &Discovery, object: &Value) -> Result<(ApiResource, ApiCapabilities), String> {
    let types = TypeMeta {
        api_version: object["apiVersion"].as_str().unwrap_or_default().to_owned(),
        kind: object["kind"].as_str().unwrap_or_default().to_owned(),
    };
    let gvk = GroupVersionKind::try_from(&types).map_err(|error| error.to_string())?;
    kinds.resolve_gvk(&gvk).ok_or_else(|| format!("the cluster has no kind {} in {}", types.kind, types.api_version))
}

/// `Kind namespace/name`, as messages call an object.
pub fn name_of(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or("object");
    let name = object["metadata"]["name"].as_str().unwrap_or("without a name");
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_comes_of_an_object_carries_the_run() {
        let mut object = json!({"kind": "StatefulSet", "metadata": {"name": "db"}, "spec": {
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
        }});
        label(&mut object, "r1");
        let of = |path: &str| object.pointer(path).unwrap()["labels"].clone();
        assert_eq!(of("/metadata"), json!({RUN_LABEL: "r1"}));
        assert_eq!(of("/spec/template/metadata"), json!({"app": "db", RUN_LABEL: "r1"}));
        assert_eq!(of("/spec/volumeClaimTemplates/0/metadata"), json!({RUN_LABEL: "r1"}));
        let mut cron = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {}}}}}});
        label(&mut cron, "r1");
        assert_eq!(cron["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"][RUN_LABEL], "r1");
        let mut policy = json!({"kind": "ConfigMap", "spec": {"template": "text"}});
        label(&mut policy, "r1");
        assert_eq!(policy["spec"]["template"], "text");
    }

    #[test]
    fn only_the_lack_of_a_default_service_account_is_a_matter_of_time() {
        for (why, is_early) in [
            ("pods \"a\" is forbidden: error looking up service account n/b: serviceaccount \"b\" not found", false),
            (
                "pods \"a\" is forbidden: error looking up service account n/default: serviceaccount \"default\" not found",
                true,
            ),
            ("pods \"a\" is forbidden: exceeded quota: q", false),
            ("namespaces \"n\" not found", false),
        ] {
            assert_eq!(is_too_early(why), is_early, "{why}");
        }
    }
}
