//! A pod as the scheduler reads it: once, when it changes, and not again for every node.

use std::collections::{BTreeMap, BTreeSet};

use embedded_apimachinery::Object;
use embedded_apimachinery::object::{self, int_at, list_at, str_at};
use embedded_apimachinery::pod_resources::{self, ResourceList};
use embedded_apimachinery::selector::LabelSelector;
use serde_json::{Value, json};

/// Amounts of resources in thousandths of their unit.
pub type Amounts = BTreeMap<String, i128>;

/// What a container without a request counts as when nodes are compared: milli-CPU and thousandths of bytes.
const DEFAULT_CPU: i128 = 100;
const DEFAULT_MEMORY: i128 = 200 * (1 << 20) * 1000;

#[derive(Clone, Debug)]
pub struct PodInfo {
    pub object: Object,
    pub labels: BTreeMap<String, String>,
    pub priority: i64,
    pub requests: Amounts,
    /// CPU and memory requested, containers without a request at a default, for comparing nodes only.
    pub weight: (i128, i128),
    pub host_ports: Vec<HostPort>,
    pub affinity: Vec<PodTerm>,
    pub anti_affinity: Vec<PodTerm>,
    /// Preferred affinity (positive weights) and anti-affinity (negative weights).
    pub preferences: Vec<(i64, PodTerm)>,
    pub spread: Vec<Spread>,
}

/// A port of a node that a container wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub ip: String,
    pub protocol: String,
    pub port: i64,
}

/// One term of pod affinity or anti-affinity.
#[derive(Clone, Debug)]
pub struct PodTerm {
    /// `None` selects nothing.
    selector: Option<LabelSelector>,
    namespaces: BTreeSet<String>,
    namespace_selector: Option<LabelSelector>,
    pub topology_key: String,
}

/// One topology spread constraint.
#[derive(Clone, Debug)]
pub struct Spread {
    pub max_skew: i64,
    pub topology_key: String,
    pub required: bool,
    pub min_domains: i64,
    /// Only nodes that meet the pod's node selector and affinity count.
    pub honor_affinity: bool,
    /// Only nodes whose taints the pod tolerates count.
    pub honor_taints: bool,
    pub selector: Option<LabelSelector>,
}

impl PodInfo {
    pub fn new(object: Object) -> Self {
        let affinity = terms(&object, "podAffinity");
        let anti_affinity = terms(&object, "podAntiAffinity");
        let mut preferences = preferred(&object, "podAffinity", 1);
        preferences.extend(preferred(&object, "podAntiAffinity", -1));
        let requests = amounts(&pod_resources::requests(&object));
        Self {
            labels: object::labels(&object),
            priority: int_at(&object, "/spec/priority").unwrap_or(0),
            weight: weight(&object, &requests),
            requests,
            host_ports: host_ports(&object),
            affinity,
            anti_affinity,
            preferences,
            spread: spread(&object),
            object,
        }
    }

    pub fn uid(&self) -> &str {
        object::uid(&self.object)
    }

    pub fn namespace(&self) -> &str {
        object::namespace(&self.object)
    }

    pub fn name(&self) -> &str {
        object::name(&self.object)
    }

    /// The node it is bound to, or empty.
    pub fn node(&self) -> &str {
        str_at(&self.object, "/spec/nodeName")
    }
}

impl PodTerm {
    fn new(pod: &Value, term: &Value) -> Self {
        let listed: BTreeSet<String> =
            list_at(term, "/namespaces").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let namespace_selector = LabelSelector::from_object(term.get("namespaceSelector"));
        let own = listed.is_empty() && namespace_selector.is_none();
        let namespaces = if own { BTreeSet::from([object::namespace(pod).to_owned()]) } else { listed };
        Self {
            selector: selector_with_label_keys(pod, term),
            namespaces,
            namespace_selector,
            topology_key: str_at(term, "/topologyKey").to_owned(),
        }
    }

    /// Whether the term speaks of this pod. `labels_of` gives the labels of a namespace.
    pub fn matches<'a>(&self, pod: &PodInfo, labels_of: impl Fn(&str) -> Option<&'a BTreeMap<String, String>>) -> bool {
        let in_namespace = || {
            self.namespaces.contains(pod.namespace())
                || self.namespace_selector.as_ref().is_some_and(|selector| {
                    labels_of(pod.namespace()).map_or(selector.is_empty(), |labels| selector.matches(labels))
                })
        };
        self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels)) && in_namespace()
    }
}

/// `labelSelector` narrowed by `matchLabelKeys` and `mismatchLabelKeys`, which name labels of the pod itself.
fn selector_with_label_keys(pod: &Value, term: &Value) -> Option<LabelSelector> {
    let mut selector = term.get("labelSelector")?.clone();
    let mut expressions = list_at(&selector, "/matchExpressions").to_vec();
    for (field, operator) in [("/matchLabelKeys", "In"), ("/mismatchLabelKeys", "NotIn")] {
        for key in list_at(term, field).iter().filter_map(Value::as_str) {
            if let Some(value) = object::label(pod, key) {
                expressions.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    if let Value::Object(map) = &mut selector {
        map.insert("matchExpressions".into(), expressions.into());
    }
    LabelSelector::from_object(Some(&selector))
}

fn terms(pod: &Value, kind: &str) -> Vec<PodTerm> {
    let pointer = format!("/spec/affinity/{kind}/requiredDuringSchedulingIgnoredDuringExecution");
    list_at(pod, &pointer).iter().map(|term| PodTerm::new(pod, term)).collect()
}

fn preferred(pod: &Value, kind: &str, sign: i64) -> Vec<(i64, PodTerm)> {
    let pointer = format!("/spec/affinity/{kind}/preferredDuringSchedulingIgnoredDuringExecution");
    let weighted = |entry: &Value| {
        let weight = int_at(entry, "/weight").unwrap_or(1) * sign;
        Some((weight, PodTerm::new(pod, entry.get("podAffinityTerm")?)))
    };
    list_at(pod, &pointer).iter().filter_map(weighted).collect()
}

fn spread(pod: &Value) -> Vec<Spread> {
    let constraint = |c: &Value| Spread {
        max_skew: int_at(c, "/maxSkew").unwrap_or(1),
        topology_key: str_at(c, "/topologyKey").to_owned(),
        required: str_at(c, "/whenUnsatisfiable") != "ScheduleAnyway",
        min_domains: int_at(c, "/minDomains").unwrap_or(1),
        honor_affinity: str_at(c, "/nodeAffinityPolicy") != "Ignore",
        honor_taints: str_at(c, "/nodeTaintsPolicy") == "Honor",
        selector: selector_with_label_keys(pod, c),
    };
    list_at(pod, "/spec/topologySpreadConstraints").iter().map(constraint).collect()
}

fn host_ports(pod: &Value) -> Vec<HostPort> {
    let sidecars = list_at(pod, "/spec/initContainers").iter().filter(|c| str_at(c, "/restartPolicy") == "Always");
    let containers = list_at(pod, "/spec/containers").iter().chain(sidecars);
    let ports = containers.flat_map(|container| list_at(container, "/ports"));
    let wanted = |port: &Value| {
        let number = int_at(port, "/hostPort").filter(|n| *n > 0)?;
        let or = |pointer, default: &str| match str_at(port, pointer) {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        Some(HostPort { ip: or("/hostIP", "0.0.0.0"), protocol: or("/protocol", "TCP"), port: number })
    };
    ports.filter_map(wanted).collect()
}

/// Amounts without their formats.
pub fn amounts(list: &ResourceList) -> Amounts {
    list.iter().map(|(name, quantity)| (name.clone(), quantity.milli())).collect()
}

fn weight(pod: &Value, requests: &Amounts) -> (i128, i128) {
    let defaulted = |name: &str, default: i128| {
        let of = |container: &Value| {
            let request = container.pointer("/resources/requests").and_then(|r| r.get(name));
            request.and_then(pod_resources::quantity).map_or(default, |q| q.milli())
        };
        let sum: i128 = list_at(pod, "/spec/containers").iter().map(of).sum();
        sum.max(requests.get(name).copied().unwrap_or(0))
    };
    (defaulted("cpu", DEFAULT_CPU), defaulted("memory", DEFAULT_MEMORY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(value: Value) -> PodInfo {
        PodInfo::new(Object::new(value))
    }

    fn term(term: Value) -> PodTerm {
        let owner = json!({"metadata": {"name": "p", "namespace": "own", "labels": {"rev": "2"}}});
        PodTerm::new(&owner, &term)
    }

    #[test]
    fn terms_reach_the_namespaces_they_name() {
        let web = |ns: &str| pod(json!({"metadata": {"namespace": ns, "labels": {"app": "web"}}}));
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        let labels_of = |ns: &str| (ns == "labelled").then_some(&labels);
        let selector = json!({"matchLabels": {"app": "web"}});
        for (namespaces, namespace_selector, expected) in [
            (json!([]), Value::Null, vec!["own"]),
            (json!(["other"]), Value::Null, vec!["other"]),
            (json!([]), json!({}), vec!["own", "other", "labelled"]),
            (json!([]), json!({"matchLabels": {"team": "a"}}), vec!["labelled"]),
            (json!(["own"]), json!({"matchLabels": {"team": "a"}}), vec!["own", "labelled"]),
        ] {
            let term = term(json!({"labelSelector": selector, "topologyKey": "h",
                "namespaces": namespaces, "namespaceSelector": namespace_selector}));
            let reached: Vec<_> =
                ["own", "other", "labelled"].into_iter().filter(|ns| term.matches(&web(ns), labels_of)).collect();
            assert_eq!(reached, expected, "{namespaces} {namespace_selector}");
        }
    }

    #[test]
    fn label_keys_take_the_values_of_the_pod() {
        let same_revision = term(json!({"labelSelector": {}, "topologyKey": "h", "matchLabelKeys": ["rev", "absent"]}));
        let revision = |rev: &str| pod(json!({"metadata": {"namespace": "own", "labels": {"rev": rev}}}));
        assert!(same_revision.matches(&revision("2"), |_| None));
        assert!(!same_revision.matches(&revision("1"), |_| None));
    }

    #[test]
    fn a_term_without_selector_matches_nothing() {
        assert!(!term(json!({"topologyKey": "h"})).matches(&pod(json!({"metadata": {"namespace": "own"}})), |_| None));
    }

    #[test]
    fn host_ports_default_to_every_address_and_tcp() {
        let info = pod(json!({"spec": {"containers": [{"ports": [{"containerPort": 1}, {"hostPort": 80}]}]}}));
        assert_eq!(info.host_ports, [HostPort { ip: "0.0.0.0".into(), protocol: "TCP".into(), port: 80 }]);
    }
}
