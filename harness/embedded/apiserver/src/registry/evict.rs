//! Evictions: deletions that disruption budgets may refuse.
//!
//! The rules and texts of k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go. The budget is charged and the
//! pod is deleted under one lock, so that no two evictions can spend the same allowance.

use embedded_apimachinery::resource::{POD_DISRUPTION_BUDGETS, PODS};
use embedded_apimachinery::selector::LabelSelector;
use embedded_apimachinery::{DeleteOptions, Object, Result, Status, object, timestamp};
use serde_json::{Value, json};

use super::ApiServer;

/// More unconfirmed evictions than this mean that nobody keeps the budget up to date.
const MAX_DISRUPTED: usize = 2000;
/// Seconds after which a client may try again when a budget was not looked at yet.
const RETRY_AFTER: i64 = 10;

/// What the budgets of a pod say.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// Nothing stands in the way.
    Evict,
    /// One of the allowed disruptions is spent: the budget's new status.
    Spend(Value),
    Refuse(Status),
}

impl ApiServer {
    /// Deletes a pod if its disruption budget allows that now.
    pub(crate) fn evict(&self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<()> {
        let _writing = self.writes.lock();
        let pod = self.find(&PODS, namespace, name).ok_or_else(|| Status::not_found(&PODS, name))?;
        let (budgets, _) = self.store.list(&POD_DISRUPTION_BUDGETS, Some(namespace));
        let matching: Vec<Object> = budgets.into_iter().filter(|budget| selects(budget, &pod)).collect();
        let decision = decide(&pod, &matching, &timestamp::now_micro());
        if let Decision::Refuse(status) = decision {
            return Err(status);
        }
        let resource = self.stored(&PODS)?;
        super::delete::check_preconditions(&resource, &pod, options)?;
        let mut options = options.clone();
        options.preconditions.resource_version = None;
        if !options.dry_run {
            // The mark comes first: the controller knows by it which pod the allowance was spent on.
            self.store.update(&PODS, namespace, name, |pod| Ok(marked(pod)))?;
            if let Decision::Spend(status) = decision {
                self.store.update(&POD_DISRUPTION_BUDGETS, namespace, object::name(&matching[0]), |budget| {
                    let mut budget = Value::clone(budget);
                    budget["status"] = status;
                    Ok(budget)
                })?;
            }
        }
        self.delete_locked(&resource, namespace, name, &options).map(drop)
    }
}

fn selects(budget: &Value, pod: &Value) -> bool {
    LabelSelector::from_object(budget.pointer("/spec/selector")).is_some_and(|s| s.matches_object(pod))
}

/// The pod with the condition that says why it goes.
fn marked(pod: &Value) -> Value {
    let mut marked = pod.clone();
    let mut conditions = object::list_at(pod, "/status/conditions").to_vec();
    if object::condition_is_true(pod, "DisruptionTarget") {
        return marked;
    }
    conditions.retain(|c| c["type"] != "DisruptionTarget");
    conditions.push(json!({"type": "DisruptionTarget", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": timestamp::now(), "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting"}));
    object::map_at_mut(&mut marked, &["status"]).insert("conditions".into(), conditions.into());
    marked
}

/// Judges an eviction. `budgets` are those that select the pod; `now` is noted for the disruption controller.
pub fn decide(pod: &Value, budgets: &[Object], now: &str) -> Decision {
    let pending = object::str_at(pod, "/status/phase") == "Pending";
    if pending || object::pod_is_terminal(pod) || object::is_deleting(pod) {
        return Decision::Evict;
    }
    let budget = match budgets {
        [] => return Decision::Evict,
        [one] => one,
        _ => {
            let message =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Decision::Refuse(Status::new(500, "", message));
        }
    };
    if !object::pod_is_ready(pod) && unhealthy_may_go(budget) {
        return Decision::Evict;
    }
    spend(budget, object::name(pod), now).map_or_else(Decision::Refuse, Decision::Spend)
}

/// A pod that is not ready does not count as available, so its eviction need not cost anything.
fn unhealthy_may_go(budget: &Value) -> bool {
    if object::str_at(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow" {
        return true;
    }
    let desired = object::int_at(budget, "/status/desiredHealthy").unwrap_or(0);
    desired > 0 && object::int_at(budget, "/status/currentHealthy").unwrap_or(0) >= desired
}

fn spend(budget: &Value, pod: &str, now: &str) -> Result<Value> {
    let name = object::name(budget);
    let number = |field: &str| object::int_at(budget, &format!("/status/{field}")).unwrap_or(0);
    if number("observedGeneration") < object::generation(budget) {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        let mut refused = refusal(&cause);
        refused.details["retryAfterSeconds"] = RETRY_AFTER.into();
        return Err(refused);
    }
    let allowed = number("disruptionsAllowed");
    let disrupted = budget.pointer("/status/disruptedPods").and_then(Value::as_object).map_or(0, |m| m.len());
    if allowed < 0 {
        return Err(Status::forbidden(&POD_DISRUPTION_BUDGETS, name, "pdb disruptions allowed is negative"));
    }
    if disrupted > MAX_DISRUPTED {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden(&POD_DISRUPTION_BUDGETS, name, why));
    }
    if allowed == 0 {
        return Err(refusal(&match object::condition(budget, "DisruptionAllowed") {
            Some(c) if c["status"] == "False" && c["reason"] == "SyncFailed" => format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
                object::str_at(c, "/message")
            ),
            _ => format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                number("desiredHealthy"),
                number("currentHealthy")
            ),
        }));
    }
    Ok(spent(budget, pod, allowed - 1, now))
}

fn refusal(cause: &str) -> Status {
    Status::too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.")
        .with_details(json!({"causes": [{"reason": "DisruptionBudget", "message": cause}]}))
}

fn spent(budget: &Value, pod: &str, allowed: i64, now: &str) -> Value {
    let mut status = budget["status"].clone();
    status["disruptionsAllowed"] = allowed.into();
    let seconds = timestamp::parse(now).map_or_else(|| now.to_owned(), timestamp::format);
    object::map_at_mut(&mut status, &["disruptedPods"]).insert(pod.to_owned(), seconds.clone().into());
    if allowed == 0
        && let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut)
        && let Some(condition) = conditions.iter_mut().find(|c| c["type"] == "DisruptionAllowed")
    {
        if condition["status"] != "False" {
            condition["lastTransitionTime"] = seconds.into();
        }
        condition["status"] = "False".into();
        condition["reason"] = "InsufficientPods".into();
    }
    status
}

#[cfg(test)]
mod races;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00.000000Z";

    fn pod(phase: &str, ready: &str) -> Value {
        json!({"metadata": {"name": "web-0"},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn budget(allowed: i64, healthy: i64, desired: i64) -> Object {
        Object::new(json!({"metadata": {"name": "web", "generation": 1}, "spec": {},
            "status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": healthy,
                "desiredHealthy": desired}}))
    }

    #[test]
    fn pods_that_do_not_run_ignore_budgets() {
        for phase in ["Pending", "Succeeded", "Failed"] {
            assert_eq!(decide(&pod(phase, "True"), &[budget(0, 0, 1)], NOW), Decision::Evict, "{phase}");
        }
        let mut leaving = pod("Running", "True");
        leaving["metadata"]["deletionTimestamp"] = NOW.into();
        assert_eq!(decide(&leaving, &[budget(0, 0, 1)], NOW), Decision::Evict);
    }

    #[test]
    fn an_allowed_disruption_is_spent() {
        let Decision::Spend(status) = decide(&pod("Running", "True"), &[budget(1, 3, 2)], NOW) else {
            panic!("the eviction is allowed")
        };
        assert_eq!(status["disruptionsAllowed"], json!(0));
        assert_eq!(status["disruptedPods"], json!({"web-0": "2026-01-01T00:00:00Z"}));
    }

    #[test]
    fn an_exhausted_budget_refuses_and_says_why() {
        let Decision::Refuse(status) = decide(&pod("Running", "True"), &[budget(0, 2, 2)], NOW) else {
            panic!("the eviction is refused")
        };
        assert_eq!(status.code, 429);
        let cause = "The disruption budget web needs 2 healthy pods and has 2 currently";
        assert_eq!(status.details["causes"][0]["message"], json!(cause));
        assert!(status.details.get("retryAfterSeconds").is_none());
    }

    #[test]
    fn a_budget_not_observed_yet_asks_to_come_back() {
        let mut fresh = Value::clone(&budget(1, 1, 0));
        fresh["metadata"]["generation"] = 2.into();
        let Decision::Refuse(status) = decide(&pod("Running", "True"), &[Object::new(fresh)], NOW) else {
            panic!("the eviction is refused")
        };
        assert_eq!(status.details["retryAfterSeconds"], json!(10));
    }

    #[test]
    fn unready_pods_go_when_the_budget_is_met_without_them() {
        for (budget, expected) in [(budget(0, 2, 2), true), (budget(0, 1, 2), false), (budget(0, 0, 0), false)] {
            let decision = decide(&pod("Running", "False"), &[budget], NOW);
            assert_eq!(decision == Decision::Evict, expected, "{decision:?}");
        }
        let mut always = Value::clone(&budget(0, 0, 2));
        always["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow".into();
        assert_eq!(decide(&pod("Running", "False"), &[Object::new(always)], NOW), Decision::Evict);
    }

    #[test]
    fn two_budgets_are_an_error() {
        let Decision::Refuse(status) = decide(&pod("Running", "True"), &[budget(1, 3, 2), budget(1, 3, 2)], NOW) else {
            panic!("the eviction is refused")
        };
        assert_eq!(status.code, 500);
    }
}
