//! The write pipeline as controllers see it: no network, no nodes.

use std::sync::Arc;

use embedded_apimachinery::resource::{
    CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, NAMESPACES, PODS, RESOURCE_QUOTAS, SERVICE_ACCOUNTS,
    SERVICES,
};
use embedded_apimachinery::{Actor, Api, DeleteOptions, GroupResource, Propagation, Store, object};
use embedded_apiserver::{ApiServer, Options};
use serde_json::{Value, json};

/// A server whose namespace `default` can hold pods.
fn server() -> Arc<ApiServer> {
    let api = ApiServer::new(Arc::new(Store::default()), Options::default());
    api.create(&actor(), &SERVICE_ACCOUNTS, "default", json!({"metadata": {"name": "default"}})).expect("it is made");
    api
}

fn actor() -> Actor {
    Actor::system("test")
}

fn pod(name: &str, cpu: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "redis:7",
        "resources": {"requests": {"cpu": cpu}}}]}})
}

fn deployment() -> Value {
    json!({"metadata": {"name": "d"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "d"}}, "template": {
        "metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "redis:7"}]}}}})
}

#[test]
fn writes_of_spec_and_status_do_not_touch_each_other() {
    let api = server();
    api.create(&actor(), &DEPLOYMENTS, "default", deployment()).expect("it is valid");
    let edit = |o: &mut Value| {
        o["spec"]["replicas"] = 3.into();
        o["status"]["replicas"] = 3.into();
        Ok(())
    };
    let status = api.modify(&actor(), &DEPLOYMENTS, "default", "d", "status", &mut { edit }).expect("it is there");
    assert_eq!(
        (object::int_at(&status, "/spec/replicas"), object::int_at(&status, "/status/replicas")),
        (Some(1), Some(3))
    );
    assert_eq!(object::generation(&status), 1);
    let spec = api.modify(&actor(), &DEPLOYMENTS, "default", "d", "", &mut { edit }).expect("it is there");
    assert_eq!(object::generation(&spec), 2);
}

#[test]
fn changes_that_change_nothing_are_not_written() {
    let api = server();
    api.create(&actor(), &DEPLOYMENTS, "default", deployment()).expect("it is valid");
    let before = api.store().revision();
    api.modify(&actor(), &DEPLOYMENTS, "default", "d", "", &mut |_| Ok(())).expect("it is there");
    assert_eq!(api.store().revision(), before);
}

#[test]
fn the_last_finalizer_takes_a_deleted_object_along() {
    let api = server();
    let held = json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}});
    api.create(&actor(), &CONFIG_MAPS, "default", held).expect("it is valid");
    let deleted = api.delete(&actor(), &CONFIG_MAPS, "default", "a", &DeleteOptions::default()).expect("it is there");
    assert!(object::is_deleting(&deleted));
    let release = |o: &mut Value| {
        o["metadata"]["finalizers"] = json!([]);
        Ok(())
    };
    api.modify(&actor(), &CONFIG_MAPS, "default", "a", "", &mut { release }).expect("it is held");
    assert!(api.get(&CONFIG_MAPS, "default", "a").is_err());
}

#[test]
fn foreground_deletion_waits_for_the_collector() {
    let api = server();
    api.create(&actor(), &DEPLOYMENTS, "default", deployment()).expect("it is valid");
    let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    let deleted = api.delete(&actor(), &DEPLOYMENTS, "default", "d", &options).expect("it is there");
    assert!(object::has_finalizer(&deleted, "foregroundDeletion"));
    assert!(api.get(&DEPLOYMENTS, "default", "d").is_ok());
}

#[test]
fn nothing_new_comes_into_a_namespace_that_ends() {
    let api = server();
    api.create(&actor(), &NAMESPACES, "", json!({"metadata": {"name": "n"}})).expect("it is valid");
    api.delete(&actor(), &NAMESPACES, "", "n", &DeleteOptions::default()).expect("it is there");
    let map = json!({"metadata": {"name": "a"}});
    let refused = api.create(&actor(), &CONFIG_MAPS, "n", map.clone()).expect_err("the namespace ends");
    assert_eq!(refused.details["causes"][0]["reason"], json!("NamespaceTerminating"));
    assert!(api.create(&actor(), &CONFIG_MAPS, "nowhere", map).expect_err("no namespace").is_not_found());
    let finalize = |o: &mut Value| {
        o["spec"]["finalizers"] = json!([]);
        Ok(())
    };
    api.modify(&actor(), &NAMESPACES, "", "n", "finalize", &mut { finalize }).expect("it is there");
    assert!(api.get(&NAMESPACES, "", "n").is_err());
}

#[test]
fn quotas_are_charged_with_the_write_and_never_exceeded() {
    let api = server();
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": "500m", "pods": "2"}}});
    api.create(&actor(), &RESOURCE_QUOTAS, "default", quota).expect("it is valid");
    let count = |o: &mut Value| {
        o["status"] = json!({"hard": o["spec"]["hard"], "used": {"requests.cpu": "0", "pods": "0"}});
        Ok(())
    };
    api.modify(&actor(), &RESOURCE_QUOTAS, "default", "q", "status", &mut { count }).expect("it is there");
    api.create(&actor(), &PODS, "default", pod("a", "400m")).expect("it fits");
    let refused = api.create(&actor(), &PODS, "default", pod("b", "200m")).expect_err("it does not fit");
    assert!(refused.message.contains("exceeded quota: q, requested: requests.cpu=200m"), "{refused}");
    let quota = api.get(&RESOURCE_QUOTAS, "default", "q").expect("it is there");
    assert_eq!(quota["status"]["used"], json!({"requests.cpu": "400m", "pods": "1"}));
}

#[test]
fn pods_are_given_an_identity_and_tolerations() {
    let api = server();
    let made = api.create(&actor(), &PODS, "default", pod("p", "1")).expect("it is valid");
    assert_eq!(object::str_at(&made, "/spec/serviceAccountName"), "default");
    assert!(object::str_at(&made, "/spec/volumes/0/name").starts_with("kube-api-access-"));
    assert_eq!(object::list_at(&made, "/spec/tolerations").len(), 2);
    assert_eq!(object::str_at(&made, "/status/qosClass"), "Burstable");
    let stranger = json!({"metadata": {"name": "x"}, "spec": {"serviceAccountName": "nobody",
        "containers": [{"name": "c", "image": "redis:7"}]}});
    assert_eq!(api.create(&actor(), &PODS, "default", stranger).expect_err("no such account").code, 403);
}

#[test]
fn addresses_of_services_are_their_own_and_may_be_chosen() {
    let api = server();
    let service =
        |name: &str, ip: Value| json!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}});
    let dns = api.create(&actor(), &SERVICES, "default", service("dns", json!("10.96.0.10"))).expect("it is free");
    assert_eq!(object::str_at(&dns, "/spec/clusterIP"), "10.96.0.10");
    let taken = api.create(&actor(), &SERVICES, "default", service("other", json!("10.96.0.10")));
    assert_eq!(taken.expect_err("it is taken").code, 422);
    let headless = api.create(&actor(), &SERVICES, "default", service("h", json!("None"))).expect("it is valid");
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
}

#[test]
fn objects_of_a_definition_are_served_checked_and_removed_with_it() {
    let api = server();
    let widgets = GroupResource::new("example.com", "widgets");
    let widget = |n: Value| json!({"metadata": {"name": "w"}, "spec": {"n": n}});
    assert!(api.create(&actor(), &widgets, "default", widget(json!(1))).expect_err("nobody knows it").is_not_found());
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "n": {"type": "integer", "minimum": 1}, "s": {"type": "string", "default": "x"}}}}});
    let definition = json!({"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com",
        "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    api.create(&actor(), &CUSTOM_RESOURCE_DEFINITIONS, "", definition).expect("it is valid");
    assert_eq!(api.create(&actor(), &widgets, "default", widget(json!(0))).expect_err("too small").code, 422);
    let made = api.create(&actor(), &widgets, "default", widget(json!(1))).expect("it is valid");
    assert_eq!(object::str_at(&made, "/spec/s"), "x");
    let now = DeleteOptions::default();
    api.delete(&actor(), &CUSTOM_RESOURCE_DEFINITIONS, "", "widgets.example.com", &now).expect("it is there");
    assert!(api.list(&widgets, None).0.is_empty());
}

#[test]
fn tokens_stand_for_their_account_and_expire_with_it() {
    let api = server();
    let token = api.issue_token("default", "default", &json!({"spec": {}})).expect("the account is there");
    assert_eq!(object::int_at(&token, "/spec/expirationSeconds"), Some(3600));
    assert!(!object::str_at(&token, "/status/token").is_empty());
    assert!(api.issue_token("default", "nobody", &json!({})).expect_err("no such account").is_not_found());
}
