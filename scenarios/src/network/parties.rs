//! Pods of our own that the matrix needs: strangers, foreigners, look-alikes, peers, and twins of jobs' pods.
//!
//! Pods of peers stand in for pods of others, too: they are twins as well.
//!
//! A twin has the labels, namespace and service account of the pods that it stands in for, so it must neither receive
//! their traffic nor be taken for one of them. It is never ready (a readiness gate that nobody sets), so no Service sends
//! it anything; it is not made where a Service publishes pods that are not ready. It has a controller already, a
//! ConfigMap of ours, and controllers adopt only pods that have none.

use super::plan::{self, OWN_PORT, Plan, Who};
use gauntlet_cluster::{agent_pod, ownership};
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::model::Labels;
use gauntlet_core::contract::network::Network;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Ours in namespaces of others begin with this.
pub const PREFIX: &str = "gauntlet-matrix-";

/// What is ours is called so that other runs on the same cluster have the same peers in peace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The namespace of foreigners, look-alikes and canaries.
    pub namespace: String,
    prefix: String,
}

impl Names {
    pub fn of(run: &str) -> Self {
        Self {
            namespace: ownership::name(run, "network-matrix"),
            prefix: format!("{PREFIX}{}-", ownership::short(run)),
        }
    }

    /// Of an object in a namespace that may be another's.
    fn beside(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    /// Of the ConfigMap that controls twins.
    pub fn owner(&self) -> String {
        self.beside("twins")
    }
}

/// The container that has the agent, in pods of our own.
pub const CONTAINER: &str = "agent";

/// Pods and containers of ours end by themselves after this many seconds, whatever becomes of the run.
pub const LIVES_FOR: u64 = 900;

/// The canary that asks, and the one that answers.
pub const CANARIES: [&str; 2] = ["canary-asks", "canary-answers"];

/// The labels of the canary that answers.
pub fn canary_labels() -> Labels {
    [("gauntlet.test/canary".to_owned(), "answers".to_owned())].into()
}

/// A pod of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub who: Who,
    pub namespace: String,
    pub name: String,
    pub labels: Labels,
    pub listen: Vec<u16>,
}

/// Every pod of ours that a plan needs, but for twins, which need to be looked up first.
pub fn of(deployment: Deployment<'_>, plan: &Plan, names: &Names) -> Vec<Party> {
    let ours = |who: Who, name: String, labels: Labels, listen: Vec<u16>| Party {
        who,
        namespace: names.namespace.clone(),
        name,
        labels,
        listen,
    };
    let mut parties = vec![ours(Who::Foreign, "foreign".to_owned(), Labels::new(), vec![OWN_PORT])];
    for name in plan.look_alikes() {
        let ports =
            deployment.workload(name).map(|workload| workload.ports.iter().map(|port| port.port.value).collect());
        let labels = plan::labels_of(deployment, name);
        parties.push(ours(Who::LookAlike(name.to_owned()), format!("like-{name}"), labels, ports.unwrap_or_default()));
    }
    for source in &plan.sources {
        if let Who::Stranger(namespace) = &source.who {
            let (namespace, name) = (namespace.clone(), names.beside("stranger"));
            parties.push(Party {
                who: source.who.clone(),
                namespace,
                name,
                labels: Labels::new(),
                listen: vec![OWN_PORT],
            });
        }
    }
    parties
}

/// Twins of the pods of peers, whose namespaces may be there already, with others in them.
pub fn peers(network: &Network, plan: &Plan, names: &Names) -> Vec<Twin> {
    let called = plan.sources.iter().filter_map(|source| match &source.who {
        Who::Peer(name) => Some(name),
        _ => None,
    });
    let peers = called.filter_map(|name| plan::peer(network, name));
    peers
        .map(|peer| Twin {
            who: Who::Peer(peer.name.value.clone()),
            namespace: peer.namespace.clone(),
            name: names.beside(&peer.name.value),
            labels: peer.labels.clone(),
            account: None,
        })
        .collect()
}

/// The canaries, as pods.
pub fn canaries(image: &str, names: &Names) -> Vec<Value> {
    let [asks, answers] = CANARIES;
    let canary = |name, labels: Labels, listen: &[u16]| pod(image, &names.namespace, name, &labels, listen);
    vec![canary(asks, Labels::new(), &[]), canary(answers, canary_labels(), &[OWN_PORT])]
}

/// Namespaces that pods of ours need.
pub fn namespaces<'a>(parties: &'a [Party], peers: &'a [Twin], names: &'a Names) -> BTreeSet<&'a str> {
    let own = parties.iter().map(|party| party.namespace.as_str());
    own.chain(peers.iter().map(|peer| peer.namespace.as_str())).chain([names.namespace.as_str()]).collect()
}

impl Party {
    pub fn pod(&self, image: &str) -> Value {
        pod(image, &self.namespace, &self.name, &self.labels, &self.listen)
    }
}

/// Whom a twin stands in for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    pub who: Who,
    pub namespace: String,
    pub name: String,
    /// Labels of the pod template.
    pub labels: Labels,
    pub account: Option<String>,
}

impl Twin {
    /// `template` is the pod template that the pods in question are made from, or one of them.
    pub fn new(who: Who, workload: &str, namespace: &str, template: &Value, names: &Names) -> Self {
        let labels: Labels = serde_json::from_value(template["metadata"]["labels"].clone()).unwrap_or_default();
        Self {
            who,
            namespace: namespace.to_owned(),
            name: names.beside(&format!("twin-{workload}")),
            labels: labels.into_iter().filter(|(key, _)| !is_of_controllers(key)).collect(),
            account: template["spec"]["serviceAccountName"].as_str().map(str::to_owned),
        }
    }

    /// The twin, controlled by an object of ours with that name and uid.
    pub fn pod(&self, image: &str, (owner, uid): (&str, &str)) -> Value {
        let mut pod = pod(image, &self.namespace, &self.name, &self.labels, &[]);
        if let Some(account) = &self.account {
            pod["spec"]["serviceAccountName"] = account.as_str().into();
        }
        pod["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid, "controller": true,
        }]);
        pod["spec"]["readinessGates"] = json!([{"conditionType": "gauntlet.test/never"}]);
        pod
    }
}

/// Labels that controllers give to the pods that they make.
fn is_of_controllers(key: &str) -> bool {
    const THEIRS: [&str; 6] = [
        "pod-template-hash",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
    ];
    THEIRS.contains(&key) || key.starts_with("batch.kubernetes.io/")
}

/// The ConfigMap that controls twins.
pub fn owner(name: &str, namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}})
}

/// Whether a Service would send traffic to a twin with these labels: only one that publishes pods that are not ready.
pub fn would_receive(service: &Value, labels: &Labels) -> bool {
    let selector: Labels = serde_json::from_value(service["spec"]["selector"].clone()).unwrap_or_default();
    service["spec"]["publishNotReadyAddresses"] == true
        && !selector.is_empty()
        && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// A pod that stays, answers on some ports, and has the agent.
pub fn pod(image: &str, namespace: &str, name: &str, labels: &Labels, listen: &[u16]) -> Value {
    let mut args = vec!["idle".to_owned(), format!("--seconds={LIVES_FOR}")];
    if !listen.is_empty() {
        let ports: Vec<String> = listen.iter().map(ToString::to_string).collect();
        args.push(format!("--listen={}", ports.join(",")));
    }
    let mut container = agent_pod::container(CONTAINER, image);
    container["args"] = args.into();
    container["resources"] =
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": agent_pod::security(),
            "containers": [container],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twin() -> Twin {
        let labels = json!({"app": "backup", "batch.kubernetes.io/job-name": "b-1", "job-name": "b-1"});
        let template = json!({"metadata": {"labels": labels}, "spec": {"serviceAccountName": "shop"}});
        Twin::new(Who::Jobs("backup".to_owned()), "backup", "shop", &template, &Names::of("20260101-000000-4f78"))
    }

    #[test]
    fn a_twin_has_the_identity_and_neither_traffic_nor_another_controller() {
        let pod = twin().pod("agent:1", ("twins", "u-1"));
        assert_eq!(pod["metadata"]["labels"], json!({"app": "backup"}));
        assert_eq!(pod["spec"]["containers"][0]["image"], "agent:1");
        assert_eq!(pod["spec"]["serviceAccountName"], "shop");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["controller"], true);
        assert_eq!(pod["spec"]["securityContext"], agent_pod::security());
        assert_eq!(pod["spec"]["readinessGates"][0]["conditionType"], "gauntlet.test/never");
    }

    #[test]
    fn only_a_service_that_publishes_what_is_not_ready_would_reach_a_twin() {
        let service = |publishes: bool, app: &str| json!({"spec": {"publishNotReadyAddresses": publishes, "selector": {"app": app}}});
        for (service, receives) in [
            (service(true, "backup"), true),
            (service(false, "backup"), false),
            (service(true, "other"), false),
            (json!({"spec": {"publishNotReadyAddresses": true}}), false),
        ] {
            assert_eq!(would_receive(&service, &twin().labels), receives, "{service}");
        }
    }

    #[test]
    fn look_alikes_listen_where_their_models_do() {
        let contract = crate::systems::load("cordum").unwrap().contract;
        let (deployment, network) = (contract.deployment(None).unwrap(), contract.network.as_ref().unwrap());
        let plan = Plan::of(deployment, network, &[]);
        let names = Names::of("20260101-000000-4f78");
        let (parties, peers) = (of(deployment, &plan, &names), peers(network, &plan, &names));
        let redis = parties.iter().find(|party| party.name == "like-cordum-redis").unwrap();
        assert_eq!(redis.namespace, "gauntlet-4f78-network-matrix");
        assert_eq!(redis.listen, [6379, 16379, 9121]);
        assert_eq!(
            namespaces(&parties, &peers, &names).into_iter().collect::<Vec<_>>(),
            ["cordum", "gauntlet-4f78-network-matrix", "ingress-nginx", "monitoring"]
        );
    }
    #[test]
    fn two_runs_on_one_cluster_have_nothing_of_the_same_name() {
        let contract = crate::systems::load("cordum").unwrap().contract;
        let (deployment, network) = (contract.deployment(None).unwrap(), contract.network.as_ref().unwrap());
        let plan = Plan::of(deployment, network, &[]);
        let placed = |run: &str| -> BTreeSet<(String, String)> {
            let names = Names::of(run);
            let own = of(deployment, &plan, &names).into_iter().map(|party| (party.namespace, party.name));
            let twins = peers(network, &plan, &names).into_iter().map(|twin| (twin.namespace, twin.name));
            own.chain(twins).collect()
        };
        assert!(placed("20260101-000000-4f78").is_disjoint(&placed("20260101-000000-a3b1")));
    }
}
