//! The identity of pods: their ServiceAccount and the volume with its token.

use embedded_apimachinery::resource::SERVICE_ACCOUNTS;
use embedded_apimachinery::{Result, Status, object};
use serde_json::{Value, json};

use super::Request;
use crate::registry::random_suffix;

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const DEFAULT_MODE: i64 = 0o644;
/// Odd on purpose: one hour and seven seconds tells default tokens from requested ones.
const EXPIRATION_SECONDS: i64 = 3607;

pub fn admit(request: &Request<'_>, pod: &mut Value) -> Result<()> {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    if object::annotation(pod, MIRROR).is_some() {
        return Ok(());
    }
    let stated = object::str_at(pod, "/spec/serviceAccountName").to_owned();
    let name = if stated.is_empty() { "default".to_owned() } else { stated };
    let spec = object::map_at_mut(pod, &["spec"]);
    spec.insert("serviceAccountName".into(), name.clone().into());
    spec.insert("serviceAccount".into(), name.clone().into());
    let Some(account) = request.server.find(&SERVICE_ACCOUNTS, request.namespace, &name) else {
        let missing =
            Status::not_found(&SERVICE_ACCOUNTS, &name).message.replacen("serviceaccounts", "serviceaccount", 1);
        let why = format!("error looking up service account {}/{name}: {missing}", request.namespace);
        return Err(Status::forbidden(&request.resource.id, object::name(pod), &why));
    };
    if object::list_at(pod, "/spec/imagePullSecrets").is_empty()
        && let Some(secrets) = account.get("imagePullSecrets")
    {
        pod["spec"]["imagePullSecrets"] = secrets.clone();
    }
    if wants_token(&account, pod) {
        mount_token(pod);
    }
    Ok(())
}

fn wants_token(account: &Value, pod: &Value) -> bool {
    let asked = |o: Option<&Value>| o.and_then(Value::as_bool);
    asked(pod.pointer("/spec/automountServiceAccountToken"))
        .or_else(|| asked(account.get("automountServiceAccountToken")))
        .unwrap_or(true)
}

fn mount_token(pod: &mut Value) {
    let existing = object::list_at(pod, "/spec/volumes")
        .iter()
        .map(|v| object::str_at(v, "/name"))
        .find(|name| name.starts_with(VOLUME_PREFIX))
        .map(str::to_owned);
    let volume = existing.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", random_suffix()));
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let mut mounts = object::list_at(container, "/volumeMounts").to_vec();
            if mounts.iter().any(|m| object::str_at(m, "/mountPath") == MOUNT_PATH) {
                continue;
            }
            mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
            container["volumeMounts"] = mounts.into();
            mounted = true;
        }
    }
    if mounted && existing.is_none() {
        let mut volumes = object::list_at(pod, "/spec/volumes").to_vec();
        volumes.push(token_volume(&volume));
        pod["spec"]["volumes"] = volumes.into();
    }
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"sources": [
        {"serviceAccountToken": {"expirationSeconds": EXPIRATION_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace",
            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ], "defaultMode": DEFAULT_MODE}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_gets_the_token_once() {
        let mut pod = json!({"spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "c",
            "volumeMounts": [{"name": "own", "mountPath": MOUNT_PATH}]}]}});
        mount_token(&mut pod);
        assert_eq!(object::list_at(&pod, "/spec/volumes").len(), 1);
        assert_eq!(object::list_at(&pod, "/spec/initContainers/0/volumeMounts").len(), 1);
        assert_eq!(object::list_at(&pod, "/spec/containers/0/volumeMounts").len(), 1);
    }

    #[test]
    fn the_pod_decides_before_its_account() {
        let refusing = json!({"automountServiceAccountToken": false});
        assert!(!wants_token(&refusing, &json!({"spec": {}})));
        assert!(wants_token(&refusing, &json!({"spec": {"automountServiceAccountToken": true}})));
        assert!(wants_token(&json!({}), &json!({"spec": {}})));
    }
}
