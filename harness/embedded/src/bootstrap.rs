//! The objects that a cluster has from the start and that are nobody else's to make: how the API server and DNS are
//! reached, and where volumes come from.

use std::net::Ipv4Addr;

use embedded_apimachinery::resource::{ENDPOINT_SLICES, SERVICES, STORAGE_CLASSES};
use embedded_apimachinery::{Actor, Api, GroupResource, Result};
use embedded_controllers::platform::volumes::default_storage_class;
use embedded_network::address::{CONTROL_PLANE, DNS_SERVER, DNS_SERVICE, KUBERNETES_SERVICE};
use serde_json::{Value, json};

/// Creates what is missing.
pub(crate) fn run(api: &dyn Api, api_port: u16) -> Result<()> {
    let actor = Actor::system("apiserver");
    let create = |resource: &GroupResource, namespace: &str, object: Value| match api
        .create(&actor, resource, namespace, object)
    {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    };
    create(&SERVICES, "default", kubernetes_service())?;
    let https = json!([{"name": "https", "port": api_port, "protocol": "TCP"}]);
    create(&ENDPOINT_SLICES, "default", slice("kubernetes", "kubernetes", CONTROL_PLANE, https))?;
    create(&SERVICES, "kube-system", dns_service())?;
    let dns = json!([
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]);
    create(&ENDPOINT_SLICES, "kube-system", slice("kube-dns-host", "kube-dns", DNS_SERVER, dns))?;
    create(&STORAGE_CLASSES, "", default_storage_class())
}

fn kubernetes_service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": KUBERNETES_SERVICE,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    })
}

/// Without a selector: the DNS server is no pod.
fn dns_service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "clusterIP": DNS_SERVICE,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            ],
        },
    })
}

fn slice(name: &str, service: &str, address: Ipv4Addr, ports: Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": ports,
    })
}
