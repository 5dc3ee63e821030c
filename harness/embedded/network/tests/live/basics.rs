//! Pods, Services, DNS, and what the host sees of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use embedded_apimachinery::resource::SERVICES;
use embedded_apimachinery::{Actor, Api, ApiExt};
use embedded_network::address::{DNS_SERVER, DNS_SERVICE};
use embedded_network::netns::NetNs;
use embedded_network::{ClusterNetwork, PodAttachment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::cluster::{Cluster, node};

const DEADLINE: Duration = Duration::from_secs(10);
const WEB: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 20);

/// A server in a pod that says `name`, a space and the client's address, to everyone.
async fn greet(pod: &PodAttachment, name: &'static str) {
    let namespace = NetNs::open(&pod.netns).unwrap();
    let listener: TcpListener = namespace.listen((Ipv4Addr::UNSPECIFIED, 53).into()).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, client) = listener.accept().await.unwrap();
            let _ = stream.write_all(format!("{name} {}", client.ip()).as_bytes()).await;
        }
    });
}

/// What a server says to a pod; the error's kind when it cannot be reached.
async fn ask(cluster: &Cluster, pod: &str, to: impl Into<SocketAddr>) -> Result<String, std::io::ErrorKind> {
    let to = to.into();
    let dial =
        timeout(DEADLINE, cluster.network.connect_from(pod, to)).await.map_err(|_| std::io::ErrorKind::TimedOut)?;
    let mut stream = dial.map_err(|error| error.source.kind())?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await.map_err(|error| error.kind())?;
    Ok(said)
}

/// Waits until `condition` holds for what `ask` gives.
async fn eventually(
    cluster: &Cluster,
    to: SocketAddr,
    condition: impl Fn(&Result<String, std::io::ErrorKind>) -> bool,
) {
    let start = Instant::now();
    loop {
        let said = ask(cluster, "client", to).await;
        if condition(&said) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{to} still says {said:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_reach_each_other_and_see_the_true_source() {
    let cluster = Cluster::start().await;
    let client = cluster.attach("client", node(1)).await.unwrap();
    for (uid, on) in [("near", 1), ("far", 2)] {
        let pod = cluster.attach(uid, node(on)).await.unwrap();
        greet(&pod, "hello").await;
        assert_eq!(ask(&cluster, "client", (pod.address, 53)).await, Ok(format!("hello {}", client.address)));
        // A probe comes from the pod's own node.
        let mut probe = cluster.network.connect((pod.address, 53).into()).await.unwrap();
        let mut said = String::new();
        probe.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, format!("hello {}", node(on).address()));
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_within_a_node_passes_the_forward_hook() {
    let cluster = Cluster::start().await;
    cluster.attach("client", node(1)).await.unwrap();
    let pod = cluster.attach("near", node(1)).await.unwrap();
    greet(&pod, "hello").await;
    assert!(ask(&cluster, "client", (pod.address, 53)).await.is_ok());
    let block = "table ip t { chain c { type filter hook forward priority 0; tcp dport 53 reject with tcp reset; }; }";
    let blocked = cluster.network.namespace().run(move || Ok(Command::new("nft").arg(block).status())).await;
    assert!(blocked.unwrap().unwrap().success());
    assert_eq!(ask(&cluster, "client", (pod.address, 53)).await, Err(std::io::ErrorKind::ConnectionRefused));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_lead_to_ready_endpoints_and_refuse_without() {
    let cluster = Cluster::start().await;
    let client = cluster.attach("client", node(1)).await.unwrap();
    let one = cluster.attach("one", node(1)).await.unwrap();
    let two = cluster.attach("two", node(2)).await.unwrap();
    greet(&one, "one").await;
    greet(&two, "two").await;
    cluster.serve("web", WEB, &[one.address]);
    let web = SocketAddr::from((WEB, 80));
    eventually(&cluster, web, |said| *said == Ok(format!("one {}", client.address))).await;
    // The node port, at any node's address.
    let node_port = SocketAddr::from((node(2).address(), 30080));
    assert_eq!(ask(&cluster, "client", node_port).await, Ok(format!("one {}", client.address)));
    // From the node itself.
    assert!(cluster.network.connect(web).await.is_ok());
    // A port that the Service does not have is refused.
    assert_eq!(ask(&cluster, "client", (WEB, 81)).await, Err(std::io::ErrorKind::ConnectionRefused));

    cluster.set_endpoints("web", &[two.address]);
    eventually(&cluster, web, |said| *said == Ok(format!("two {}", client.address))).await;

    cluster.set_endpoints("web", &[one.address, two.address]);
    eventually(&cluster, web, |said| said.as_ref().is_ok_and(|said| said.starts_with("one"))).await;
    eventually(&cluster, web, |said| said.as_ref().is_ok_and(|said| said.starts_with("two"))).await;

    cluster.set_endpoints("web", &[]);
    eventually(&cluster, web, |said| *said == Err(std::io::ErrorKind::ConnectionRefused)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_reaches_itself_through_its_service() {
    let cluster = Cluster::start().await;
    let pod = cluster.attach("client", node(2)).await.unwrap();
    greet(&pod, "me").await;
    cluster.serve("web", WEB, &[pod.address]);
    eventually(&cluster, (WEB, 80).into(), |said| *said == Ok(format!("me {}", node(2).address()))).await;
    cluster.stop().await;
}

/// The response code and the answer count of an A query sent from a pod, over UDP.
async fn query(cluster: &Cluster, pod: &PodAttachment, name: &str) -> (u8, u16) {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    assert!(cluster.network.attachment("client").is_some());
    let namespace = NetNs::open(&pod.netns).unwrap();
    let socket = namespace.bind_udp((Ipv4Addr::UNSPECIFIED, 0).into()).await.unwrap();
    socket.connect((DNS_SERVICE, 53)).await.unwrap();
    socket.send(&packet).await.unwrap();
    let mut answer = [0; 512];
    timeout(DEADLINE, socket.recv(&mut answer)).await.expect("no answer in time").unwrap();
    (answer[3] & 0xf, u16::from_be_bytes([answer[6], answer[7]]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dns_answers_pods_through_its_service() {
    let cluster = Cluster::start().await;
    let pod = cluster.attach("client", node(1)).await.unwrap();
    let web = cluster.attach("web", node(2)).await.unwrap();
    cluster.serve("dns", DNS_SERVICE, &[DNS_SERVER]);
    // TCP first: a refused connection says that the rules are not there yet, where a datagram would be lost.
    let start = Instant::now();
    while cluster.network.connect_from("client", (DNS_SERVICE, 80).into()).await.is_err() {
        assert!(start.elapsed() < DEADLINE, "DNS cannot be reached over TCP");
    }
    assert_eq!(query(&cluster, &pod, "web.ns.svc.cluster.local").await, (3, 0));
    cluster.serve("web", WEB, &[web.address]);
    assert_eq!(query(&cluster, &pod, "web.ns.svc.cluster.local").await, (0, 1));
    assert_eq!(query(&cluster, &pod, "example.org").await, (3, 0));
    cluster.api.delete(&Actor::system("test"), &SERVICES, "ns", "web", &Default::default()).unwrap();
    assert!(cluster.api.find(&SERVICES, "ns", "web").is_none());
    assert_eq!(query(&cluster, &pod, "web.ns.svc.cluster.local").await, (3, 0));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_with_equal_addresses_do_not_meet() {
    let (a, b) = (Cluster::start().await, Cluster::start().await);
    for (cluster, name) in [(&a, "a"), (&b, "b")] {
        cluster.attach("client", node(1)).await.unwrap();
        let pod = cluster.attach("pod", node(1)).await.unwrap();
        assert_eq!(pod.address, Ipv4Addr::new(10, 244, 1, 3));
        greet(&pod, name).await;
    }
    for (cluster, name) in [(&a, "a"), (&b, "b")] {
        assert_eq!(ask(cluster, "client", (Ipv4Addr::new(10, 244, 1, 3), 53)).await, Ok(format!("{name} 10.244.1.2")));
    }
    a.stop().await;
    b.stop().await;
}

/// What a cluster must not change on the host.
fn host(directory: &Path) -> Vec<String> {
    let run = |command: &[&str]| {
        let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
        assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let own = directory.to_str().unwrap();
    vec![
        run(&["ip", "-o", "address"]),
        run(&["ip", "route", "show", "table", "all"]),
        run(&["nft", "--stateless", "list", "ruleset"]),
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
        mounts.lines().filter(|line| line.contains(own)).collect(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_is_not_changed_and_a_sweep_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let before = host(directory.path());
    let network = ClusterNetwork::create(directory.path()).await.unwrap();
    network.add_node(node(1)).await.unwrap();
    let pod = network.attach("pod", node(1)).await.unwrap();
    let during = host(directory.path());
    assert_eq!(before[..4], during[..4]);
    assert_ne!(before[4], during[4], "the namespaces are mounted nowhere");
    network.detach("pod").await.unwrap();
    assert!(!pod.netns.exists());
    network.attach("other", node(1)).await.unwrap();
    // As after a crash: nobody detaches or destroys.
    drop(network);
    let errors = embedded_network::sweep::sweep(directory.path());
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(before, host(directory.path()));
    assert!(!directory.path().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detached_pod_is_out_of_reach_and_its_address_is_not_given_to_the_next() {
    let cluster = Cluster::start().await;
    cluster.attach("client", node(1)).await.unwrap();
    let pod = cluster.attach("pod", node(1)).await.unwrap();
    // This server keeps the pod's namespace alive.
    greet(&pod, "hello").await;
    assert!(ask(&cluster, "client", (pod.address, 53)).await.is_ok());
    cluster.network.detach("pod").await.unwrap();
    assert!(ask(&cluster, "client", (pod.address, 53)).await.is_err());
    let next = cluster.attach("next", node(1)).await.unwrap();
    assert_ne!(next.address, pod.address);
    cluster.stop().await;
}
