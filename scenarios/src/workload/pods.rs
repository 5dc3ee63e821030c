//! The objects that a fleet of clients is, made from the contract alone.

use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::objective::Pipeline;
use gauntlet_core::contract::store::{Store, StoreKind};
use gauntlet_core::span::Span;
use serde_json::{Value, json};

/// The label of all clients; policies let them in by it.
pub const LABEL: &str = "gauntlet.test/agent";

/// The durable consumer of a fleet's stream.
pub const CONSUMER: &str = "gauntlet";

const CONTROL_PORT: u16 = 7070;
const TLS: &str = "/gauntlet-tls";

/// One client: what it uses.
#[derive(Debug, Clone, Copy)]
pub enum Client<'a> {
    Redis(&'a Store),
    Nats(&'a Store),
    /// A client of a NATS store that knows one of its endpoints only, so that it is cut off with it.
    NatsAt(&'a Store, &'a str),
    Jobs(&'a Pipeline),
}

impl<'a> Client<'a> {
    /// A client for everything in the deployment that clients use.
    pub fn all(deployment: Deployment<'a>) -> Vec<Self> {
        let stores = deployment.stores().map(|store| match store.kind {
            StoreKind::RedisCluster { .. } | StoreKind::Redis { .. } => Self::Redis(store),
            StoreKind::NatsJetstream { .. } => Self::Nats(store),
        });
        stores.chain(deployment.pipelines().map(Self::Jobs)).collect()
    }

    /// A client for each endpoint of each NATS store.
    pub fn pinned(deployment: Deployment<'a>) -> Vec<Self> {
        let stores = deployment.stores().filter(|store| matches!(store.kind, StoreKind::NatsJetstream { .. }));
        stores.flat_map(|store| store.endpoints.iter().map(|at| Self::NatsAt(store, at.as_str()))).collect()
    }

    /// What the contract calls the thing it uses; of an endpoint, the first label of its host name.
    pub fn name(&self) -> &'a str {
        match self {
            Self::Redis(store) | Self::Nats(store) => &store.name.value,
            Self::NatsAt(_, endpoint) => endpoint.split(['.', ':']).next().unwrap_or(endpoint),
            Self::Jobs(pipeline) => &pipeline.name.value,
        }
    }

    fn subcommand(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Nats(_) | Self::NatsAt(..) => "nats",
            Self::Jobs(_) => "pipeline",
        }
    }

    fn workload(&self) -> &'a str {
        match self {
            Self::Redis(store) | Self::Nats(store) | Self::NatsAt(store, _) => &store.workload.value,
            Self::Jobs(pipeline) => &pipeline.workload.value,
        }
    }
}

/// Where a fleet runs and what it is called.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Tells this fleet from others of the same run.
    pub fleet: String,
    /// The node that nothing disturbs.
    pub node: Option<String>,
    /// The image of the agent.
    pub image: String,
    pub load: Load,
    /// How long what was accepted may take to come to its end, where the contract says so.
    pub settled_within: Option<Span>,
}

/// What the clients of a fleet do.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Milliseconds between two operations of one worker.
    pub pause_ms: u64,
    /// Whether messages are also taken from the stream, by a durable consumer.
    pub consume: bool,
    /// Whether there is also a client at each endpoint of NATS that knows no other.
    pub pinned: bool,
}

impl Load {
    /// Reads, writes and jobs, an operation of each worker every so many milliseconds.
    pub fn every_ms(pause_ms: u64) -> Self {
        Self { pause_ms, consume: false, pinned: false }
    }
}

impl Placement {
    pub fn pod_name(&self, client: &Client<'_>) -> String {
        format!("gauntlet-{}-{}", self.fleet, client.name())
    }

    /// The namespace of the fleet.
    pub fn namespace(&self) -> String {
        format!("gauntlet-{}", self.fleet)
    }

    /// The stream that the fleet's NATS client publishes to.
    pub fn stream(&self) -> String {
        format!("GAUNTLET_{}", self.fleet.to_uppercase().replace('-', "_"))
    }
}

/// The namespace of a fleet's own: in that of the system its pods would count against quotas and defaults.
pub fn namespace(placement: &Placement) -> Value {
    let name = placement.namespace();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: "clients"}}})
}

/// A secret of the system that a client needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretOf<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
}

impl SecretOf<'_> {
    /// What its copy in the namespace of the clients is called.
    pub fn copy_name(&self) -> String {
        format!("{}-{}", self.namespace, self.name)
    }
}

impl<'a> Client<'a> {
    fn secret(&self, deployment: Deployment<'a>, name: &'a str) -> SecretOf<'a> {
        let workload = deployment.workload(self.workload());
        SecretOf { namespace: workload.map_or("default", |workload| &workload.namespace.value), name }
    }

    /// The secrets that it needs.
    pub fn secrets(&self, deployment: Deployment<'a>) -> Vec<SecretOf<'a>> {
        let (tls, key) = match self {
            Self::Redis(store) | Self::Nats(store) | Self::NatsAt(store, _) => {
                (store.client_tls.as_ref(), store.password.as_ref())
            }
            Self::Jobs(pipeline) => (None, pipeline.key.as_ref()),
        };
        let names = tls.map(|tls| &tls.value).into_iter().chain(key.map(|key| &key.secret.value));
        names.map(|name| self.secret(deployment, name)).collect()
    }
}

/// The pod of one client.
pub fn pod(deployment: Deployment<'_>, client: &Client<'_>, placement: &Placement) -> Value {
    let name = placement.pod_name(client);
    let mut volumes = vec![json!({"name": "history", "emptyDir": {}}), json!({"name": "tmp", "emptyDir": {}})];
    let mut mounts =
        vec![json!({"name": "history", "mountPath": "/history"}), json!({"name": "tmp", "mountPath": "/tmp"})];
    if let Client::Redis(store) | Client::Nats(store) | Client::NatsAt(store, _) = client
        && let Some(secret) = &store.client_tls
    {
        let secret = client.secret(deployment, &secret.value).copy_name();
        volumes.push(json!({"name": "tls", "secret": {"secretName": secret, "defaultMode": 0o440}}));
        mounts.push(json!({"name": "tls", "mountPath": TLS, "readOnly": true}));
    }
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
        "containers": [{
            "name": "agent",
            "image": placement.image,
            "args": ["workload", client.subcommand()],
            "env": environment(deployment, client, placement),
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true},
            "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
            "readinessProbe": {"tcpSocket": {"port": CONTROL_PORT}, "periodSeconds": 1},
            "volumeMounts": mounts,
        }],
        "volumes": volumes,
    });
    if let Some(node) = &placement.node {
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
        spec["tolerations"] = json!([{"operator": "Exists", "effect": "NoSchedule"}]);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": placement.namespace(), "labels": {LABEL: "client"}},
        "spec": spec,
    })
}

fn environment(deployment: Deployment<'_>, client: &Client<'_>, placement: &Placement) -> Vec<Value> {
    let value = |name: &str, value: String| json!({"name": name, "value": value});
    let from_secret = |variable: &str, secret: &str, key: &str| {
        let secret = client.secret(deployment, secret).copy_name();
        json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    };
    let mut variables = vec![value("GAUNTLET_WORKLOAD", settings(client, placement).to_string())];
    match client {
        Client::Redis(store) => {
            let scheme = if store.client_tls.is_some() { "rediss" } else { "redis" };
            let endpoints: Vec<&str> = store.endpoints.iter().map(|endpoint| endpoint.as_str()).collect();
            variables.push(value("REDIS_URL", format!("{scheme}://{}", endpoints[0])));
            if matches!(store.kind, StoreKind::RedisCluster { .. }) {
                variables.push(value("REDIS_CLUSTER_ADDRESSES", endpoints.join(",")));
            }
            if let Some(password) = &store.password {
                variables.push(from_secret("REDIS_PASSWORD", &password.secret.value, &password.key.value));
            }
            variables.extend(tls("REDIS", store));
        }
        Client::Nats(store) | Client::NatsAt(store, _) => {
            let scheme = if store.client_tls.is_some() { "tls" } else { "nats" };
            let known = match client {
                Client::NatsAt(_, endpoint) => vec![*endpoint],
                _ => store.endpoints.iter().map(|endpoint| endpoint.as_str()).collect(),
            };
            let servers: Vec<String> = known.iter().map(|endpoint| format!("{scheme}://{endpoint}")).collect();
            variables.push(value("NATS_URL", servers.join(",")));
            if let StoreKind::NatsJetstream { stream_replicas, .. } = store.kind {
                variables.push(value("NATS_JS_REPLICAS", stream_replicas.to_string()));
            }
            variables.extend(tls("NATS", store));
        }
        Client::Jobs(pipeline) => {
            variables.push(value("GATEWAY_URL", origin(&pipeline.submit_url)));
            if let Some(key) = &pipeline.key {
                variables.push(from_secret("API_KEY", &key.secret.value, &key.key.value));
            }
        }
    }
    variables
}

fn settings(client: &Client<'_>, placement: &Placement) -> Value {
    let mut settings = json!({
        "client": placement.pod_name(client),
        "history_dir": "/history",
        "stream": false,
        "pause_ms": placement.load.pause_ms,
    });
    match client {
        Client::Redis(_) => settings["redis"] = json!({"prefix": placement.pod_name(client)}),
        Client::Nats(_) | Client::NatsAt(..) => {
            let subject = format!("gauntlet.{}.data", placement.fleet);
            let takes = placement.load.consume && matches!(client, Client::Nats(_));
            let consumer = takes.then_some(CONSUMER);
            settings["nats"] = json!({"stream": placement.stream(), "subject": subject, "consumer": consumer});
        }
        Client::Jobs(_) => {
            if let Some(Span(within)) = placement.settled_within {
                settings["verify_timeout_ms"] = json!(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
            }
        }
    }
    settings
}

fn tls(prefix: &str, store: &Store) -> Vec<Value> {
    if store.client_tls.is_none() {
        return vec![];
    }
    let files = [("CA", "ca.crt"), ("CERT", "tls.crt"), ("KEY", "tls.key")];
    files.map(|(what, file)| json!({"name": format!("{prefix}_TLS_{what}"), "value": format!("{TLS}/{file}")})).to_vec()
}

/// `scheme://host:port` of a URL.
fn origin(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    url[..end].to_owned()
}

/// Policies that let the clients reach what they use. They are made only for workloads to which the contract restricts
/// access: elsewhere a policy would shut others out.
pub fn policies(deployment: Deployment<'_>, clients: &[Client<'_>]) -> Vec<Value> {
    let restricted = deployment.contract.network.iter().flat_map(|network| &network.restricted_ingress);
    let restricted: Vec<&str> = restricted.map(|name| name.as_str()).collect();
    let targets = clients.iter().map(Client::workload).filter(|name| restricted.contains(name));
    targets
        .filter_map(|name| deployment.workload(name))
        .map(|workload| {
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": format!("gauntlet-clients-{}", workload.name.value), "namespace": workload.namespace.value, "labels": {LABEL: "clients"}},
                "spec": {
                    "podSelector": {"matchLabels": workload.labels},
                    "policyTypes": ["Ingress"],
                    "ingress": [{"from": [{
                        "namespaceSelector": {"matchLabels": {LABEL: "clients"}},
                        "podSelector": {"matchLabels": {LABEL: "client"}},
                    }]}],
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> gauntlet_core::Contract {
        crate::systems::load("cordum").unwrap().contract
    }

    fn placement() -> Placement {
        let load = Load { pause_ms: 20, consume: false, pinned: false };
        Placement {
            fleet: "fault".into(),
            node: Some("quiet".into()),
            image: "agent".into(),
            load,
            settled_within: None,
        }
    }

    #[test]
    fn every_store_and_pipeline_of_the_overlay_gets_a_client() {
        let contract = contract();
        let names = |overlay| -> Vec<String> {
            Client::all(contract.deployment(overlay).unwrap()).iter().map(|c| c.name().to_owned()).collect()
        };
        assert_eq!(names(None), ["redis", "nats", "jobs"]);
        assert_eq!(names(Some("base")), ["jobs"]);
    }

    #[test]
    fn a_pinned_client_knows_its_endpoint_alone_and_takes_nothing() {
        let contract = contract();
        let deployment = contract.deployment(None).unwrap();
        let pinned = Client::pinned(deployment);
        let names: Vec<&str> = pinned.iter().map(Client::name).collect();
        assert_eq!(names, ["cordum-nats-0", "cordum-nats-1", "cordum-nats-2"]);
        let placement = Placement { load: Load { pause_ms: 20, consume: true, pinned: true }, ..placement() };
        let variables = environment(deployment, &pinned[1], &placement);
        let value = |name: &str| variables.iter().find(|v| v["name"] == name).unwrap()["value"].clone();
        assert_eq!(value("NATS_URL"), "tls://cordum-nats-1.cordum-nats.cordum.svc:4222");
        assert!(value("GAUNTLET_WORKLOAD").as_str().unwrap().contains(r#""consumer":null"#));
    }

    #[test]
    fn a_client_gets_secrets_by_reference_only_and_lives_on_the_quiet_node() {
        let contract = contract();
        let deployment = contract.deployment(None).unwrap();
        let redis = Client::all(deployment)[0];
        let pod = pod(deployment, &redis, &placement());
        let variables = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        let password = variables.iter().find(|v| v["name"] == "REDIS_PASSWORD").unwrap();
        assert_eq!(password["valueFrom"]["secretKeyRef"]["name"], "cordum-cordum-redis-secret");
        assert_eq!(pod["spec"]["nodeSelector"]["kubernetes.io/hostname"], "quiet");
        assert_eq!(pod["metadata"]["namespace"], "gauntlet-fault");
        let copies: Vec<String> = redis.secrets(deployment).iter().map(SecretOf::copy_name).collect();
        assert_eq!(copies, ["cordum-cordum-client-tls", "cordum-cordum-redis-secret"]);
    }

    #[test]
    fn policies_are_made_only_where_access_is_restricted_already() {
        let contract = contract();
        let deployment = contract.deployment(None).unwrap();
        let names: Vec<String> = policies(deployment, &Client::all(deployment))
            .iter()
            .filter_map(|policy| policy["metadata"]["name"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(names, ["gauntlet-clients-cordum-redis", "gauntlet-clients-cordum-nats"]);
    }

    #[test]
    fn the_origin_of_a_url_has_no_path() {
        assert_eq!(origin("http://gw.ns.svc:8081/api/v1/jobs"), "http://gw.ns.svc:8081");
        assert_eq!(origin("http://gw"), "http://gw");
    }
}
