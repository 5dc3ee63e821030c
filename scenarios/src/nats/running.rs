//! What runs in each pod, and what was started again in the meantime. Pure.

use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;

/// The containers of some pods, by pod.
pub type Running = BTreeMap<String, Instance>;

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    pub id: Option<String>,
    pub restarts: i32,
    /// When the one before it ended, or else when it began, in milliseconds since 1970.
    pub since_ms: Option<u64>,
}

/// A container that is not the one that it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub told: String,
    /// When that came to be, where it is known.
    pub at_ms: Option<u64>,
}

impl Instance {
    pub fn of(status: &ContainerStatus) -> Self {
        let (id, restarts) = (status.container_id.clone(), status.restart_count);
        Self { id, restarts, since_ms: since(status).and_then(|at| u64::try_from(at.0.as_millisecond()).ok()) }
    }
}

fn since(status: &ContainerStatus) -> Option<&Time> {
    let states = [&status.state, &status.last_state].into_iter().flatten();
    let ended = states.filter_map(|state| state.terminated.as_ref()?.finished_at.as_ref()).next();
    ended.or_else(|| status.state.as_ref()?.running.as_ref()?.started_at.as_ref())
}

/// Which containers are not those that they were.
pub fn changed(before: &Running, now: &Running) -> Vec<Changed> {
    let differs = |(pod, was): (&String, &Instance)| match now.get(pod) {
        Some(is) if is.id == was.id && is.restarts == was.restarts => None,
        Some(is) => {
            let told = format!("{pod} was restarted ({} restarts before, {} now)", was.restarts, is.restarts);
            Some(Changed { told, at_ms: is.since_ms })
        }
        None => Some(Changed { told: format!("{pod} has no container any more"), at_ms: None }),
    };
    before.iter().filter_map(differs).collect()
}

/// All of them in words.
pub fn told(changed: &[Changed]) -> String {
    changed.iter().map(|changed| changed.told.as_str()).collect::<Vec<&str>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn running(entries: &[(&str, &str, i32)]) -> Running {
        let instance = |id: &str, restarts| Instance { id: Some(id.to_owned()), restarts, since_ms: None };
        entries.iter().map(|(pod, id, count)| ((*pod).to_owned(), instance(id, *count))).collect()
    }

    #[test]
    fn a_container_that_was_restarted_or_is_gone_is_not_the_same() {
        let before = running(&[("a", "1", 0), ("b", "2", 3)]);
        assert!(changed(&before, &running(&[("a", "1", 0), ("b", "2", 3), ("c", "9", 9)])).is_empty());
        assert_eq!(changed(&before, &running(&[("a", "1", 0), ("b", "4", 4)])).len(), 1);
        assert_eq!(told(&changed(&before, &running(&[("a", "1", 0)]))), "b has no container any more");
        let mut none = before.clone();
        none.insert("a".to_owned(), Instance::default());
        assert_eq!(changed(&before, &none).len(), 1);
    }

    #[test]
    fn a_restart_is_told_with_the_moment_at_which_the_container_ended() {
        let status = |state, last| {
            let status = json!({"name": "c", "image": "i", "imageID": "i", "ready": true, "restartCount": 1,
                "containerID": "new", "state": state, "lastState": last});
            Instance::of(&serde_json::from_value(status).unwrap())
        };
        let running_since = |at: &str| json!({"running": {"startedAt": at}});
        let ended = |at: &str| json!({"terminated": {"exitCode": 137, "finishedAt": at}});
        let (one, two) = ("1970-01-01T00:00:07Z", "1970-01-01T00:00:09Z");
        for (now, at_ms) in [
            (status(running_since(two), ended(one)), Some(7_000)),
            (status(ended(one), json!({})), Some(7_000)),
            (status(running_since(two), json!({})), Some(9_000)),
            (status(json!({"waiting": {"reason": "r"}}), json!({})), None),
        ] {
            let before = running(&[("a", "old", 0)]);
            assert_eq!(changed(&before, &[("a".to_owned(), now)].into())[0].at_ms, at_ms);
        }
    }
}
