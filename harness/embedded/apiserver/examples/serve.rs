//! Starts the control plane alone on loopback and writes a kubeconfig: for replaying recordings and trying clients.
//!
//!     cargo run -p embedded-apiserver --example serve -- /tmp/kubeconfig
//!
//! There are four hollow nodes: pods on them count as running and ready at once, and do nothing;
//! commands in them are
//! echoed, and so is what is sent to their ports.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use embedded_apimachinery::kubelet::{Duplex, ExecOptions, ExecOutput, ExecSession, Kubelet, LogOptions, LogStream};
use embedded_apimachinery::resource::{NODES, PODS, SERVICES};
use embedded_apimachinery::{Actor, Api, DeleteOptions, EventType, Result, Store, object, timestamp};
use embedded_apiserver::{ApiServer, Options, Pki, Server, serve};
use embedded_controllers::platform;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

struct Hollow;

#[async_trait]
impl Kubelet for Hollow {
    async fn logs(&self, _: &Value, options: LogOptions) -> Result<LogStream> {
        let line = Ok(Bytes::from(format!("hollow container {}\n", options.container)));
        Ok(Box::pin(futures::stream::iter([line])))
    }

    async fn exec(&self, _: &Value, options: ExecOptions) -> Result<ExecSession> {
        let (outputs, output) = mpsc::channel(1);
        let (exited, exit) = oneshot::channel();
        tokio::spawn(async move {
            let said = format!("{}\n", options.command.join(" "));
            let _ = outputs.send(ExecOutput::Stdout(said.into())).await;
            let _ = exited.send(Ok(0));
        });
        Ok(ExecSession { stdin: None, output, resize: None, exit })
    }

    async fn port_forward(&self, _: &Value, _: u16) -> Result<Box<dyn Duplex>> {
        let (near, mut far) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(&mut far);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        });
        Ok(Box::new(near))
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/tmp/kubeconfig".into());
    let api = ApiServer::new(Arc::new(Store::default()), Options::default());
    let pki = Pki::generate("example")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("https://{}", listener.local_addr()?);
    let admin = pki.client("admin", &["system:masters"])?;
    std::fs::write(&path, pki.kubeconfig("example", &url, "admin", &admin))?;
    println!("{url}, kubeconfig {path}");
    let tls = pki.server_config(&["localhost", "kubernetes"], &["127.0.0.1".parse()?])?;
    let shutdown = CancellationToken::new();
    let server = Arc::new(Server { api: api.clone(), kubelet: Arc::new(Hollow), shutdown: shutdown.clone() });
    // Hollow nodes do not report: they must not be missed.
    let node_grace = Duration::from_secs(24 * 3600);
    let ca_certificate = pki.ca_pem().to_owned();
    let config = platform::Config { ca_certificate, node_grace, ..platform::Config::default() };
    tokio::spawn(embedded_controllers::run(api.clone(), config, shutdown.clone()));
    tokio::spawn(embedded_scheduler::run(api.clone(), shutdown.clone()));
    furnish(&*api)?;
    tokio::spawn(run_pods(api.clone()));
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        shutdown.cancel();
    });
    Ok(serve(server, vec![listener], tls).await?)
}

/// Nodes and the Service that every cluster has.
fn furnish(api: &dyn Api) -> Result<()> {
    let actor = Actor::system("example");
    let service = json!({"metadata": {"name": "kubernetes", "labels": {"component": "apiserver",
        "provider": "kubernetes"}}, "spec": {"clusterIP": "10.96.0.1",
        "ports": [{"name": "https", "port": 443, "targetPort": 6443}]}});
    api.create(&actor, &SERVICES, "default", service)?;
    for number in 1..=4 {
        let name = format!("node-{number}");
        let space = json!({"cpu": "8", "memory": "16Gi", "pods": "110"});
        let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
            "lastHeartbeatTime": timestamp::now(), "lastTransitionTime": timestamp::now()});
        let status = json!({"capacity": space, "allocatable": space, "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": format!("10.200.0.{number}")}],
            "nodeInfo": {"kubeletVersion": "v1.36.2", "osImage": "none", "kernelVersion": "none",
                "containerRuntimeVersion": "hollow://1"}});
        api.create(&actor, &NODES, "", json!({"metadata": {"name": name}, "spec": {}, "status": status}))?;
    }
    Ok(())
}

/// Runs pods as fast as they come, and ends them as fast.
async fn run_pods(api: Arc<ApiServer>) -> Result<()> {
    let actor = Actor::system("kubelet");
    let (_, from) = api.list(&PODS, None);
    let mut pods = api.watch(&PODS, None, from)?;
    loop {
        let event = pods.next().await?;
        let pod = &event.object;
        let (namespace, name) = (object::namespace(pod), object::name(pod));
        if event.kind == EventType::Deleted || object::str_at(pod, "/spec/nodeName").is_empty() {
            continue;
        }
        if object::is_deleting(pod) {
            let end = |pod: &mut Value| {
                pod["status"]["phase"] = "Failed".into();
                Ok(())
            };
            let _ = api.modify(&actor, &PODS, namespace, name, "status", &mut { end });
            let _ = api.delete(&actor, &PODS, namespace, name, &DeleteOptions::now(pod));
        } else if object::str_at(pod, "/status/phase") == "Pending" {
            let _ = api.modify(&actor, &PODS, namespace, name, "status", &mut |pod| {
                start(pod);
                Ok(())
            });
        }
    }
}

fn start(pod: &mut Value) {
    let now = timestamp::now();
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let names: Vec<String> =
        object::list_at(pod, "/spec/containers").iter().map(|c| object::str_at(c, "/name").to_owned()).collect();
    let statuses: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({"name": name, "ready": true, "restartCount": 0, "state": {"running": {"startedAt": now}},
            "image": "none", "imageID": "none"})
        })
        .collect();
    let status = object::map_at_mut(pod, &["status"]);
    status.insert("phase".into(), "Running".into());
    status.insert("podIP".into(), "10.244.1.1".into());
    status.insert("containerStatuses".into(), statuses.into());
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    status.insert("conditions".into(), conditions.to_vec().into());
}
