//! What kube-rs, the client that the harness uses, gets from the server over the network.

mod support;

use std::time::Duration;

use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::{Actor, Api as _};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::{AttachParams, DeleteParams, EvictParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Nothing here waits for anything but the server on loopback.
const DEADLINE: Duration = Duration::from_secs(20);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": "1"}})).expect("it is a ConfigMap")
}

/// A pod on a node, ready.
async fn running_pod(server: &support::TestServer, name: &str) -> Api<Pod> {
    let pods: Api<Pod> = Api::namespaced(server.client.clone(), "default");
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "redis:7"}]}});
    let pod = serde_json::from_value(pod).expect("it is a Pod");
    pods.create(&PostParams::default(), &pod).await.expect("the pod is created");
    let actor = Actor::system("test");
    let bind = |pod: &mut serde_json::Value| {
        pod["spec"]["nodeName"] = "node1".into();
        Ok(())
    };
    server.api.modify(&actor, &PODS, "default", name, "binding", &mut { bind }).expect("the pod is bound");
    let run = |pod: &mut serde_json::Value| {
        pod["status"]["phase"] = "Running".into();
        Ok(())
    };
    server.api.modify(&actor, &PODS, "default", name, "status", &mut { run }).expect("the pod runs");
    pods
}

#[tokio::test]
async fn objects_are_created_changed_and_deleted() {
    let server = support::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(server.client.clone(), "default");
    let made = maps.create(&PostParams::default(), &config_map("a")).await.expect("it is created");
    assert!(made.metadata.uid.is_some());
    let patch = Patch::Merge(json!({"data": {"k": "2"}}));
    let patched = maps.patch("a", &PatchParams::default(), &patch).await.expect("it is patched");
    assert_eq!(patched.data.and_then(|d| d.get("k").cloned()).as_deref(), Some("2"));
    let stale = maps.replace("a", &PostParams::default(), &made).await.expect_err("the version is stale");
    assert!(matches!(stale, kube::Error::Api(status) if status.code == 409));
    maps.delete("a", &DeleteParams::default()).await.expect("it is deleted");
    assert!(maps.get_opt("a").await.expect("the server answers").is_none());
}

#[tokio::test]
async fn server_side_apply_creates_and_keeps_owners_apart() {
    let server = support::start().await;
    let deployments: Api<Deployment> = Api::namespaced(server.client.clone(), "default");
    let config = |replicas: i32| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": replicas,
            "selector": {"matchLabels": {"app": "d"}}, "template": {"metadata": {"labels": {"app": "d"}},
            "spec": {"containers": [{"name": "c", "image": "redis:7"}]}}}})
    };
    deployments.patch("d", &PatchParams::apply("one"), &Patch::Apply(config(1))).await.expect("it is created");
    let conflict = deployments.patch("d", &PatchParams::apply("two"), &Patch::Apply(config(2))).await;
    assert!(matches!(conflict, Err(kube::Error::Api(status)) if status.code == 409));
    let forced = PatchParams::apply("two").force();
    let applied = deployments.patch("d", &forced, &Patch::Apply(config(2))).await.expect("it is taken over");
    assert_eq!(applied.spec.and_then(|s| s.replicas), Some(2));
    assert_eq!(deployments.get_scale("d").await.expect("it has a scale").spec.and_then(|s| s.replicas), Some(2));
}

#[tokio::test]
async fn watchers_see_what_is_there_and_what_comes() {
    let server = support::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(server.client.clone(), "default");
    maps.create(&PostParams::default(), &config_map("before")).await.expect("it is created");
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut events = Box::pin(watcher(maps.clone(), config).applied_objects());
        let first = within("the first object", events.next()).await.expect("the watch goes on").expect("no error");
        assert_eq!(first.metadata.name.as_deref(), Some("before"));
        maps.create(&PostParams::default(), &config_map("later")).await.expect("it is created");
        let second = within("the second object", events.next()).await.expect("the watch goes on").expect("no error");
        assert_eq!(second.metadata.name.as_deref(), Some("later"));
        maps.delete("later", &DeleteParams::default()).await.expect("it is deleted");
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = support::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(server.client.clone(), "default");
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name)).await.expect("it is created");
    }
    let first = maps.list(&ListParams::default().limit(2)).await.expect("there is a page");
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (2, Some(1)));
    let token = first.metadata.continue_.expect("there is more");
    let second = maps.list(&ListParams::default().limit(2).continue_token(&token)).await.expect("there is a page");
    assert_eq!(second.items.len(), 1);
    assert_eq!(second.metadata.continue_, None);
}

#[tokio::test]
async fn commands_run_with_their_input_and_report_their_exit() {
    let server = support::start().await;
    let pods = running_pod(&server, "p").await;
    let params = AttachParams::default().stdin(true);
    let mut running = pods.exec("p", ["cat"], &params).await.expect("the connection is upgraded");
    let status = running.take_status().expect("it was not taken");
    let mut input = running.stdin().expect("input was asked for");
    let mut output = running.stdout().expect("output was asked for");
    input.write_all(b" hello").await.expect("the command reads");
    input.shutdown().await.expect("the input is closed");
    drop(input);
    let mut text = String::new();
    within("the output", output.read_to_string(&mut text)).await.expect("it is text");
    assert_eq!(text, "cat hello");
    assert_eq!(within("the exit", status).await.and_then(|s| s.status).as_deref(), Some("Success"));

    let mut failing = pods.exec("p", ["false"], &AttachParams::default()).await.expect("the connection is upgraded");
    let status = failing.take_status().expect("it was not taken");
    let status = within("the exit", status).await.expect("there is a status");
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
}

#[tokio::test]
async fn ports_are_forwarded_both_ways() {
    let server = support::start().await;
    let pods = running_pod(&server, "p").await;
    let mut forwarder = pods.portforward("p", &[80, 81]).await.expect("the connection is upgraded");
    let refused = forwarder.take_error(81).expect("the port was asked for");
    assert!(within("the error", refused).await.expect("port 81 fails").contains("nobody listens on port 81"));
    let mut stream = forwarder.take_stream(80).expect("the port was asked for");
    stream.write_all(b"ping").await.expect("the port takes bytes");
    let mut answer = [0; 4];
    within("the echo", stream.read_exact(&mut answer)).await.expect("the port answers");
    assert_eq!(&answer, b"ping");
}

#[tokio::test]
async fn requests_are_proxied_to_pods() {
    let server = support::start().await;
    running_pod(&server, "p").await;
    let path = "/api/v1/namespaces/default/pods/p:8080/proxy/metrics?x=1";
    let request = http::Request::get(path).body(Vec::new()).expect("it is a request");
    let answer = within("the answer", server.client.request_text(request)).await.expect("the pod answers");
    assert_eq!(answer, "GET /metrics?x=1 HTTP/1.1");
}

#[tokio::test]
async fn logs_are_text() {
    let server = support::start().await;
    let pods = running_pod(&server, "p").await;
    assert_eq!(pods.logs("p", &LogParams::default()).await.expect("there are logs"), "log of c\n");
}

#[tokio::test]
async fn evictions_delete_pods_gracefully() {
    let server = support::start().await;
    let pods = running_pod(&server, "p").await;
    pods.evict("p", &EvictParams::default()).await.expect("no budget forbids it");
    let pod = pods.get("p").await.expect("it is still there");
    assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(30));
    let now = DeleteParams::default().grace_period(0);
    pods.delete("p", &now).await.expect("it is deleted");
    assert!(pods.get_opt("p").await.expect("the server answers").is_none());
}

#[tokio::test]
async fn services_get_addresses_of_their_own() {
    let server = support::start().await;
    let services: Api<Service> = Api::namespaced(server.client.clone(), "default");
    let service = |name: &str, kind: &str| -> Service {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"type": kind, "ports": [{"port": 80}]}}))
            .expect("it is a Service")
    };
    let a = services.create(&PostParams::default(), &service("a", "ClusterIP")).await.expect("it is created");
    let b = services.create(&PostParams::default(), &service("b", "NodePort")).await.expect("it is created");
    let spec = |s: &Service| s.spec.clone().expect("it has a spec");
    assert_ne!(spec(&a).cluster_ip, spec(&b).cluster_ip);
    let port = spec(&b).ports.and_then(|p| p.first().and_then(|p| p.node_port));
    assert!(port.is_some_and(|p| (30000..=32767).contains(&p)));
}

#[tokio::test]
async fn the_version_is_told_to_everybody() {
    let server = support::start().await;
    let client: &Client = &server.client;
    assert_eq!(client.apiserver_version().await.expect("it answers").git_version, "v1.36.2");
}
