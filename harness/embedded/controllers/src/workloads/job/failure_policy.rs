//! `podFailurePolicy`: what the way a pod failed means for its Job.

use embedded_apimachinery::object::{self, list_at, str_at};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Counted,
    /// Replaced without being counted.
    Ignored,
    FailIndex,
    FailJob,
}

/// The first rule that matches decides; without one the failure counts. Only pods that reached phase Failed are judged.
pub fn effect(job: &Value, pod: &Value) -> Effect {
    judge(job, pod).map_or(Effect::Counted, |(effect, _)| effect)
}

/// Why this pod fails the whole Job, if it does.
pub fn fatal(job: &Value, pod: &Value) -> Option<String> {
    judge(job, pod).filter(|(effect, _)| *effect == Effect::FailJob).map(|(_, why)| why)
}

fn judge(job: &Value, pod: &Value) -> Option<(Effect, String)> {
    if str_at(pod, "/status/phase") != "Failed" {
        return None;
    }
    let rules = list_at(job, "/spec/podFailurePolicy/rules").iter().enumerate();
    rules.into_iter().find_map(|(index, rule)| {
        let action = str_at(rule, "/action");
        let what = exit_code_match(rule, pod).or_else(|| condition_match(rule, pod))?;
        let effect = match action {
            "Ignore" => Effect::Ignored,
            "FailJob" => Effect::FailJob,
            "FailIndex" => Effect::FailIndex,
            _ => Effect::Counted,
        };
        Some((effect, format!("{what} matching {action} rule at index {index}")))
    })
}

fn exit_code_match(rule: &Value, pod: &Value) -> Option<String> {
    let wanted = rule.get("onExitCodes")?;
    let statuses =
        list_at(pod, "/status/containerStatuses").iter().chain(list_at(pod, "/status/initContainerStatuses"));
    let mut failures = statuses.filter_map(|status| {
        let code = status.pointer("/state/terminated/exitCode")?.as_i64().filter(|code| *code != 0)?;
        Some((str_at(status, "/name"), code))
    });
    let named = str_at(wanted, "/containerName");
    let listed = |code: i64| list_at(wanted, "/values").iter().any(|v| v.as_i64() == Some(code));
    let excludes = str_at(wanted, "/operator") == "NotIn";
    let (container, code) =
        failures.find(|(container, code)| (named.is_empty() || named == *container) && listed(*code) != excludes)?;
    Some(format!("Container {container} for pod {} failed with exit code {code}", full_name(pod)))
}

fn condition_match(rule: &Value, pod: &Value) -> Option<String> {
    let matches = |pattern: &&Value| {
        let status = Some(str_at(pattern, "/status")).filter(|s| !s.is_empty()).unwrap_or("True");
        object::condition(pod, str_at(pattern, "/type")).is_some_and(|c| str_at(c, "/status") == status)
    };
    let pattern = list_at(rule, "/onPodConditions").iter().find(matches)?;
    Some(format!("Pod {} has condition {}", full_name(pod), str_at(pattern, "/type")))
}

fn full_name(pod: &Value) -> String {
    format!("{}/{}", object::namespace(pod), object::name(pod))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_matching_rule_decides() {
        let job = json!({"spec": {"podFailurePolicy": {"rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [42]}},
            {"action": "FailIndex", "onExitCodes": {"operator": "NotIn", "values": [1, 42]}}]}}});
        let pod = |container: &str, code: i64, conditions: Value| {
            json!({"metadata": {"name": "p", "namespace": "ns"}, "status": {"phase": "Failed", "conditions": conditions,
                "containerStatuses": [{"name": container, "state": {"terminated": {"exitCode": code}}}]}})
        };
        let disrupted = json!([{"type": "DisruptionTarget", "status": "True"}]);
        for (pod, expected) in [
            (pod("c", 42, disrupted), Effect::Ignored),
            (pod("c", 42, json!([])), Effect::FailJob),
            (pod("d", 42, json!([])), Effect::Counted),
            (pod("c", 1, json!([])), Effect::Counted),
            (pod("c", 7, json!([])), Effect::FailIndex),
        ] {
            assert_eq!(effect(&job, &pod), expected, "{pod}");
        }
        assert_eq!(
            fatal(&job, &pod("c", 42, json!([]))).as_deref(),
            Some("Container c for pod ns/p failed with exit code 42 matching FailJob rule at index 1")
        );
    }
}
