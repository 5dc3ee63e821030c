//! Slices and Endpoints as recorded from Kubernetes 1.36.

use super::*;
use crate::runtime::Action;

fn service(spec: Value) -> (GroupResource, Value) {
    let mut service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "s", "namespace": "ns", "uid": "su"},
        "spec": {"selector": {"app": "a"}, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]}});
    for (key, value) in spec.as_object().unwrap() {
        service["spec"][key] = value.clone();
    }
    (SERVICES, service)
}

fn pod(name: &str, ready: bool) -> Value {
    json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "labels": {"app": "a"}},
        "spec": {"nodeName": "n1", "containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
}

fn slices(objects: Vec<(GroupResource, Value)>) -> Vec<Action> {
    EndpointSlices.plan(&View::of(objects), &ObjectKey::new("ns", "s"), Utc::now()).actions
}

fn made(actions: &[Action]) -> &Value {
    match actions {
        [Action::Create { object, .. } | Action::Update { object, .. }] => object,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_without_pods_has_one_empty_slice() {
    let actions = slices(vec![service(json!({}))]);
    let slice = made(&actions);
    assert_eq!(slice["metadata"]["generateName"], "s-");
    assert_eq!(
        slice["metadata"]["labels"],
        json!({"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": "s"})
    );
    assert_eq!(slice["metadata"]["ownerReferences"][0]["uid"], "su");
    assert_eq!((&slice["endpoints"], &slice["ports"]), (&Value::Null, &Value::Null));
}

#[test]
fn conditions_follow_readiness_deletion_and_publishing() {
    for (ready, deleting, publish, expected) in [
        (false, false, false, (false, false, false)),
        (true, false, false, (true, true, false)),
        (false, false, true, (true, false, false)),
        (true, true, false, (false, true, true)),
    ] {
        let mut pod = pod("p", ready);
        if deleting {
            pod["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
        }
        let actions = slices(vec![service(json!({"publishNotReadyAddresses": publish})), (PODS, pod)]);
        let conditions = &made(&actions)["endpoints"][0]["conditions"];
        let (r, s, t) = expected;
        assert_eq!(*conditions, json!({"ready": r, "serving": s, "terminating": t}));
    }
}

#[test]
fn an_endpoint_names_its_pod_node_zone_and_resolved_port() {
    let mut pod = pod("p-0", true);
    pod["spec"]["hostname"] = "p-0".into();
    pod["spec"]["subdomain"] = "s".into();
    let node = json!({"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}}});
    let actions = slices(vec![service(json!({"clusterIP": "None"})), (PODS, pod), (NODES, node)]);
    let slice = made(&actions);
    assert_eq!(slice["ports"], json!([{"name": "web", "protocol": "TCP", "port": 8080}]));
    assert_eq!(slice["metadata"]["labels"]["service.kubernetes.io/headless"], "");
    assert_eq!(
        slice["endpoints"][0],
        json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
            "hostname": "p-0", "targetRef": {"kind": "Pod", "namespace": "ns", "name": "p-0", "uid": "p-0"},
            "nodeName": "n1", "zone": "a"})
    );
}

#[test]
fn pods_that_ended_or_have_no_address_are_left_out() {
    let mut ended = pod("ended", true);
    ended["status"]["phase"] = "Succeeded".into();
    let mut starting = pod("starting", false);
    starting["status"]["podIP"] = Value::Null;
    let actions = slices(vec![service(json!({})), (PODS, ended), (PODS, starting)]);
    assert_eq!(made(&actions)["endpoints"], Value::Null);
}

#[test]
fn the_same_slice_is_emptied_and_filled_again() {
    let mut slice = made(&slices(vec![service(json!({}))])).clone();
    slice["metadata"]["name"] = "s-abcde".into();
    let with_pod = vec![service(json!({})), (ENDPOINT_SLICES, slice.clone()), (PODS, pod("p", true))];
    let actions = slices(with_pod);
    let filled = made(&actions).clone();
    assert_eq!(object::name(&filled), "s-abcde");
    assert_eq!(filled["endpoints"].as_array().unwrap().len(), 1);
    let still = vec![service(json!({})), (ENDPOINT_SLICES, filled.clone()), (PODS, pod("p", true))];
    assert!(slices(still).is_empty());
    let emptied = slices(vec![service(json!({})), (ENDPOINT_SLICES, filled)]);
    assert_eq!(made(&emptied)["endpoints"], Value::Null);
}

#[test]
fn a_hundred_endpoints_fill_a_slice() {
    let mut objects = vec![service(json!({}))];
    objects.extend((0..250).map(|n| (PODS, pod(&format!("p{n}"), true))));
    let sizes: Vec<usize> = slices(objects)
        .iter()
        .map(|action| made(std::slice::from_ref(action))["endpoints"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [100, 100, 50]);
}

#[test]
fn services_without_a_selector_are_left_to_whoever_made_them() {
    assert!(slices(vec![service(json!({"selector": null}))]).is_empty());
}

#[test]
fn endpoints_tell_ready_from_unready_and_forget_the_terminating() {
    let mut leaving = pod("c", true);
    leaving["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
    let objects = vec![service(json!({})), (PODS, pod("a", true)), (PODS, pod("b", false)), (PODS, leaving)];
    let actions = LegacyEndpoints.plan(&View::of(objects), &ObjectKey::new("ns", "s"), Utc::now()).actions;
    let address = |name: &str| {
        json!({"ip": "10.0.0.1", "nodeName": "n1",
            "targetRef": {"kind": "Pod", "namespace": "ns", "name": name, "uid": name}})
    };
    assert_eq!(
        made(&actions)["subsets"],
        json!([{"addresses": [address("a")], "notReadyAddresses": [address("b")],
            "ports": [{"name": "web", "protocol": "TCP", "port": 8080}]}])
    );
}

#[test]
fn endpoints_of_a_service_that_is_gone_go_too_unless_they_are_somebody_elses() {
    for (labels, expected) in
        [(json!({"endpoints.kubernetes.io/managed-by": "endpoint-controller"}), 1), (json!({}), 0)]
    {
        let endpoints = json!({"metadata": {"name": "s", "namespace": "ns", "labels": labels}});
        let view = View::of([(ENDPOINTS, endpoints)]);
        assert_eq!(LegacyEndpoints.plan(&view, &ObjectKey::new("ns", "s"), Utc::now()).actions.len(), expected);
    }
}

#[test]
fn a_pod_concerns_the_services_that_selected_it_before_or_do_now() {
    let view = View::of([service(json!({}))]);
    let mut relabelled = pod("p", true);
    relabelled["metadata"]["labels"]["app"] = "other".into();
    let change = |before: Value, after: Value| Change {
        resource: PODS,
        before: Some(Object::new(before)),
        after: Some(Object::new(after)),
    };
    assert_eq!(EndpointSlices.keys(&view, &change(pod("p", true), relabelled.clone())).len(), 1);
    assert_eq!(EndpointSlices.keys(&view, &change(relabelled.clone(), relabelled)).len(), 0);
}
