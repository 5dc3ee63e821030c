//! What containers wrote: the present instance of each and, where it was restarted, the one before.

use super::sink::{Keep, Sink};
use super::{Scope, Task, absent};
use crate::access::Access;
use crate::exec::{self, Place};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// One log of each container and instance, those that are not ready first.
pub fn tasks<'a>(scope: Scope<'a>, pods: &[Pod], sink: &'a Sink<'a>) -> Vec<Task<'a>> {
    for pod in pods {
        for (container, why) in absent::never_started(pod) {
            let (namespace, pod) = (pod.namespace().unwrap_or_default(), pod.name_any());
            sink.missing(format!("no log of {namespace}/{pod}/{container}: it never started ({why})"));
        }
    }
    let mut wanted: Vec<(bool, String, String, Container)> = Vec::new();
    for pod in pods {
        let place = (pod.namespace().unwrap_or_default(), pod.name_any());
        wanted.extend(
            containers(pod).into_iter().map(|container| (container.ready, place.0.clone(), place.1.clone(), container)),
        );
    }
    wanted.sort_by_key(|(ready, ..)| *ready);
    let instances = wanted.into_iter().flat_map(|(_, namespace, pod, container)| {
        let previous = container.restarted.then_some(true);
        [Some(false), previous]
            .into_iter()
            .flatten()
            .map(move |previous| (namespace.clone(), pod.clone(), container.name.clone(), previous))
    });
    let each = instances.map(|(namespace, pod, container, previous)| {
        let suffix = if previous { ".previous.log" } else { ".log" };
        let name = format!("logs/{namespace}.{pod}.{container}{suffix}");
        Task::new(name.clone(), async move {
            let place = Place { namespace: &namespace, pod: &pod, container: &container };
            match exec::logs(scope.access(), place, previous, None).await {
                Ok(text) => sink.text(&name, &text, Keep::End),
                Err(error) => sink.missing(format!("no log of {place}: {error}")),
            }
        })
    });
    each.collect()
}

struct Container {
    name: String,
    restarted: bool,
    ready: bool,
}

/// Containers that ever started, of whatever sort.
fn containers(pod: &Pod) -> Vec<Container> {
    let status = pod.status.clone().unwrap_or_default();
    let all = [status.init_container_statuses, status.container_statuses, status.ephemeral_container_statuses];
    let started = all
        .into_iter()
        .flatten()
        .flatten()
        .filter(|c| c.state.as_ref().is_some_and(|state| state.waiting.is_none()) || c.restart_count > 0);
    started.map(|c| Container { name: c.name, restarted: c.restart_count > 0, ready: c.ready }).collect()
}

/// Names of the containers that ever started.
pub(super) fn started(pod: &Pod) -> Vec<String> {
    containers(pod).into_iter().map(|container| container.name).collect()
}

/// The last lines of every container that is not ready, for a message that cannot wait for a folder to be read.
pub async fn last_words(access: &Access, pods: &[std::sync::Arc<Pod>], lines: i64) -> Vec<String> {
    let mut words = Vec::new();
    for pod in pods {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        for status in pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten()).filter(|c| !c.ready) {
            let place = Place { namespace: &namespace, pod: &name, container: &status.name };
            let mut text = exec::logs(access, place, false, Some(lines)).await.unwrap_or_default();
            if text.trim().is_empty() {
                text = exec::logs(access, place, true, Some(lines)).await.unwrap_or_default();
            }
            if !text.trim().is_empty() {
                words.push(format!("last words of {place}:\n    {}", text.trim_end().replace('\n', "\n    ")));
            }
        }
    }
    words
}
