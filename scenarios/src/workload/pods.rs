//! The objects that a fleet of clients is: a namespace, pods, and policies that let them in.

use super::clients::{Client, Placement};
use super::environment::{TLS, environment};
use gauntlet_cluster::agent_pod;
use gauntlet_core::contract::Deployment;
use serde_json::{Value, json};

/// The label of all clients; policies let them in by it.
pub const LABEL: &str = "gauntlet.test/agent";

const CONTROL_PORT: u16 = 7070;

/// The namespace of a fleet's own: in that of the system its pods would count against quotas and defaults.
pub fn namespace(placement: &Placement) -> Value {
    let name = placement.namespace();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: "clients"}}})
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
    let mut container = agent_pod::container("agent", &placement.image);
    container["args"] = json!(["workload", client.subcommand()]);
    container["env"] = environment(deployment, client, placement).into();
    container["resources"] =
        json!({"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}});
    container["readinessProbe"] = json!({"tcpSocket": {"port": CONTROL_PORT}, "periodSeconds": 1});
    container["volumeMounts"] = mounts.into();
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 1,
        "securityContext": agent_pod::security(),
        "containers": [container],
        "volumes": volumes,
    });
    if let Some(node) = &placement.node {
        spec["affinity"] = agent_pod::on_node(node);
        spec["tolerations"] = json!([{"operator": "Exists", "effect": "NoSchedule"}]);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": placement.namespace(), "labels": {LABEL: "client"}},
        "spec": spec,
    })
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
    use crate::workload::clients::{Load, SecretOf};
    use gauntlet_core::Seed;
    use std::collections::BTreeSet;

    fn contract() -> gauntlet_core::Contract {
        crate::systems::load("cordum").unwrap().contract
    }

    fn placement() -> Placement {
        let load = Load { pause_ms: 20, consume: false, pinned: false };
        Placement {
            run: "20260101-000000-4f78".into(),
            fleet: "fault".into(),
            node: Some("quiet".into()),
            image: "agent".into(),
            load,
            seed: Seed(1),
            settled_within: None,
        }
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
    fn the_seed_decides_which_server_a_client_knows_first() {
        let contract = contract();
        let deployment = contract.deployment(None).unwrap();
        let nats = Client::all(deployment)[1];
        let servers = |seed: u64| {
            let variables = environment(deployment, &nats, &Placement { seed: Seed(seed), ..placement() });
            let url = variables.iter().find(|v| v["name"] == "NATS_URL").unwrap()["value"].as_str().unwrap().to_owned();
            url.split(',').map(str::to_owned).collect::<Vec<String>>()
        };
        assert_eq!(servers(7), servers(7));
        let first: BTreeSet<String> = (0..20).map(|seed| servers(seed).remove(0)).collect();
        assert_eq!(first.len(), 3, "{first:?}");
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
        assert_eq!(pod["spec"]["affinity"], agent_pod::on_node("quiet"));
        assert_eq!(pod["spec"]["securityContext"], agent_pod::security());
        assert_eq!(pod["metadata"]["namespace"], "gauntlet-4f78-fault");
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
}
