//! Pods of our own that the matrix needs: strangers, foreigners, look-alikes, peers, and twins of jobs' pods.
//!
//! Pods of peers stand in for pods of others, too: they are twins as well.
//!
//! A twin has the labels, namespace and service account of the pods that it stands in for, so it must neither receive
//! their traffic nor be taken for one of them. It is never ready (a readiness gate that nobody sets), so no Service sends
//! it anything; it is not made where a Service publishes pods that are not ready. It has a controller already, a
//! ConfigMap of ours, and controllers adopt only pods that have none.

use super::plan::{self, OWN_PORT, Plan, Who};
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::model::Labels;
use gauntlet_core::contract::network::Network;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The namespace of foreigners, look-alikes and canaries.
pub const NAMESPACE: &str = "gauntlet-network-matrix";

/// Ours in namespaces of others begin with this.
pub const PREFIX: &str = "gauntlet-matrix-";

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
pub fn of(deployment: Deployment<'_>, plan: &Plan) -> Vec<Party> {
    let ours = |who: Who, name: String, labels: Labels, listen: Vec<u16>| Party {
        who,
        namespace: NAMESPACE.to_owned(),
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
            let (namespace, name) = (namespace.clone(), format!("{PREFIX}stranger"));
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
pub fn peers(network: &Network, plan: &Plan) -> Vec<Twin> {
    let names = plan.sources.iter().filter_map(|source| match &source.who {
        Who::Peer(name) => Some(name),
        _ => None,
    });
    let peers = names.filter_map(|name| plan::peer(network, name));
    peers
        .map(|peer| Twin {
            who: Who::Peer(peer.name.value.clone()),
            namespace: peer.namespace.clone(),
            name: format!("{PREFIX}{}", peer.name.value),
            labels: peer.labels.clone(),
            account: None,
        })
        .collect()
}

/// The canaries, as pods.
pub fn canaries(image: &str) -> Vec<Value> {
    let [asks, answers] = CANARIES;
    let canary = |name, labels: Labels, listen: &[u16]| pod(image, NAMESPACE, name, &labels, listen);
    vec![canary(asks, Labels::new(), &[]), canary(answers, canary_labels(), &[OWN_PORT])]
}

/// Namespaces that pods of ours need.
pub fn namespaces<'a>(parties: &'a [Party], peers: &'a [Twin]) -> BTreeSet<&'a str> {
    let own = parties.iter().map(|party| party.namespace.as_str());
    own.chain(peers.iter().map(|peer| peer.namespace.as_str())).chain([NAMESPACE]).collect()
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
    pub fn new(who: Who, workload: &str, namespace: &str, template: &Value) -> Self {
        let labels: Labels = serde_json::from_value(template["metadata"]["labels"].clone()).unwrap_or_default();
        Self {
            who,
            namespace: namespace.to_owned(),
            name: format!("{PREFIX}twin-{workload}"),
            labels: labels.into_iter().filter(|(key, _)| !is_of_controllers(key)).collect(),
            account: template["spec"]["serviceAccountName"].as_str().map(str::to_owned),
        }
    }

    /// The twin, controlled by an object of ours with that uid.
    pub fn pod(&self, image: &str, owner_uid: &str) -> Value {
        let mut pod = pod(image, &self.namespace, &self.name, &self.labels, &[]);
        if let Some(account) = &self.account {
            pod["spec"]["serviceAccountName"] = account.as_str().into();
        }
        pod["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner_name(), "uid": owner_uid, "controller": true,
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
pub fn owner_name() -> String {
    format!("{PREFIX}twins")
}

pub fn owner(namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": owner_name(), "namespace": namespace}})
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
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532},
            "containers": [{
                "name": CONTAINER, "image": image, "args": args,
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true},
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}},
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twin() -> Twin {
        let labels = json!({"app": "backup", "batch.kubernetes.io/job-name": "b-1", "job-name": "b-1"});
        let template = json!({"metadata": {"labels": labels}, "spec": {"serviceAccountName": "shop"}});
        Twin::new(Who::Jobs("backup".to_owned()), "backup", "shop", &template)
    }

    #[test]
    fn a_twin_has_the_identity_and_neither_traffic_nor_another_controller() {
        let pod = twin().pod("agent:1", "u-1");
        assert_eq!(pod["metadata"]["labels"], json!({"app": "backup"}));
        assert_eq!(pod["spec"]["containers"][0]["image"], "agent:1");
        assert_eq!(pod["spec"]["serviceAccountName"], "shop");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["controller"], true);
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
        let (parties, peers) = (of(deployment, &plan), peers(network, &plan));
        let redis = parties.iter().find(|party| party.name == "like-cordum-redis").unwrap();
        assert_eq!(redis.namespace, NAMESPACE);
        assert_eq!(redis.listen, [6379, 16379, 9121]);
        assert_eq!(
            namespaces(&parties, &peers).into_iter().collect::<Vec<_>>(),
            ["cordum", NAMESPACE, "ingress-nginx", "monitoring"]
        );
    }
}
