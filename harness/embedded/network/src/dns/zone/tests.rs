//! Questions against a small cluster: a Service, a headless one with a named pod, an empty one, an external name.

use std::sync::Arc;

use embedded_apimachinery::{Actor, GroupResource, Store};
use serde_json::json;

use super::*;

fn cluster() -> Arc<Store> {
    let store = Arc::new(Store::default());
    let make = |resource: &GroupResource, ns: &str, object: Value| {
        Api::create(&store, &Actor::system("test"), resource, ns, object).unwrap();
    };
    make(&NAMESPACES, "", json!({"metadata": {"name": "ns"}}));
    let ports = json!([{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    for (name, spec) in [
        ("web", json!({"clusterIP": "10.96.0.20", "ports": ports})),
        ("peers", json!({"clusterIP": "None", "ports": [{"name": "client", "port": 6379}]})),
        ("empty", json!({"clusterIP": "None"})),
        ("alias", json!({"type": "ExternalName", "externalName": "web.ns.svc.cluster.local"})),
        ("outside", json!({"type": "ExternalName", "externalName": "Example.org."})),
    ] {
        make(&SERVICES, "ns", json!({"metadata": {"name": name}, "spec": spec}));
    }
    make(
        &ENDPOINT_SLICES,
        "ns",
        json!({
            "metadata": {"name": "peers-1", "labels": {"kubernetes.io/service-name": "peers"}},
            "addressType": "IPv4",
            "ports": [{"name": "client", "port": 6379, "protocol": "TCP"}],
            "endpoints": [
                {"addresses": ["10.244.1.2"], "hostname": "peers-0", "conditions": {"ready": true}},
                {"addresses": ["10.244.2.2"], "conditions": {"ready": true}},
                {"addresses": ["10.244.2.3"], "hostname": "peers-2", "conditions": {"ready": false}},
            ],
        }),
    );
    store
}

/// `NXDOMAIN`, or the answers as "data" (with the owner where it is not the asked name).
fn ask(name: &str, kind: RecordType) -> Vec<String> {
    let answer = resolve(&cluster(), name, kind);
    if !answer.exists {
        assert_eq!(answer.answers, []);
        return vec!["NXDOMAIN".into()];
    }
    let text = |record: &Record| {
        let data = match &record.data {
            Data::A(address) => address.to_string(),
            Data::Srv { port, target } => format!("{port} {target}"),
            Data::Ptr(name) | Data::Cname(name) | Data::Ns(name) => name.clone(),
            Data::Soa => "SOA".into(),
        };
        if record.name == name { data } else { format!("{} {data}", record.name) }
    };
    answer.answers.iter().map(text).collect()
}

#[test]
fn names_stand_for_what_the_specification_says() {
    use RecordType::{A, AAAA, CNAME, NS, PTR, SOA, SRV};
    const NONE: &[&str] = &[];
    const NXDOMAIN: &[&str] = &["NXDOMAIN"];
    let cases: &[(&str, RecordType, &[&str])] = &[
        ("web.ns.svc.cluster.local", A, &["10.96.0.20"]),
        ("web.ns.svc.cluster.local", AAAA, NONE),
        ("web.ns.svc.cluster.local", SRV, &["53 web.ns.svc.cluster.local", "80 web.ns.svc.cluster.local"]),
        ("_http._tcp.web.ns.svc.cluster.local", SRV, &["80 web.ns.svc.cluster.local"]),
        ("_http._udp.web.ns.svc.cluster.local", SRV, NXDOMAIN),
        ("_tcp.web.ns.svc.cluster.local", SRV, NONE),
        ("http._tcp.web.ns.svc.cluster.local", SRV, NXDOMAIN),
        ("peers.ns.svc.cluster.local", A, &["10.244.1.2", "10.244.2.2"]),
        ("peers-0.peers.ns.svc.cluster.local", A, &["10.244.1.2"]),
        ("peers-0.peers.ns.svc.cluster.local", AAAA, NONE),
        ("10-244-2-2.peers.ns.svc.cluster.local", A, &["10.244.2.2"]),
        ("peers-2.peers.ns.svc.cluster.local", A, NXDOMAIN),
        (
            "_client._tcp.peers.ns.svc.cluster.local",
            SRV,
            &["6379 10-244-2-2.peers.ns.svc.cluster.local", "6379 peers-0.peers.ns.svc.cluster.local"],
        ),
        ("empty.ns.svc.cluster.local", A, NXDOMAIN),
        ("alias.ns.svc.cluster.local", A, &["web.ns.svc.cluster.local", "web.ns.svc.cluster.local 10.96.0.20"]),
        ("outside.ns.svc.cluster.local", A, &["example.org"]),
        ("outside.ns.svc.cluster.local", CNAME, &["example.org"]),
        ("absent.ns.svc.cluster.local", A, NXDOMAIN),
        ("web.other.svc.cluster.local", A, NXDOMAIN),
        ("ns.svc.cluster.local", A, NONE),
        ("other.svc.cluster.local", A, NXDOMAIN),
        ("svc.cluster.local", A, NONE),
        ("cluster.local", SOA, &["SOA"]),
        ("cluster.local", NS, &["ns.dns.cluster.local"]),
        ("cluster.local", A, NONE),
        ("10-244-1-2.ns.pod.cluster.local", A, &["10.244.1.2"]),
        ("10-244-1-2.other.pod.cluster.local", A, NXDOMAIN),
        ("nonsense.ns.pod.cluster.local", A, NXDOMAIN),
        ("20.0.96.10.in-addr.arpa", PTR, &["web.ns.svc.cluster.local"]),
        ("2.1.244.10.in-addr.arpa", PTR, &["peers-0.peers.ns.svc.cluster.local"]),
        ("9.9.9.9.in-addr.arpa", PTR, NXDOMAIN),
        ("web", A, NXDOMAIN),
        ("web.ns.svc", A, NXDOMAIN),
        ("example.org", A, NXDOMAIN),
        ("notcluster.local", A, NXDOMAIN),
    ];
    for (name, kind, expected) in cases {
        assert_eq!(ask(name, *kind), *expected, "{name} {kind}");
    }
}

#[test]
fn services_of_ports_come_with_the_addresses_they_point_to() {
    let answer = resolve(&cluster(), "_client._tcp.peers.ns.svc.cluster.local", RecordType::SRV);
    let expected = [
        ("10-244-2-2.peers.ns.svc.cluster.local", Ipv4Addr::new(10, 244, 2, 2)),
        ("peers-0.peers.ns.svc.cluster.local", Ipv4Addr::new(10, 244, 1, 2)),
    ];
    let expected = expected.map(|(name, address)| Record { name: name.into(), data: Data::A(address) });
    assert_eq!(answer.additionals, expected);
}
