//! What every namespace has from the start: the `default` ServiceAccount and the certificate of the API server.

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, str_at};
use embedded_apimachinery::resource::{CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS};
use embedded_apimachinery::{GroupResource, ObjectKey};
use serde_json::{Value, json};

use crate::runtime::{Action, Change, Controller, Plan, View};

const ACCOUNT: &str = "default";
const CERTIFICATE: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                           endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                           guaranteed across distributions of Kubernetes clusters.";

/// Makes them, and makes them again when they are deleted or changed.
pub struct NamespaceDefaults {
    /// The authority's certificate in PEM.
    pub certificate: String,
}

impl Controller for NamespaceDefaults {
    fn component(&self) -> &'static str {
        "serviceaccount-controller"
    }

    fn watches(&self) -> Vec<GroupResource> {
        vec![NAMESPACES, SERVICE_ACCOUNTS, CONFIG_MAPS]
    }

    fn keys(&self, _view: &View, change: &Change) -> Vec<ObjectKey> {
        let key = change.key();
        match &change.resource {
            r if *r == NAMESPACES => vec![ObjectKey::new("", key.name)],
            _ if key.name == ACCOUNT || key.name == CERTIFICATE => vec![ObjectKey::new("", key.namespace)],
            _ => Vec::new(),
        }
    }

    fn plan(&mut self, view: &View, key: &ObjectKey, _now: DateTime<Utc>) -> Plan {
        let Some(namespace) = view.get(&NAMESPACES, key) else { return Plan::default() };
        if object::is_deleting(namespace) || str_at(namespace, "/status/phase") == "Terminating" {
            return Plan::default();
        }
        let mut plan = Plan::default();
        if view.get(&SERVICE_ACCOUNTS, &ObjectKey::new(&key.name, ACCOUNT)).is_none() {
            plan.push(Action::create(SERVICE_ACCOUNTS, account(&key.name)));
        }
        match view.get(&CONFIG_MAPS, &ObjectKey::new(&key.name, CERTIFICATE)) {
            None => plan.push(Action::create(CONFIG_MAPS, self.config_map(&key.name))),
            Some(current) if current["data"] != self.data() && !object::is_deleting(current) => {
                let mut right = Value::clone(current);
                right["data"] = self.data();
                plan.push(Action::update(CONFIG_MAPS, right));
            }
            Some(_) => {}
        }
        plan
    }
}

impl NamespaceDefaults {
    fn data(&self) -> Value {
        json!({"ca.crt": self.certificate})
    }

    fn config_map(&self, namespace: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": self.data(), "metadata": {"name": CERTIFICATE,
            "namespace": namespace, "annotations": {"kubernetes.io/description": DESCRIPTION}}})
    }
}

fn account(namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": namespace}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(objects: Vec<(GroupResource, Value)>) -> Vec<Action> {
        let mut controller = NamespaceDefaults { certificate: "PEM".into() };
        controller.plan(&View::of(objects), &ObjectKey::new("", "ns"), Utc::now()).actions
    }

    fn namespace(phase: &str) -> (GroupResource, Value) {
        (NAMESPACES, json!({"metadata": {"name": "ns"}, "status": {"phase": phase}}))
    }

    #[test]
    fn a_new_namespace_gets_its_account_and_certificate() {
        let made: Vec<_> = actions(vec![namespace("Active")])
            .into_iter()
            .map(|action| match action {
                Action::Create { resource, object, .. } => (resource, object::name(&object).to_owned()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(made, [(SERVICE_ACCOUNTS, "default".to_owned()), (CONFIG_MAPS, "kube-root-ca.crt".to_owned())]);
    }

    #[test]
    fn a_changed_certificate_is_put_right() {
        let changed = json!({"metadata": {"name": "kube-root-ca.crt", "namespace": "ns"}, "data": {"ca.crt": "x"}});
        let account = (SERVICE_ACCOUNTS, account("ns"));
        match &actions(vec![namespace("Active"), account, (CONFIG_MAPS, changed)])[..] {
            [Action::Update { object, .. }] => assert_eq!(object["data"]["ca.crt"], "PEM"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_namespace_on_its_way_out_gets_nothing() {
        assert!(actions(vec![namespace("Terminating")]).is_empty());
    }
}
