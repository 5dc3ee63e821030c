//! What is worth knowing of all the objects, in words: as `kubectl describe` would say it, in one place.

use super::objects::Found;
use serde_json::Value;
use std::fmt::Write as _;

/// Nodes, workloads, pods, budgets and claims; for pods everything that is not as it should be.
pub fn summary(found: &Found) -> String {
    let parts = [
        section("Nodes", found.of("nodes").map(node)),
        section(
            "Workloads",
            ["deployments", "statefulsets", "daemonsets", "jobs"]
                .into_iter()
                .flat_map(|kind| found.of(kind))
                .map(workload),
        ),
        section("Pods", found.of("pods").map(pod)),
        section("Disruption budgets", found.of("poddisruptionbudgets").map(budget)),
        section("Claims", found.of("persistentvolumeclaims").map(claim)),
    ];
    parts.concat()
}

fn section(title: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { String::new() } else { format!("{title}\n{}\n", lines.concat()) }
}

/// `namespace/name`, or the name alone of what is the cluster's.
fn name(object: &Value) -> String {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    metadata["namespace"].as_str().map_or(name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

fn list<'a>(object: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// Conditions that are not as `good` says, with their reasons.
fn conditions(object: &Value, good: impl Fn(&str, &str) -> bool) -> String {
    let bad = list(object, "/status/conditions").filter(|c| !good(text(c, "type"), text(c, "status")));
    let told = bad.map(|c| {
        let (kind, status, reason) = (text(c, "type"), text(c, "status"), text(c, "reason"));
        format!("    {kind} is {status} since {}: {reason} {}\n", text(c, "lastTransitionTime"), text(c, "message"))
    });
    told.collect()
}

fn node(node: &Value) -> String {
    let taints = list(node, "/spec/taints").map(|taint| format!("{}:{}", text(taint, "key"), text(taint, "effect")));
    let taints: Vec<String> = taints.collect();
    let info = &node["status"]["nodeInfo"];
    let mut told = format!(
        "  {} kubelet {}, {}, {}",
        name(node),
        text(info, "kubeletVersion"),
        text(info, "containerRuntimeVersion"),
        text(info, "kernelVersion")
    );
    if node["spec"]["unschedulable"] == true {
        told.push_str(", cordoned");
    }
    if !taints.is_empty() {
        let _ = write!(told, ", taints {}", taints.join(" "));
    }
    let good = |kind: &str, status: &str| if kind == "Ready" { status == "True" } else { status == "False" };
    format!("{told}\n{}", conditions(node, good))
}

fn workload(workload: &Value) -> String {
    let status = &workload["status"];
    let number = |field: &str| status[field].as_u64().unwrap_or(0);
    let wanted = workload["spec"]["replicas"].as_u64().or(status["desiredNumberScheduled"].as_u64());
    let told = match wanted {
        Some(wanted) => {
            let ready = number("readyReplicas").max(number("numberReady"));
            format!(
                "{wanted} wanted, {ready} ready, {} updated",
                number("updatedReplicas").max(number("updatedNumberScheduled"))
            )
        }
        None => format!("{} active, {} succeeded, {} failed", number("active"), number("succeeded"), number("failed")),
    };
    let good = |kind: &str, status: &str| (status == "True") != kind.contains("Fail");
    format!("  {}: {told}\n{}", name(workload), conditions(workload, good))
}

fn pod(pod: &Value) -> String {
    let status = &pod["status"];
    let mut told = format!("  {} {} on {}", name(pod), text(status, "phase"), text(&pod["spec"], "nodeName"));
    let _ = write!(told, ", address {}", text(status, "podIP"));
    for field in ["reason", "message"] {
        if let Some(why) = status[field].as_str() {
            let _ = write!(told, ", {why}");
        }
    }
    if let Some(at) = pod["metadata"]["deletionTimestamp"].as_str() {
        let _ = write!(told, ", to be gone since {at}");
    }
    told.push('\n');
    for statuses in ["/status/initContainerStatuses", "/status/containerStatuses", "/status/ephemeralContainerStatuses"]
    {
        told.extend(list(pod, statuses).map(container));
    }
    let good = |_: &str, status: &str| status == "True";
    if text(status, "phase") != "Succeeded" {
        told.push_str(&conditions(pod, good));
    }
    told
}

fn container(container: &Value) -> String {
    let ready = if container["ready"] == true { "ready" } else { "not ready" };
    let restarts = container["restartCount"].as_u64().unwrap_or(0);
    let mut told = format!("    {}: {ready}, {}", text(container, "name"), state(&container["state"]));
    if restarts > 0 {
        let _ = write!(told, ", {restarts} restarts, before: {}", state(&container["lastState"]));
    }
    format!("{told}, image {}\n", text(container, "imageID"))
}

fn state(state: &Value) -> String {
    let (running, waiting, ended) = (&state["running"], &state["waiting"], &state["terminated"]);
    if running.is_object() {
        format!("running since {}", text(running, "startedAt"))
    } else if waiting.is_object() {
        format!("waiting: {} {}", text(waiting, "reason"), text(waiting, "message")).trim_end().to_owned()
    } else if ended.is_object() {
        let (reason, message) = (text(ended, "reason"), text(ended, "message"));
        format!("ended {} at {}: {reason} {message}", ended["exitCode"], text(ended, "finishedAt"))
            .trim_end()
            .to_owned()
    } else {
        "never".to_owned()
    }
}

fn budget(budget: &Value) -> String {
    let number = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let (healthy, wanted, allowed) = (number("currentHealthy"), number("desiredHealthy"), number("disruptionsAllowed"));
    format!("  {}: {healthy} healthy of {wanted} at least, {allowed} disruptions allowed\n", name(budget))
}

fn claim(claim: &Value) -> String {
    format!("  {} {} {}\n", name(claim), text(&claim["status"], "phase"), text(&claim["spec"], "volumeName"))
}

/// The event objects, the newest last.
pub fn events(found: &Found) -> String {
    let mut lines: Vec<String> = found.of("events").map(event).collect();
    lines.sort();
    lines.dedup();
    lines.concat()
}

fn event(event: &Value) -> String {
    let at = [
        &event["lastTimestamp"],
        &event["series"]["lastObservedTime"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ];
    let at = at.into_iter().find_map(Value::as_str).unwrap_or_default();
    let about = if event["involvedObject"].is_object() { &event["involvedObject"] } else { &event["regarding"] };
    let count = event["count"].as_u64().or(event["series"]["count"].as_u64()).filter(|count| *count > 1);
    let times = count.map_or(String::new(), |count| format!(" ({count} times)"));
    let message = event["message"].as_str().or(event["note"].as_str()).unwrap_or_default();
    let (kind, name) = (text(about, "kind"), text(about, "name"));
    format!("{at} {} {kind} {name} {}: {message}{times}\n", text(event, "type"), text(event, "reason"))
}

#[cfg(test)]
mod tests {
    use super::super::objects::Listed;
    use super::*;
    use serde_json::json;

    fn found(lists: &[(&str, Value)]) -> Found {
        let listed = lists.iter().map(|(plural, object)| Listed {
            place: "shop".to_owned(),
            plural: (*plural).to_owned(),
            objects: vec![object.clone()],
        });
        Found { listed: listed.collect() }
    }

    #[test]
    fn what_is_not_as_it_should_be_is_said_and_the_rest_is_short() {
        let node = json!({"metadata": {"name": "n1"}, "spec": {"unschedulable": true, "taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {"nodeInfo": {"kubeletVersion": "v1"}, "conditions": [
                {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "silent", "lastTransitionTime": "t"},
                {"type": "MemoryPressure", "status": "False"}]}});
        let pod = json!({"metadata": {"namespace": "shop", "name": "db-0"}, "spec": {"nodeName": "n1"},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"name": "db", "ready": false, "restartCount": 2,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "t1"}}}],
                "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}, {"type": "PodScheduled", "status": "True"}]}});
        let told = summary(&found(&[("nodes", node), ("pods", pod)]));
        for expected in [
            "n1 kubelet v1",
            "cordoned, taints k:NoSchedule",
            "Ready is Unknown since t: NodeStatusUnknown silent",
            "shop/db-0 Running on n1, address 10.0.0.1",
            "db: not ready, waiting: CrashLoopBackOff back-off, 2 restarts, before: ended 137 at t1: OOMKilled",
            "Ready is False",
        ] {
            assert!(told.contains(expected), "{expected:?} is not in\n{told}");
        }
        assert!(!told.contains("MemoryPressure") && !told.contains("PodScheduled"), "{told}");
    }

    #[test]
    fn events_are_in_order_whichever_api_they_came_by() {
        let old = json!({"lastTimestamp": "2026-01-01T00:00:02Z", "type": "Warning", "reason": "Killing", "message": "b", "count": 3,
            "involvedObject": {"kind": "Pod", "name": "db-0"}});
        let new = json!({"eventTime": "2026-01-01T00:00:01.5Z", "type": "Normal", "reason": "Scheduled", "note": "a",
            "regarding": {"kind": "Pod", "name": "db-0"}});
        let told = events(&found(&[("events", old), ("events", new)]));
        assert_eq!(
            told,
            "2026-01-01T00:00:01.5Z Normal Pod db-0 Scheduled: a\n2026-01-01T00:00:02Z Warning Pod db-0 Killing: b (3 times)\n"
        );
    }
}
