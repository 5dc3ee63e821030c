//! Security contexts: whom a container runs as, and what it may do.

use embedded_apimachinery::object;
use serde_json::Value;

use crate::runtime::{Capabilities, User};

/// The identity of a container. The error is the text of `CreateContainerConfigError`.
///
/// `image_user` is the image's `uid`, `uid:gid` or empty for root; `primary_gid` looks up a user's group in the image's
/// `/etc/passwd`.
pub fn user(
    pod: &Value,
    container: &Value,
    image_user: &str,
    primary_gid: impl Fn(u32) -> Option<u32>,
) -> Result<User, String> {
    let (image_uid, image_gid) = match image_user.split_once(':') {
        Some((uid, gid)) => (uid.parse().unwrap_or(0), gid.parse().ok()),
        None => (image_user.parse().unwrap_or(0), None),
    };
    let asked = setting(pod, container, "runAsUser").and_then(Value::as_u64).and_then(|uid| u32::try_from(uid).ok());
    let uid = asked.unwrap_or(image_uid);
    if uid == 0 && setting(pod, container, "runAsNonRoot").and_then(Value::as_bool) == Some(true) {
        let who = format!(
            "(pod: \"{}_{}({})\", container: {})",
            object::name(pod),
            object::namespace(pod),
            object::uid(pod),
            object::str_at(container, "/name")
        );
        return Err(match asked {
            Some(_) => format!("container's runAsUser breaks non-root policy {who}"),
            None => format!("container has runAsNonRoot and image will run as root {who}"),
        });
    }
    let group = setting(pod, container, "runAsGroup").and_then(Value::as_u64).and_then(|gid| u32::try_from(gid).ok());
    let of_image = if asked.is_none() { image_gid } else { None };
    let gid = group.or(of_image).or_else(|| primary_gid(uid)).unwrap_or(0);
    let supplemental = object::list_at(pod, "/spec/securityContext/supplementalGroups").iter();
    let all = supplemental.chain(pod.pointer("/spec/securityContext/fsGroup"));
    let mut additional_gids: Vec<u32> =
        all.filter_map(Value::as_u64).filter_map(|gid| u32::try_from(gid).ok()).collect();
    additional_gids.dedup();
    Ok(User { uid, gid, additional_gids })
}

/// A setting of the container, or else of the pod.
fn setting<'a>(pod: &'a Value, container: &'a Value, name: &str) -> Option<&'a Value> {
    let of = |holder: &'a Value| holder.get("securityContext")?.get(name).filter(|value| !value.is_null());
    of(container).or_else(|| of(pod.get("spec")?))
}

pub fn capabilities(container: &Value) -> Capabilities {
    let names = |pointer: &str| {
        object::list_at(container, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Capabilities { add: names("/securityContext/capabilities/add"), drop: names("/securityContext/capabilities/drop") }
}

pub fn is_privileged(container: &Value) -> bool {
    object::bool_at(container, "/securityContext/privileged")
}

pub fn forbids_new_privileges(container: &Value) -> bool {
    container.pointer("/securityContext/allowPrivilegeEscalation").and_then(Value::as_bool) == Some(false)
}

/// Whether the runtime's default profile of system calls applies. A profile of the node's own (`Localhost`) is not known
/// here: the default one is the nearest to it.
pub fn wants_seccomp(pod: &Value, container: &Value) -> bool {
    let profile = setting(pod, container, "seccompProfile").map(|profile| object::str_at(profile, "/type"));
    matches!(profile, Some("RuntimeDefault" | "Localhost")) && !is_privileged(container)
}

/// Kernel settings of the pod. Those of the node's network are not a pod's to change.
pub fn sysctls(pod: &Value) -> Vec<(String, String)> {
    let host_network = object::bool_at(pod, "/spec/hostNetwork");
    let pair = |entry: &Value| (object::str_at(entry, "/name").to_owned(), object::str_at(entry, "/value").to_owned());
    let all = object::list_at(pod, "/spec/securityContext/sysctls").iter().map(pair);
    all.filter(|(name, _)| !(host_network && name.starts_with("net."))).collect()
}

pub fn has_read_only_root(container: &Value) -> bool {
    object::bool_at(container, "/securityContext/readOnlyRootFilesystem")
}

/// The primary group of a user in this machine's `/etc/passwd`, which containers see too.
pub fn primary_gid(uid: u32) -> Option<u32> {
    nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.gid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(context: Value) -> Value {
        json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"securityContext": context}})
    }

    #[test]
    fn the_container_overrides_the_pod_which_overrides_the_image() {
        let container = json!({"name": "c", "securityContext": {"runAsUser": 5}});
        let context = json!({"runAsUser": 9, "runAsGroup": 8, "fsGroup": 7, "supplementalGroups": [6]});
        let found = user(&pod(context), &container, "1:2", |_| None).unwrap();
        assert_eq!(found, User { uid: 5, gid: 8, additional_gids: vec![6, 7] });
        let found = user(&pod(json!({})), &json!({"name": "c"}), "1:2", |_| Some(9)).unwrap();
        assert_eq!((found.uid, found.gid), (1, 2));
    }

    #[test]
    fn system_calls_are_filtered_where_a_profile_is_named() {
        let named = |kind: &str| json!({"seccompProfile": {"type": kind}});
        let of = |pod_profile: Value, context: Value| {
            wants_seccomp(&pod(pod_profile), &json!({"name": "c", "securityContext": context}))
        };
        assert!(of(named("RuntimeDefault"), json!({})));
        assert!(!of(named("RuntimeDefault"), named("Unconfined")));
        assert!(!of(json!({}), json!({})));
        assert!(!of(named("RuntimeDefault"), json!({"privileged": true})));
    }

    #[test]
    fn network_settings_are_not_for_pods_of_the_hosts_network() {
        let entry = |name: &str| json!({"name": name, "value": "1"});
        let mut pod = pod(json!({"sysctls": [entry("net.core.somaxconn"), entry("kernel.shm_rmid_forced")]}));
        assert_eq!(sysctls(&pod).len(), 2);
        pod["spec"]["hostNetwork"] = true.into();
        assert_eq!(sysctls(&pod), [("kernel.shm_rmid_forced".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn root_is_refused_where_it_must_not_run() {
        let container = json!({"name": "c"});
        let by_image = user(&pod(json!({"runAsNonRoot": true})), &container, "", |_| None).unwrap_err();
        assert_eq!(by_image, "container has runAsNonRoot and image will run as root (pod: \"p_ns(u)\", container: c)");
        let by_user = user(&pod(json!({"runAsNonRoot": true, "runAsUser": 0})), &container, "1", |_| None).unwrap_err();
        assert_eq!(by_user, "container's runAsUser breaks non-root policy (pod: \"p_ns(u)\", container: c)");
        assert!(user(&pod(json!({"runAsNonRoot": true})), &container, "65532", |_| None).is_ok());
    }
}
