//! Policies in force, against the naive reading of the same objects, and how soon they are.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use embedded_apimachinery::resource::{NAMESPACES, NETWORK_POLICIES, SERVICES};
use embedded_apimachinery::{Actor, Api, ApiExt, DeleteOptions};
use embedded_network::PodAttachment;
use embedded_network::address::{CONTROL_PLANE, DNS_SERVER, DNS_SERVICE, METADATA, OUTSIDE};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, node};
use crate::probe::{Seen, Standing, serve, tcp, udp};
use crate::support::{World, naive, random};

/// What is allowed has this long on a loaded machine; what is denied is given up after a moment.
const ALLOWED: Duration = Duration::from_secs(10);
const DENIED: Duration = Duration::from_millis(400);

const WORLDS: usize = 8;

fn policy(name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": "ns", "name": name}, "spec": spec})
}

impl Cluster {
    fn restrict(&self, policy: Value) {
        let namespace = policy["metadata"]["namespace"].as_str().unwrap().to_owned();
        self.make(&NETWORK_POLICIES, &namespace, policy);
    }

    fn lift(&self, namespace: &str, name: &str) {
        let options = DeleteOptions::default();
        Api::delete(&self.api, &Actor::system("test"), &NETWORK_POLICIES, namespace, name, &options).unwrap();
    }

    /// Waits until the policies that are there now are in force: a pod that is attached then is covered by all of them.
    async fn settled(&self, pod: &str) {
        self.attach(pod, node(2)).await.unwrap();
    }
}

/// One probe: who, to whom, what it should see.
struct Cell {
    from: PodAttachment,
    to: SocketAddr,
    protocol: &'static str,
    allowed: bool,
}

impl Cell {
    /// The difference between what it sees and what it should.
    async fn check(self) -> Option<String> {
        let within = if self.allowed { ALLOWED } else { DENIED };
        let seen = match self.protocol {
            "TCP" => tcp(&self.from, self.to, within).await,
            _ => udp(&self.from, self.to, within).await,
        };
        // Nobody listens on some ports: being refused is to have arrived.
        let passed = seen != Seen::Timeout;
        let text =
            || format!("{} to {} {}: {seen:?}, allowed: {}", self.from.address, self.to, self.protocol, self.allowed);
        (passed != self.allowed).then(text)
    }
}

fn cells(world: &World, pods: &[PodAttachment]) -> Vec<Cell> {
    let mut cells = Vec::new();
    let others = [(OUTSIDE, 80), (METADATA, 80), (CONTROL_PLANE, 443)];
    for from in pods {
        let targets = pods
            .iter()
            .flat_map(|pod| [("TCP", 80), ("TCP", 81), ("TCP", 8080), ("UDP", 53)].map(|(p, n)| (pod.address, p, n)));
        let others = others.map(|(address, port)| (address, "TCP", port));
        for (address, protocol, port) in targets.chain(others).filter(|(address, ..)| *address != from.address) {
            let allowed = naive::allows(world, from.address, address, protocol, port);
            cells.push(Cell { from: from.clone(), to: (address, port).into(), protocol, allowed });
        }
    }
    cells
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_what_a_naive_reading_of_random_policies_says() {
    let cluster = Cluster::start().await;
    let mut runner = TestRunner::deterministic();
    let (mut open, mut shut) = (0, 0);
    for round in 0..WORLDS {
        let mut world = random::world().new_tree(&mut runner).unwrap().current();
        for (name, labels) in &world.namespaces {
            if cluster.api.find(&NAMESPACES, "", name).is_none() {
                cluster.make(&NAMESPACES, "", json!({"metadata": {"name": name, "labels": labels}}));
            }
        }
        let mut pods = Vec::new();
        for pod in &mut world.pods {
            pod.name = format!("{}-{round}", pod.name);
            let attached = cluster.attach_as(pod.object(), node(pod.node)).await.unwrap();
            serve(&attached, &[80, 8080], &[53]).await;
            pod.address = attached.address;
            pods.push(attached);
        }
        for policy in &world.policies {
            cluster.restrict(policy.clone());
        }
        cluster.settled(&format!("last-{round}")).await;
        let mut probes: JoinSet<Option<String>> = JoinSet::new();
        for cell in cells(&world, &pods) {
            *if cell.allowed { &mut open } else { &mut shut } += 1;
            probes.spawn(cell.check());
        }
        let wrong: Vec<String> = probes.join_all().await.into_iter().flatten().collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{world:#?}");
        for policy in &world.policies {
            let text = |key: &str| policy["metadata"][key].as_str().unwrap();
            cluster.lift(text("namespace"), text("name"));
        }
        for pod in &world.pods {
            cluster.network.detach(&pod.name).await.unwrap();
        }
    }
    // Neither side is without cases.
    assert!(open > 100 && shut > 50, "{open} open, {shut} shut");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_starts_is_never_briefly_open() {
    let cluster = Cluster::start().await;
    let client = cluster.attach("client", node(1)).await.unwrap();
    cluster
        .restrict(policy("deny", json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]})));
    for n in 2..6 {
        let uid = format!("db-{n}");
        let labels = json!({"app": "db"});
        let pod = json!({"metadata": {"namespace": "ns", "name": uid, "uid": uid, "labels": labels}});
        // The client knocks from before the pod is there until after it serves.
        let to = SocketAddr::from((Ipv4Addr::new(10, 244, 2, n), 80));
        let knock = tokio::spawn({
            let client = client.clone();
            async move {
                let until = Instant::now() + DENIED;
                while Instant::now() < until {
                    let namespace = embedded_network::netns::NetNs::open(&client.netns).unwrap();
                    let short = tokio::time::timeout(Duration::from_millis(20), namespace.connect(to));
                    // Before there is a pod there is no route; answers of any kind from the pod are wrong.
                    match short.await {
                        Ok(Ok(_)) => return Err("it is open"),
                        Ok(Err(error)) if error.source.kind() == std::io::ErrorKind::ConnectionRefused => {
                            return Err("it refuses, so it was reached");
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
        });
        let attached = cluster.attach_as(pod, node(2)).await.unwrap();
        assert_eq!(SocketAddr::from((attached.address, 80)), to);
        serve(&attached, &[80], &[]).await;
        assert_eq!(knock.await.unwrap(), Ok(()));
    }
    cluster.lift("ns", "deny");
    assert_eq!(tcp(&client, (Ipv4Addr::new(10, 244, 2, 2), 80).into(), ALLOWED).await, Seen::Open);
    cluster.stop().await;
}

/// The time until a stream of datagrams is answered or not answered any more.
async fn until_answered(from: &PodAttachment, to: SocketAddr, answered: bool) -> Duration {
    let start = Instant::now();
    while (udp(from, to, Duration::from_millis(20)).await == Seen::Open) != answered {
        assert!(start.elapsed() < ALLOWED, "still not answered={answered}");
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_policies_and_labels_act_within_200_ms() {
    let cluster = Cluster::start().await;
    let client = cluster.attach("client", node(1)).await.unwrap();
    let server = cluster.attach("server", node(2)).await.unwrap();
    serve(&server, &[], &[53]).await;
    let to = SocketAddr::from((server.address, 53));
    let mut took = Vec::new();
    for _ in 0..5 {
        cluster.restrict(policy("deny", json!({"podSelector": {}, "policyTypes": ["Ingress"]})));
        took.push(until_answered(&client, to, false).await);
        let allow =
            json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"in": "yes"}}}]}]});
        cluster.restrict(policy("allow", allow));
        let relabel = |labels: Value| {
            let change = &mut |pod: &mut Value| {
                pod["metadata"]["labels"] = labels.clone();
                Ok(())
            };
            let pods = &embedded_apimachinery::resource::PODS;
            cluster.api.modify(&Actor::system("test"), pods, "ns", "client", "", change).unwrap();
        };
        relabel(json!({"in": "yes"}));
        took.push(until_answered(&client, to, true).await);
        relabel(json!({}));
        took.push(until_answered(&client, to, false).await);
        cluster.lift("ns", "allow");
        cluster.lift("ns", "deny");
        took.push(until_answered(&client, to, true).await);
    }
    took.sort();
    println!("changes took {took:?}");
    // The median: a machine that does much else at once is late now and then.
    assert!(took[took.len() / 2] < Duration::from_millis(200), "{took:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_stands_is_cut_by_a_change_and_its_answers_pass_until_then() {
    let cluster = Cluster::start().await;
    let client = cluster.attach("client", node(1)).await.unwrap();
    let server = cluster.attach("server", node(2)).await.unwrap();
    serve(&server, &[80], &[]).await;
    // The client takes nothing from anybody, and the server may call nobody: answers pass all the same.
    let quiet = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": 80}]}], "egress": [{"ports": [{"port": 80}]}]});
    cluster.restrict(policy("web", quiet));
    cluster.settled("a").await;
    let mut standing = Standing::open(&client, (server.address, 80).into()).await;
    assert!(standing.works(ALLOWED).await);
    cluster.restrict(policy("deny", json!({"podSelector": {}})));
    cluster.lift("ns", "web");
    cluster.settled("b").await;
    assert!(!standing.works(DENIED).await);
    // The node still reaches both.
    assert!(cluster.network.connect((server.address, 80).into()).await.is_ok());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_see_the_pods_behind_services_and_dns_as_a_pod() {
    let cluster = Cluster::start().await;
    cluster.make(
        &NAMESPACES,
        "",
        json!({"metadata": {"name": "kube-system", "labels": {"kubernetes.io/metadata.name": "kube-system"}}}),
    );
    let client = cluster.attach("client", node(1)).await.unwrap();
    let server = cluster.attach("server", node(2)).await.unwrap();
    serve(&server, &[53], &[53]).await;
    let web = Ipv4Addr::new(10, 96, 0, 20);
    cluster.serve("web", web, &[server.address, client.address]);
    cluster.serve("dns", DNS_SERVICE, &[DNS_SERVER]);
    serve(&client, &[53], &[]).await;
    assert!(cluster.api.find(&SERVICES, "ns", "dns").is_some());
    let to_dns = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}});
    let spec = |egress: Value| json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": egress});
    cluster.restrict(policy(
        "egress",
        spec(json!([{"to": [to_dns], "ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]}])),
    ));
    cluster.settled("a").await;
    // Over TCP: a listener that is open shows that DNS was reached.
    assert_eq!(tcp(&client, (DNS_SERVICE, 80).into(), ALLOWED).await, Seen::Open);
    assert_eq!(tcp(&client, (server.address, 53).into(), DENIED).await, Seen::Timeout);
    assert_eq!(tcp(&client, (OUTSIDE, 80).into(), DENIED).await, Seen::Timeout);
    cluster.lift("ns", "egress");
    cluster.restrict(policy("egress", spec(json!([{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]))));
    cluster.settled("b").await;
    assert_eq!(tcp(&client, (DNS_SERVICE, 80).into(), DENIED).await, Seen::Timeout);
    assert_eq!(tcp(&client, (OUTSIDE, 443).into(), ALLOWED).await, Seen::Open);
    assert_eq!(udp(&client, (OUTSIDE, 53).into(), ALLOWED).await, Seen::Open);
    assert_eq!(tcp(&client, (METADATA, 80).into(), DENIED).await, Seen::Timeout);
    // The Service leads to the client itself too: that it reaches, whatever policies say, and nobody else.
    let mut own = JoinSet::new();
    for _ in 0..40 {
        let client = Arc::new(client.clone());
        own.spawn(async move { tcp(&client, (web, 80).into(), DENIED).await });
    }
    let seen = own.join_all().await;
    assert!(seen.contains(&Seen::Open) && seen.contains(&Seen::Timeout), "{seen:?}");
    cluster.stop().await;
}
