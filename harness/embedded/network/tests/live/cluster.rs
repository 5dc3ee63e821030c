//! A network of two nodes over a bare store.

use std::net::Ipv4Addr;
use std::sync::Arc;

use embedded_apimachinery::resource::{ENDPOINT_SLICES, NAMESPACES, PODS, SERVICES};
use embedded_apimachinery::{Actor, Api, GroupResource, Store};
use embedded_network::{ClusterNetwork, NodeIndex, PodAttachment};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A cluster of two nodes with everything of the network running.
pub struct Cluster {
    directory: tempfile::TempDir,
    pub network: ClusterNetwork,
    pub api: Arc<Store>,
    shutdown: CancellationToken,
}

impl Cluster {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let network = ClusterNetwork::create(directory.path()).await.expect("these tests need root and nft");
        for index in [1, 2] {
            network.add_node(node(index)).await.unwrap();
        }
        let cluster = Self { directory, network, api: Arc::new(Store::default()), shutdown: CancellationToken::new() };
        cluster.make(&NAMESPACES, "", json!({"metadata": {"name": "ns"}}));
        let (network, api) = (cluster.network.clone(), cluster.api.clone());
        let shutdown = cluster.shutdown.clone();
        tokio::spawn(async move { network.run(Arc::new(api), shutdown).await.unwrap() });
        cluster
    }

    pub fn make(&self, resource: &GroupResource, ns: &str, object: Value) {
        Api::create(&self.api, &Actor::system("test"), resource, ns, object).unwrap();
    }

    /// Attaches a pod of namespace `ns` without labels, whose name is its uid.
    pub async fn attach(&self, uid: &str, on: NodeIndex) -> embedded_network::Result<PodAttachment> {
        self.attach_as(json!({"metadata": {"namespace": "ns", "name": uid, "uid": uid}}), on).await
    }

    /// Attaches a pod with the uid that its object has.
    pub async fn attach_as(&self, pod: Value, on: NodeIndex) -> embedded_network::Result<PodAttachment> {
        let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
        Store::create(&self.api, &PODS, pod).unwrap();
        self.network.attach(&uid, on).await
    }

    /// A Service at `address` with one TCP port 80 and one UDP port 53, both leading to the endpoints' port 53.
    pub fn serve(&self, name: &str, address: Ipv4Addr, endpoints: &[Ipv4Addr]) {
        let ports = json!([
            {"name": "tcp", "port": 80, "protocol": "TCP", "nodePort": 30060 + u16::from(address.octets()[3])},
            {"name": "udp", "port": 53, "protocol": "UDP"},
        ]);
        let spec = json!({"clusterIP": address, "ports": ports});
        self.make(&SERVICES, "ns", json!({"metadata": {"name": name}, "spec": spec}));
        let endpoints: Vec<Value> = endpoints.iter().map(|ip| json!({"addresses": [ip]})).collect();
        let slice = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [
                {"name": "tcp", "port": 53, "protocol": "TCP"},
                {"name": "udp", "port": 53, "protocol": "UDP"},
            ],
        });
        self.make(&ENDPOINT_SLICES, "ns", slice);
    }

    pub fn set_endpoints(&self, name: &str, endpoints: &[Ipv4Addr]) {
        let endpoints: Vec<Value> = endpoints.iter().map(|ip| json!({"addresses": [ip]})).collect();
        let change = &mut |slice: &mut Value| {
            slice["endpoints"] = json!(endpoints);
            Ok(())
        };
        self.api.modify(&Actor::system("test"), &ENDPOINT_SLICES, "ns", name, "", change).unwrap();
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        let errors = self.network.destroy().await;
        assert!(errors.is_empty(), "{errors:?}");
        assert!(!self.directory.path().exists());
    }
}

pub fn node(index: u8) -> NodeIndex {
    NodeIndex::new(index).unwrap()
}
