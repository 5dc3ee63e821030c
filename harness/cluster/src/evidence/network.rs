//! Names, addresses and routes as pods see them, with the tools that their images have.

use super::objects::Found;
use super::sink::{Keep, Sink};
use super::{Scope, Task, absent};
use crate::exec::{self, Place};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::Value;
use std::time::Duration;

const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Names that every pod resolves, at most.
const NAMES: usize = 24;

/// Works with the tools of any small image; what is not there is left out.
const SCRIPT: &str = r##"
echo "# resolv.conf"; cat /etc/resolv.conf
echo "# addresses"; ip address 2>/dev/null || cat /proc/net/fib_trie
echo "# routes"; ip route 2>/dev/null || cat /proc/net/route
echo "# names"
for name in "$@"; do
  ( answer=$(getent hosts "$name" 2>&1 || nslookup "$name" 2>&1); echo "$name: ${answer:-no answer}" ) &
done
wait
echo "# connections"; cat /proc/net/tcp /proc/net/tcp6 2>/dev/null
"##;

/// One file of each pod that runs; the others are missing.
pub fn tasks<'a>(scope: Scope<'a>, found: &Found, pods: &[Pod], sink: &'a Sink<'a>) -> Vec<Task<'a>> {
    let names = names(found);
    for pod in pods {
        // Nobody asks one that has done its work.
        let is_done = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded");
        if let (Some(why), false) = (absent::not_running(pod), is_done) {
            let name = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
            sink.missing(format!("the network as {name} sees it: {why}"));
        }
    }
    let running = pods.iter().filter_map(|pod| Some((pod.namespace()?, pod.name_any(), running_container(pod)?)));
    let each = running.map(|(namespace, pod, container)| {
        let name = format!("network/{namespace}.{pod}.txt");
        let names = names.clone();
        Task::new(name.clone(), async move {
            let place = Place { namespace: &namespace, pod: &pod, container: &container };
            let command: Vec<&str> =
                ["sh", "-c", SCRIPT, "sh"].into_iter().chain(names.iter().map(String::as_str)).collect();
            match exec::exec(scope.access(), place, &command, ANSWERS_WITHIN).await {
                Ok(output) if output.success() => sink.text(&name, &output.stdout, Keep::Beginning),
                Ok(output) => {
                    let why = [output.stderr.trim(), "its image has no shell"].into_iter().find(|why| !why.is_empty());
                    sink.missing(format!("the network as {place} sees it: {}", why.unwrap_or_default()));
                }
                Err(trouble) => {
                    sink.missing(format!("the network as {place} sees it: {}", first_line(&trouble.message)))
                }
            }
        })
    });
    each.collect()
}

/// An error repeats the whole script.
fn first_line(message: &str) -> &str {
    message.rsplit(": ").next().unwrap_or(message).trim()
}

/// The API server and every Service, as pods of other namespaces call them.
fn names(found: &Found) -> Vec<String> {
    let name = |service: &Value| {
        let metadata = &service["metadata"];
        Some(format!("{}.{}.svc", metadata["name"].as_str()?, metadata["namespace"].as_str()?))
    };
    std::iter::once("kubernetes.default.svc".to_owned())
        .chain(found.of("services").filter_map(name))
        .take(NAMES)
        .collect()
}

fn running_container(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let runs = statuses.iter().find(|c| c.state.as_ref().is_some_and(|state| state.running.is_some()));
    runs.map(|container| container.name.clone())
}
