//! Faults between pods that really talk.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use embedded_apimachinery::resource::{NETWORK_POLICIES, PODS};
use embedded_apimachinery::{Actor, Api, DeleteOptions};
use embedded_network::faults::delay::Wait;
use embedded_network::faults::{Effect, Fault, Party};
use embedded_network::{NodeIndex, PodAttachment};

use crate::cluster::{Cluster, node};
use crate::probe::{Seen, Standing, serve, tcp, udp};

const SOON: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::from_millis(400);

fn pod(name: &str) -> Party {
    Party::Pod { namespace: "ns".into(), name: name.into() }
}

fn cut(from: Party, to: Party) -> Fault {
    Fault { from: vec![from], to: vec![to], both_ways: true, ports: vec![], effect: Effect::Cut }
}

/// Two servers on different nodes and a client beside one of them.
async fn three(cluster: &Cluster) -> [PodAttachment; 3] {
    let mut pods = Vec::new();
    for (name, on) in [("a", 1), ("b", 2), ("client", 1)] {
        let attached = cluster.attach(name, node(on)).await.unwrap();
        serve(&attached, &[80, 81], &[53]).await;
        pods.push(attached);
    }
    pods.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_parts_those_who_are_named_and_nobody_else_until_it_is_healed() {
    let cluster = Cluster::start().await;
    let [a, b, client] = three(&cluster).await;
    let at = |pod: &PodAttachment, port: u16| SocketAddr::from((pod.address, port));
    let mut standing = Standing::open(&a, at(&b, 80)).await;
    assert!(standing.works(SOON).await);
    cluster.network.disturb("one", cut(pod("a"), pod("b"))).await.unwrap();
    assert_eq!(cluster.network.counters("one").await.unwrap().dropped, 0);
    assert!(!standing.works(NEVER).await, "a connection that stands goes on");
    assert_eq!(tcp(&a, at(&b, 80), NEVER).await, Seen::Timeout);
    assert_eq!(tcp(&b, at(&a, 80), NEVER).await, Seen::Timeout);
    assert_eq!(udp(&a, at(&b, 53), NEVER).await, Seen::Timeout);
    for target in [&a, &b] {
        assert_eq!(tcp(&client, at(target, 80), SOON).await, Seen::Open);
        // As probes do.
        assert!(cluster.network.connect(at(target, 80)).await.is_ok());
    }
    let counters = cluster.network.counters("one").await.unwrap();
    assert!(counters.dropped >= 3 && counters.seen == counters.dropped, "{counters:?}");
    cluster.network.restore("one").await.unwrap();
    cluster.network.restore("one").await.unwrap();
    assert_eq!(tcp(&a, at(&b, 80), SOON).await, Seen::Open);
    assert!(standing.works(SOON).await, "what was sent again did not arrive");
    assert!(cluster.network.counters("one").await.is_err());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_may_be_one_way_and_of_some_ports_only() {
    let cluster = Cluster::start().await;
    let [a, b, _] = three(&cluster).await;
    let at = |pod: &PodAttachment, port: u16| SocketAddr::from((pod.address, port));
    let one_way = Fault { both_ways: false, ports: vec![80], ..cut(pod("a"), pod("b")) };
    cluster.network.disturb("f", one_way).await.unwrap();
    assert_eq!(tcp(&a, at(&b, 80), NEVER).await, Seen::Timeout);
    assert_eq!(tcp(&a, at(&b, 81), SOON).await, Seen::Open);
    assert_eq!(tcp(&b, at(&a, 80), SOON).await, Seen::Open);
    let both = Fault { ports: vec![80], ..cut(pod("a"), pod("b")) };
    cluster.network.disturb("f", both).await.unwrap();
    assert_eq!(tcp(&a, at(&b, 80), NEVER).await, Seen::Timeout);
    assert_eq!(tcp(&b, at(&a, 80), NEVER).await, Seen::Timeout);
    assert_eq!(tcp(&b, at(&a, 81), SOON).await, Seen::Open);
    // Without ports, answers of what is cut one way do not arrive either, but datagrams the other way do.
    let all = Fault { both_ways: false, ..cut(pod("a"), pod("b")) };
    cluster.network.disturb("f", all).await.unwrap();
    assert_eq!(tcp(&b, at(&a, 81), NEVER).await, Seen::Timeout);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_cut_with_their_pods_and_only_then_with_probes() {
    let cluster = Cluster::start().await;
    let [a, b, client] = three(&cluster).await;
    let at = |pod: &PodAttachment| SocketAddr::from((pod.address, 80));
    let nodes = cut(Party::Node(node(1)), Party::Node(node(2)));
    cluster.network.disturb("nodes", nodes).await.unwrap();
    assert_eq!(tcp(&a, at(&b), NEVER).await, Seen::Timeout);
    assert_eq!(tcp(&client, at(&a), SOON).await, Seen::Open);
    for pod in [&a, &b] {
        assert!(cluster.network.connect(at(pod)).await.is_ok(), "the node's own probes are cut");
    }
    cluster.network.restore("nodes").await.unwrap();
    // Everything and everybody means no nodes.
    cluster.network.disturb("all", cut(pod("b"), Party::Addresses("0.0.0.0/0".into()))).await.unwrap();
    assert_eq!(tcp(&a, at(&b), NEVER).await, Seen::Timeout);
    assert!(cluster.network.connect(at(&b)).await.is_ok());
    cluster.network.disturb("all", cut(pod("b"), Party::Node(NodeIndex::new(2).unwrap()))).await.unwrap();
    assert!(tokio::time::timeout(NEVER, cluster.network.connect(at(&b))).await.is_err(), "its node was named");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_follows_a_pod_that_comes_back_with_another_address() {
    let cluster = Cluster::start().await;
    let [_, b, client] = three(&cluster).await;
    cluster.network.disturb("f", cut(pod("a"), pod("b"))).await.unwrap();
    let gone = DeleteOptions { grace_period: Some(0), ..DeleteOptions::default() };
    Api::delete(&cluster.api, &Actor::system("test"), &PODS, "ns", "a", &gone).unwrap();
    cluster.network.detach("a").await.unwrap();
    let again = serde_json::json!({"metadata": {"namespace": "ns", "name": "a", "uid": "a2"}});
    let again = cluster.attach_as(again, node(1)).await.unwrap();
    serve(&again, &[80], &[]).await;
    assert_eq!(tcp(&again, (b.address, 80).into(), NEVER).await, Seen::Timeout);
    assert_eq!(tcp(&client, (again.address, 80).into(), SOON).await, Seen::Open);
    let unknown = cluster.network.disturb("g", cut(pod("nobody"), pod("b"))).await.unwrap_err();
    assert!(unknown.to_string().contains("no pod ns/nobody is on the network"), "{unknown}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_drops_its_share_and_a_rate_what_exceeds_it() {
    let cluster = Cluster::start().await;
    let [a, b, _] = three(&cluster).await;
    let loss = Fault { effect: Effect::Loss { percent: 30.0 }, both_ways: false, ..cut(pod("a"), pod("b")) };
    cluster.network.disturb("f", loss).await.unwrap();
    let socket = embedded_network::netns::NetNs::open(&a.netns).unwrap();
    let socket = socket.bind_udp("0.0.0.0:0".parse().unwrap()).await.unwrap();
    let flood = async |count: usize| {
        for _ in 0..count {
            socket.send_to(&[0; 1000], (b.address, 53)).await.unwrap();
        }
    };
    flood(2000).await;
    let counters = cluster.network.counters("f").await.unwrap();
    let share = counters.dropped as f64 / counters.seen as f64;
    assert!(counters.seen >= 2000 && (0.2..0.4).contains(&share), "{counters:?}");
    let rate = Effect::Rate { kilobytes_per_second: 100 };
    cluster.network.disturb("f", Fault { effect: rate, both_ways: false, ..cut(pod("a"), pod("b")) }).await.unwrap();
    flood(2000).await;
    let counters = cluster.network.counters("f").await.unwrap();
    assert!(counters.dropped > 0 && counters.dropped < counters.seen, "{counters:?}");
    cluster.stop().await;
}

/// The time that a word takes over a connection and back: the shortest of some, on a machine that has much else to do.
async fn round_trip(connection: &mut Standing) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        assert!(connection.works(SOON).await);
        shortest = shortest.min(start.elapsed());
    }
    shortest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_makes_late_what_is_named_and_nothing_else_until_it_is_healed() {
    const LATE: Duration = Duration::from_millis(300);
    let cluster = Cluster::start().await;
    let [a, b, client] = three(&cluster).await;
    let mut named = Standing::open(&a, (b.address, 80).into()).await;
    let mut other = Standing::open(&client, (b.address, 80).into()).await;
    let wait = Wait { delay: LATE, jitter: Duration::ZERO };
    cluster.network.disturb("late", Fault { effect: Effect::Delay(wait), ..cut(pod("a"), pod("b")) }).await.unwrap();
    // Both ways: a word waits twice, on a connection that stands too.
    let late = round_trip(&mut named).await;
    assert!(late >= LATE * 2 && late < LATE * 10, "{late:?}");
    let untouched = round_trip(&mut other).await;
    assert!(untouched < LATE, "{untouched:?}");
    let start = Instant::now();
    assert_eq!(tcp(&a, (b.address, 81).into(), SOON).await, Seen::Open);
    assert!(start.elapsed() >= LATE * 2);
    assert_eq!(udp(&a, (b.address, 53).into(), SOON).await, Seen::Open);
    let counters = cluster.network.counters("late").await.unwrap();
    assert!(counters.delayed > 0 && counters.dropped == 0, "{counters:?}");
    // One way: what comes back is in time.
    let one_way = Fault { both_ways: false, effect: Effect::Delay(wait), ..cut(pod("a"), pod("b")) };
    cluster.network.disturb("late", one_way).await.unwrap();
    let late = round_trip(&mut named).await;
    assert!(late >= LATE && late < LATE * 2, "{late:?}");
    cluster.network.restore("late").await.unwrap();
    cluster.network.restore("late").await.unwrap();
    let healed = round_trip(&mut named).await;
    assert!(healed < LATE, "{healed:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_late_is_judged_as_what_is_not() {
    let cluster = Cluster::start().await;
    let [a, b, _] = three(&cluster).await;
    let wait = Wait { delay: Duration::from_millis(50), jitter: Duration::from_millis(20) };
    cluster.network.disturb("late", Fault { effect: Effect::Delay(wait), ..cut(pod("a"), pod("b")) }).await.unwrap();
    // Other faults see a packet once.
    let all = Fault { effect: Effect::Rate { kilobytes_per_second: 10_000 }, ..cut(pod("a"), pod("b")) };
    cluster.network.disturb("counted", Fault { both_ways: false, ports: vec![53], ..all }).await.unwrap();
    let socket = embedded_network::netns::NetNs::open(&a.netns).unwrap();
    let socket = socket.bind_udp("0.0.0.0:0".parse().unwrap()).await.unwrap();
    let mut answer = [0; 8];
    for _ in 0..10 {
        socket.send_to(b"x", (b.address, 53)).await.unwrap();
        let answered = tokio::time::timeout(SOON, socket.recv(&mut answer)).await;
        let counters = [cluster.network.counters("late").await, cluster.network.counters("counted").await];
        assert!(matches!(answered, Ok(Ok(1))), "{answered:?} after {counters:?}");
    }
    assert_eq!(cluster.network.counters("counted").await.unwrap().seen, 10);
    let service = std::net::Ipv4Addr::new(10, 96, 1, 1);
    cluster.serve("b", service, &[b.address]);
    let tcp_53 =
        embedded_network::netns::NetNs::open(&b.netns).unwrap().listen(([0, 0, 0, 0], 53).into()).await.unwrap();
    tokio::spawn(async move { while tcp_53.accept().await.is_ok() {} });
    // Behind a Service too, whose rules follow it a moment later.
    while tcp(&a, (service, 80).into(), Duration::from_secs(1)).await != Seen::Open {}
    cluster.network.disturb("cut", cut(pod("a"), pod("b"))).await.unwrap();
    assert_eq!(tcp(&a, (b.address, 80).into(), NEVER).await, Seen::Timeout);
    cluster.network.restore("cut").await.unwrap();
    assert_eq!(tcp(&a, (b.address, 80).into(), SOON).await, Seen::Open);
    let deny = serde_json::json!({"metadata": {"name": "deny", "namespace": "ns"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}});
    cluster.make(&NETWORK_POLICIES, "ns", deny);
    // Policies follow the API a moment later.
    while tcp(&a, (b.address, 80).into(), NEVER).await != Seen::Timeout {}
    cluster.network.restore("late").await.unwrap();
    assert_eq!(tcp(&a, (b.address, 80).into(), NEVER).await, Seen::Timeout);
    cluster.stop().await;
}
