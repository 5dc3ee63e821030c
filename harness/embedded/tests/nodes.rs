//! Nodes that are stopped, frozen and brought back, with what Kubernetes makes of it: needs root, `runc` and `nft`.
//!
//! Not an ordinary test harness, because the server is this program started again.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use gauntlet_embedded::{Config, Handle, admin, launch};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use support::client::Client;
use support::{DEADLINE, Sandbox};

type Outcome = Result<(), Failed>;

const PODS: &str = "/api/v1/namespaces/default/pods";
const SETS: &str = "/apis/apps/v1/namespaces/default/statefulsets";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const NODE: &str = "/api/v1/nodes/node-1";

/// So that nobody waits long for a node to count as lost.
const GRACE_SECONDS: u32 = 5;
const POLL: Duration = Duration::from_millis(50);

fn main() {
    gauntlet_embedded::dispatch();
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("pods_of_a_stopped_node_move_or_stay_as_their_kind_demands", pods_move_or_stay),
        trial("a_node_that_was_stopped_starts_its_pods_anew", pods_are_started_anew),
        trial("a_node_that_was_frozen_goes_on_where_it_stood", pods_go_on),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial<F: Future<Output = Outcome> + 'static>(name: &str, test: fn(Lab) -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let sandbox = Sandbox::new()?;
            let config = Config {
                node_grace_seconds: GRACE_SECONDS,
                ..Config { nodes: Config::new("a", 3).nodes, ..sandbox.config("a") }
            };
            let cluster = launch(config, DEADLINE).await?;
            let lab = Lab {
                client: Client::new(cluster.kubeconfig()).await?,
                root: root_of(&sandbox, &cluster),
                socket: cluster.admin_socket().to_owned(),
            };
            let outcome = test(lab).await;
            cluster.stop(DEADLINE).await?;
            outcome
        })
    })
}

/// The directory of the pods' files as the cluster's server sees it.
fn root_of(sandbox: &Sandbox, cluster: &Handle) -> PathBuf {
    let pods = sandbox.config("a").paths().nodes().join("pods");
    PathBuf::from(format!("/proc/{}/root{}", cluster.info().pid, pods.display()))
}

struct Lab {
    client: Client,
    root: PathBuf,
    socket: PathBuf,
}

impl Lab {
    async fn ask(&self, op: &str) -> Outcome {
        admin::request(&self.socket, &json!({"op": op, "node": "node-1"})).await?;
        Ok(())
    }

    /// What `find` makes of an object or a list, as soon as it makes something of it.
    async fn until<T>(&self, what: &str, path: &str, find: impl Fn(&Value) -> Option<T>) -> Result<T, Failed> {
        let mut last = Value::Null;
        let found = async {
            loop {
                last = self.client.get(path).await?;
                if let Some(found) = find(&last) {
                    return Ok(found);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        match tokio::time::timeout(DEADLINE, found).await {
            Ok(found) => found,
            Err(_) => Err(format!("not in time: {what}; last seen: {last:#}").into()),
        }
    }

    async fn pod(&self, what: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, Failed> {
        self.until(what, PODS, |list| {
            let mut items = list["items"].as_array()?.iter();
            items.find(|pod| text(pod, "/metadata/name") == name && wanted(pod)).cloned()
        })
        .await
    }

    async fn node_is(&self, status: &str, taints: &[(&str, &str)]) -> Outcome {
        let what = format!("node-1 has Ready={status} and taints {taints:?}");
        self.until(&what, NODE, |node| {
            let found = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
            let found = found.iter().map(|taint| (text(taint, "/key").to_owned(), text(taint, "/effect").to_owned()));
            let wanted = taints.iter().map(|(key, effect)| (format!("node.kubernetes.io/{key}"), (*effect).to_owned()));
            (condition(node, "Ready") == status && found.eq(wanted)).then_some(())
        })
        .await
    }

    /// A file in a volume of a pod.
    fn lines(&self, pod: &Value, file: &str) -> usize {
        let path = self.root.join(text(pod, "/metadata/uid")).join("volumes").join(file);
        fs::read_to_string(path).map_or(0, |text| text.lines().count())
    }

    async fn dial(&self, from: &str, to: &Value) -> Result<String, Failed> {
        let address = format!("{}:6379", text(to, "/status/podIP"));
        let request = json!({"op": "dial", "namespace": "default", "pod": from, "to": address, "within-ms": 1500});
        let reply = admin::request(&self.socket, &request).await?;
        Ok(text(&reply, "/dialled").to_owned())
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.map_or("", |condition| text(condition, "/status"))
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready") == "True"
}

fn is_deleting(pod: &Value) -> bool {
    !text(pod, "/metadata/deletionTimestamp").is_empty()
}

fn check(holds: bool, otherwise: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into().into()) }
}

/// Rather on node-1 than elsewhere, and gone from there a second after it is lost.
fn template(app: &str) -> Value {
    let term = json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]});
    let tolerated = |key: &str| {
        json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": 1})
    };
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "preference": term}]}},
            "tolerations": [tolerated("unreachable"), tolerated("not-ready")],
            "containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}],
        },
    })
}

fn workload(app: &str) -> Value {
    json!({"metadata": {"name": app}, "spec": {
        "replicas": 1, "serviceName": app, "selector": {"matchLabels": {"app": app}}, "template": template(app)}})
}

/// A pod of node-1 that notes each of its runs on disk and in memory, and then each tenth of a second.
fn noting_pod() -> Value {
    let script = "echo >> /disk/runs; echo >> /memory/runs; while :; do echo >> /disk/beats; sleep 0.1; done";
    json!({"metadata": {"name": "noting"}, "spec": {
        "nodeName": "node-1",
        "containers": [{"name": "c", "image": "redis:7", "command": ["sh", "-c", script], "volumeMounts": [
            {"name": "disk", "mountPath": "/disk"}, {"name": "memory", "mountPath": "/memory"}]}],
        "volumes": [{"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory"}}]}})
}

fn redis_pod(name: &str, node: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "c", "image": "redis:7",
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1}}]}})
}

const LOST: [(&str, &str); 2] = [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")];

async fn pods_move_or_stay(lab: Lab) -> Outcome {
    let service = json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "None", "selector": {"app": "web"},
        "ports": [{"port": 80}]}});
    lab.client.post("/api/v1/namespaces/default/services", service).await?;
    let mut deployment = workload("app");
    deployment["spec"].as_object_mut().map(|spec| spec.remove("serviceName"));
    lab.client.post(DEPLOYMENTS, deployment).await?;
    for set in ["web", "db"] {
        lab.client.post(SETS, workload(set)).await?;
    }
    let on_node_1 = |pod: &Value| is_ready(pod) && text(pod, "/spec/nodeName") == "node-1";
    let web = lab.pod("web-0 to run", "web-0", on_node_1).await?;
    let db = lab.pod("db-0 to run", "db-0", on_node_1).await?;
    let app = lab
        .until("the Deployment's pod to run", PODS, |list| {
            let mut items = list["items"].as_array()?.iter();
            items.find(|pod| text(pod, "/metadata/labels/app") == "app" && on_node_1(pod)).cloned()
        })
        .await?;

    lab.ask("stop-node").await?;
    lab.node_is("Unknown", &LOST).await?;
    lab.pod("web-0 to be called unready", "web-0", |pod| !is_ready(pod)).await?;
    let unready = |list: &Value| {
        let slices = list["items"].as_array()?.iter();
        let web = slices.filter(|slice| text(slice, "/metadata/labels/kubernetes.io~1service-name") == "web");
        let endpoints: Vec<&Value> =
            web.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten()).collect();
        (!endpoints.is_empty() && endpoints.iter().all(|e| e["conditions"]["ready"] == false)).then_some(())
    };
    lab.until("the Service to have no ready endpoint", SLICES, unready).await?;

    // A Deployment replaces what is on its way out; a StatefulSet does not, as long as nobody knows that it is dead.
    lab.until("a replacement of the Deployment's pod", PODS, |list| {
        let items = list["items"].as_array()?;
        let apps = || items.iter().filter(|pod| text(pod, "/metadata/labels/app") == "app");
        let old = apps().any(|pod| pod["metadata"]["uid"] == app["metadata"]["uid"] && is_deleting(pod));
        (old && apps().any(|pod| is_ready(pod) && text(pod, "/spec/nodeName") != "node-1")).then_some(())
    })
    .await?;
    let stays = |old: &Value| {
        let uid = old["metadata"]["uid"].clone();
        move |pod: &Value| pod["metadata"]["uid"] == uid && is_deleting(pod)
    };
    lab.pod("web-0 to be terminating", "web-0", stays(&web)).await?;
    lab.pod("db-0 to be terminating", "db-0", stays(&db)).await?;

    // Whoever deletes it by force says that it is dead; so does who declares the node out of service.
    let elsewhere = |pod: &Value| is_ready(pod) && text(pod, "/spec/nodeName") != "node-1";
    lab.client.delete(&format!("{PODS}/web-0?gracePeriodSeconds=0")).await?;
    lab.pod("a successor of web-0", "web-0", elsewhere).await?;
    lab.pod("db-0 to be terminating still", "db-0", stays(&db)).await?;
    let mut taints = lab.client.get(NODE).await?["spec"]["taints"].clone();
    let out = json!({"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"});
    taints.as_array_mut().ok_or("no taints")?.push(out);
    lab.client.patch(NODE, json!({"spec": {"taints": taints}})).await?;
    lab.pod("a successor of db-0", "db-0", elsewhere).await?;
    lab.client.patch(NODE, json!({"spec": {"taints": null}})).await?;

    lab.ask("return-node").await?;
    lab.node_is("True", &[]).await?;
    lab.until("the Deployment's old pod to be gone", PODS, |list| {
        let mut items = list["items"].as_array()?.iter();
        items.all(|pod| pod["metadata"]["uid"] != app["metadata"]["uid"]).then_some(())
    })
    .await?;
    let left: Vec<bool> =
        [&web, &db, &app].map(|pod| lab.root.join(text(pod, "/metadata/uid")).exists()).into_iter().collect();
    check(left.iter().all(|left| !left), format!("files of web-0, db-0 and the Deployment's pod are left: {left:?}"))
}

async fn pods_are_started_anew(lab: Lab) -> Outcome {
    lab.client.post(PODS, noting_pod()).await?;
    lab.client.post(PODS, redis_pod("caller", "node-2")).await?;
    lab.client.post(PODS, redis_pod("called", "node-1")).await?;
    let before = lab.pod("the pod to run", "noting", is_ready).await?;
    lab.pod("the caller to run", "caller", is_ready).await?;
    let called = lab.pod("the called to run", "called", is_ready).await?;
    check(lab.dial("caller", &called).await? == "open", "the pods do not reach each other")?;
    lab.until("a run to be noted", PODS, |_| (lab.lines(&before, "memory/runs") == 1).then_some(())).await?;

    lab.ask("stop-node").await?;
    let beats = lab.lines(&before, "disk/beats");
    check(lab.dial("caller", &called).await? == "timeout", "a dead pod is heard of")?;
    check(lab.lines(&before, "disk/beats") == beats, "a dead container goes on")?;
    let now = lab.pod("the pod's object", "noting", |_| true).await?;
    check(now["status"] == before["status"], "somebody says that the pod is dead")?;
    check(lab.client.get(&format!("{PODS}/noting/log")).await.is_err(), "a kubelet without power serves logs")?;

    lab.ask("return-node").await?;
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"] == 1;
    let after = lab.pod("the pod to run anew", "noting", |pod| is_ready(pod) && restarts(pod)).await?;
    check(after["metadata"]["uid"] == before["metadata"]["uid"], "it is another pod")?;
    let last = &after["status"]["containerStatuses"][0]["lastState"]["terminated"];
    check(last["exitCode"] == 255 && last["reason"] == "Unknown", format!("the end of the first run is {last}"))?;
    lab.until("another run to be noted", PODS, |_| (lab.lines(&after, "disk/runs") == 2).then_some(())).await?;
    check(lab.lines(&after, "memory/runs") == 1, "memory was not lost, or not written again")?;
    let called = lab.pod("the called to run anew", "called", |pod| is_ready(pod) && restarts(pod)).await?;
    check(lab.dial("caller", &called).await? == "open", "the pods do not reach each other any more")
}

async fn pods_go_on(lab: Lab) -> Outcome {
    lab.client.post(PODS, noting_pod()).await?;
    lab.client.post(PODS, redis_pod("caller", "node-2")).await?;
    lab.client.post(PODS, redis_pod("called", "node-1")).await?;
    let before = lab.pod("the pod to run", "noting", is_ready).await?;
    lab.pod("the caller to run", "caller", is_ready).await?;
    let called = lab.pod("the called to run", "called", is_ready).await?;
    lab.until("a beat", PODS, |_| (lab.lines(&before, "disk/beats") > 0).then_some(())).await?;

    lab.ask("freeze-node").await?;
    let beats = lab.lines(&before, "disk/beats");
    check(lab.dial("caller", &called).await? == "timeout", "a pod that stands still is heard of")?;
    lab.node_is("Unknown", &LOST).await?;
    lab.pod("the pod to be called unready", "noting", |pod| !is_ready(pod)).await?;
    check(lab.lines(&before, "disk/beats") == beats, "a container that stands still goes on")?;

    lab.ask("return-node").await?;
    lab.node_is("True", &[]).await?;
    let after = lab.pod("the pod to be called ready again", "noting", is_ready).await?;
    let containers = |pod: &Value| pod["status"]["containerStatuses"][0]["containerID"].clone();
    check(containers(&after) == containers(&before), "it is another container")?;
    lab.until("the next beat", PODS, |_| (lab.lines(&before, "disk/beats") > beats).then_some(())).await?;
    let called = lab.pod("the called to be ready again", "called", is_ready).await?;
    check(lab.dial("caller", &called).await? == "open", "the pods do not reach each other any more")
}
