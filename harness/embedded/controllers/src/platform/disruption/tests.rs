//! Figures and texts as recorded from Kubernetes 1.36.

use proptest::prelude::*;

use super::*;

#[test]
fn figures_are_those_of_the_recordings() {
    for (spec, selected, healthy, scale, expected) in [
        (json!({"minAvailable": 1}), 0, 0, 0, (0, 1, 0)),
        (json!({"minAvailable": 2}), 3, 3, 0, (3, 2, 1)),
        (json!({"minAvailable": 2}), 2, 2, 0, (2, 2, 0)),
        (json!({"minAvailable": 0}), 2, 2, 0, (2, 0, 2)),
        (json!({"minAvailable": 1}), 1, 0, 0, (1, 1, 0)),
        (json!({"minAvailable": "50%"}), 7, 7, 7, (7, 4, 3)),
        (json!({"minAvailable": "50%"}), 3, 3, 3, (3, 2, 1)),
        (json!({"maxUnavailable": "30%"}), 7, 7, 7, (7, 4, 3)),
        (json!({"maxUnavailable": 0}), 7, 7, 7, (7, 7, 0)),
        (json!({"minAvailable": 9}), 7, 7, 7, (7, 9, 0)),
        (json!({"maxUnavailable": "50%"}), 1, 1, 0, (0, 0, 0)),
        (json!({"minAvailable": "50%"}), 1, 1, 0, (0, 0, 0)),
        (json!({"maxUnavailable": 1}), 2, 2, 2, (2, 1, 1)),
        (json!({"maxUnavailable": 5}), 2, 2, 2, (2, 0, 2)),
        (json!({}), 2, 2, 2, (0, 0, 0)),
    ] {
        let figures = allowance(&spec, selected, healthy, scale);
        assert_eq!((figures.expected, figures.desired_healthy, figures.allowed), expected, "{spec}");
    }
}

fn amount() -> impl Strategy<Value = Value> {
    prop_oneof![(0..12_i64).prop_map(Value::from), (0..=100_i64).prop_map(|p| Value::from(format!("{p}%")))]
}

proptest! {
    #[test]
    fn evicting_all_that_is_allowed_leaves_what_is_desired(amount in amount(), max in any::<bool>(),
                                                           scale in 0..20_i64, healthy in 0..20_i64) {
        let spec = if max { json!({"maxUnavailable": amount}) } else { json!({"minAvailable": amount}) };
        let figures = allowance(&spec, scale, healthy, scale);
        prop_assert!(figures.allowed >= 0 && figures.allowed <= healthy);
        prop_assert!(figures.allowed == 0 || healthy - figures.allowed >= figures.desired_healthy);
        prop_assert!(figures.desired_healthy >= 0);
    }

    #[test]
    fn more_healthy_pods_never_allow_less(amount in amount(), scale in 1..20_i64, healthy in 0..20_i64) {
        let spec = json!({"minAvailable": amount});
        prop_assert!(allowance(&spec, scale, healthy, scale).allowed <= allowance(&spec, scale, healthy + 1, scale).allowed);
    }
}

fn budget(spec: Value) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    json!({"metadata": {"name": "b", "namespace": "ns", "generation": 1, "uid": "b"}, "spec": spec, "status": {}})
}

fn pod(name: &str, owner: Option<(&str, &str)>) -> Value {
    let mut pod = json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "labels": {"app": "web"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    if let Some((kind, uid)) = owner {
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "batch/v1", "kind": kind, "name": uid, "uid": uid, "controller": true}]);
    }
    pod
}

fn planned(objects: Vec<(GroupResource, Value)>, now: DateTime<Utc>) -> Plan {
    DisruptionBudgets.plan(&View::of(objects), &ObjectKey::new("ns", "b"), now)
}

fn written(plan: &Plan) -> &Value {
    let status = plan.actions.iter().find_map(|action| match action {
        Action::Write { object, subresource: "status", .. } => Some(&object["status"]),
        _ => None,
    });
    status.unwrap_or_else(|| panic!("no status in {plan:?}"))
}

fn events(plan: &Plan) -> Vec<(&str, &str)> {
    let event = |action: &'_ Action| match action {
        Action::Event { reason, .. } => Some(*reason),
        _ => None,
    };
    let message = |action: &'_ Action| match action {
        Action::Event { message, .. } => message.clone(),
        _ => String::new(),
    };
    plan.actions.iter().filter_map(|a| Some((event(a)?, &*message(a).leak()))).collect()
}

#[test]
fn replicas_of_a_deployment_are_counted_through_its_replica_sets() {
    let set = json!({"metadata": {"name": "rs", "namespace": "ns", "uid": "rs", "ownerReferences": [
        {"kind": "Deployment", "name": "d", "uid": "d", "controller": true}]}, "spec": {"replicas": 3}});
    let deployment = json!({"metadata": {"name": "d", "namespace": "ns", "uid": "d"}, "spec": {"replicas": 7}});
    let plan = planned(
        vec![
            (POD_DISRUPTION_BUDGETS, budget(json!({"maxUnavailable": "30%"}))),
            (REPLICA_SETS, set),
            (DEPLOYMENTS, deployment),
            (PODS, pod("p1", Some(("ReplicaSet", "rs")))),
            (PODS, pod("p2", Some(("ReplicaSet", "rs")))),
        ],
        Utc::now(),
    );
    let status = written(&plan);
    assert_eq!(
        (&status["expectedPods"], &status["desiredHealthy"], &status["currentHealthy"]),
        (&7.into(), &4.into(), &2.into())
    );
}

#[test]
fn pods_without_a_controller_are_complained_about() {
    let objects = vec![(POD_DISRUPTION_BUDGETS, budget(json!({"maxUnavailable": "50%"}))), (PODS, pod("bare", None))];
    let plan = planned(objects, Utc::now());
    assert_eq!(written(&plan)["expectedPods"], 0);
    let (reason, message) = events(&plan)[0];
    assert_eq!(reason, "UnmanagedPods");
    assert!(message.contains(
        "(selector: &LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},})"
    ));
}

#[test]
fn controllers_without_a_scale_allow_nothing() {
    let objects =
        vec![(POD_DISRUPTION_BUDGETS, budget(json!({"maxUnavailable": 1}))), (PODS, pod("p", Some(("Job", "j"))))];
    let plan = planned(objects, Utc::now());
    let status = written(&plan);
    assert_eq!(status["disruptionsAllowed"], 0);
    assert_eq!(status["conditions"][0]["reason"], "SyncFailed");
    assert_eq!(status["conditions"][0]["message"], "jobs.batch does not implement the scale subresource");
}

#[test]
fn granted_evictions_count_as_done_for_two_minutes() {
    let now = Utc::now();
    for (age, healthy, kept) in [(10, 1, true), (121, 2, false)] {
        let granted = timestamp::format(now - TimeDelta::seconds(age));
        let mut budget = budget(json!({"minAvailable": 1}));
        budget["status"] = json!({"disruptedPods": {"p1": granted, "gone": granted}});
        let mut evicted = pod("p1", None);
        let mark = json!({"type": "DisruptionTarget", "status": "True"});
        evicted["status"]["conditions"].as_array_mut().unwrap().push(mark);
        let objects = vec![(POD_DISRUPTION_BUDGETS, budget), (PODS, evicted), (PODS, pod("p2", None))];
        let plan = planned(objects, now);
        assert_eq!(written(&plan)["currentHealthy"], healthy);
        assert_eq!(written(&plan)["disruptedPods"].get("p1").is_some(), kept);
        assert_eq!(plan.recheck.is_some(), kept);
        assert_eq!(events(&plan).is_empty(), kept);
    }
}

#[test]
fn a_pod_that_came_back_under_its_name_is_not_the_one_that_was_let_go() {
    let now = Utc::now();
    let mut budget = budget(json!({"minAvailable": 1}));
    budget["status"] = json!({"disruptedPods": {"p1": timestamp::format(now - TimeDelta::seconds(10))}});
    let objects = vec![(POD_DISRUPTION_BUDGETS, budget), (PODS, pod("p1", None)), (PODS, pod("p2", None))];
    let plan = planned(objects, now);
    assert_eq!(written(&plan)["currentHealthy"], 2);
    assert!(written(&plan).get("disruptedPods").is_none());
}

#[test]
fn a_status_that_is_right_is_left_alone() {
    let mut budget = budget(json!({"minAvailable": 1}));
    let first = planned(vec![(POD_DISRUPTION_BUDGETS, budget.clone()), (PODS, pod("p1", None))], Utc::now());
    budget["status"] = written(&first).clone();
    let second = planned(vec![(POD_DISRUPTION_BUDGETS, budget), (PODS, pod("p1", None))], Utc::now());
    assert!(second.actions.is_empty(), "{second:?}");
}

#[test]
fn only_budgets_that_select_the_pod_are_looked_at() {
    let mut other = budget(json!({"minAvailable": 1}));
    other["metadata"]["name"] = "other".into();
    other["spec"]["selector"] = json!({"matchLabels": {"app": "db"}});
    let view =
        View::of([(POD_DISRUPTION_BUDGETS, budget(json!({"minAvailable": 1}))), (POD_DISRUPTION_BUDGETS, other)]);
    let change = Change { resource: PODS, before: None, after: Some(Object::new(pod("p", None))) };
    assert_eq!(DisruptionBudgets.keys(&view, &change), [ObjectKey::new("ns", "b")]);
}
