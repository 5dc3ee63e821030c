//! What is proposed from manifests, and that a contract reads it.

mod network;
mod stores;

use super::{Manifest, Source, propose};
use crate::Contract;
use serde_json::Value;

const SHOP: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      initContainers: [{name: migrate, image: "example.com:5000/shop/migrate:1"}]
      containers:
        - name: web
          image: example.com:5000/shop/web:1
          ports: [{name: http, containerPort: 3000}, {containerPort: 3001}]
          readinessProbe: {httpGet: {path: /health, port: http}}
          livenessProbe: {tcpSocket: {port: 3002}}
          env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: web-token, key: token}}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: bus, namespace: shop}
spec:
  replicas: 3
  serviceName: bus
  selector: {matchLabels: {app: bus}}
  template:
    metadata: {labels: {app: bus}}
    spec:
      containers:
        - {name: nats, image: "nats:2.10", args: ["-js"], ports: [{name: client, containerPort: 4222}]}
  volumeClaimTemplates:
    - {metadata: {name: data}, spec: {resources: {requests: {storage: 1Gi}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: bus, namespace: shop}, spec: {clusterIP: None, selector: {app: bus}, ports: [{port: 4222}]}}
---
{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: web, namespace: shop}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {minAvailable: 50%, selector: {matchLabels: {app: web}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchExpressions: [{key: app, operator: In, values: [web]}]}
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]
      ports: [{port: http}, {port: 3001, protocol: TCP}, {port: 9}]
  egress:
    - to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
      ports: [{port: 53, protocol: UDP}]
    - to: [{podSelector: {matchLabels: {app: bus}}}]
      ports: [{port: client}]
    - to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]
      ports: [{port: 443}]
    - to: [{ipBlock: {cidr: 10.1.0.0/16}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: bus-backup, namespace: shop}
spec:
  schedule: 0 * * * *
  jobTemplate:
    spec: {template: {metadata: {labels: {app: bus-backup}}, spec: {containers: [{name: b, image: "busybox:1"}]}}}
"#;

const SOURCE: Source<'static> =
    Source { name: "shop", overlay: "base", path: "../deploy", definitions: "crds/guessed.yaml" };

fn manifests(text: &str) -> Vec<Manifest> {
    let objects = crate::yaml::parse_all("m", text).unwrap();
    objects.into_iter().map(|object| Manifest { object, file: "deploy/all.yaml".to_owned() }).collect()
}

/// The text, and the contract that it is.
fn proposed(text: &str) -> (String, Contract) {
    let text = propose(SOURCE, &manifests(text)).text;
    match Contract::parse("system.yaml", &text) {
        Ok(contract) => (text, contract),
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// The lines of an entry, from the one that begins so.
fn entry<'t>(text: &'t str, begins: &str) -> &'t str {
    let from = text.find(begins).unwrap_or_else(|| panic!("{begins} is not in\n{text}"));
    let rest = &text[from..];
    rest[2..].find("- ").map_or(rest, |to| &rest[..to + 2])
}

#[test]
fn what_is_proposed_is_a_contract_and_all_of_it_is_a_guess() {
    let (text, contract) = proposed(SHOP);
    assert!(contract.is_all_guessed(), "{text}");
    let network = contract.network.as_ref().unwrap();
    assert!(network.rules().all(|rule| rule.guessed), "{text}");
    let ids: Vec<&str> = contract.guesses().collect();
    let expected =
        ["inventory", "quorum.bus", "store.bus", "consensus.bus", "budget.web", "quorum.web", "drain", "network"];
    assert_eq!(ids, expected);
    assert_eq!(contract.workloads.len(), 3);
    let quorums: Vec<(&str, u32)> =
        contract.quorums.iter().map(|q| (q.workload.value.as_str(), q.min_ready.value)).collect();
    assert_eq!(quorums, [("bus", 2), ("web", 2)]);
}

#[test]
fn entries_say_what_the_manifests_say_and_where() {
    let (text, contract) = proposed(SHOP);
    for line in [
        "# guessed from Deployment web in deploy/all.yaml\n  - name: web\n    kind: Deployment",
        "probe: {http: {port: 3000, path: /health}}",
        "ports: [{name: http, port: 3000}, {name: port-3001, port: 3001}, {name: port-3002, port: 3002}]",
        "- name: \"example.com:5000/shop/web\"\n    runs: {listener: [3000, 3001, 3002]}",
        "- name: \"example.com:5000/shop/migrate\"\n    runs: {listener: []}",
        "- name: web-token\n      namespace: shop\n      values: {token: {random-hex: 32}}",
        "- name: web\n    workload: web\n    allows: {minAvailable: 2}\n    promise: budget.web",
        "storage: \"1Gi\"",
        "\"bus-0.bus.shop.svc:4222\"",
        "# ServiceAccount shop/web is used by Deployment web in deploy/all.yaml and not in the manifests",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
    assert_eq!(contract.prerequisites.crds[0].path.value, "crds/guessed.yaml");
    let definitions = propose(SOURCE, &manifests(SHOP)).definitions;
    assert_eq!(definitions[0]["metadata"]["name"], "servicemonitors.monitoring.coreos.com");
}

#[test]
fn a_backup_is_pointed_out_and_promises_nothing() {
    let (text, contract) = proposed(SHOP);
    assert!(text.contains("# - name: bus-backup"), "{text}");
    assert!(text.contains("#   schedule: \"0 * * * *\""), "{text}");
    assert!(contract.backups.is_empty());
}

/// A StatefulSet with its Service, and what else is said of it.
fn store(name: &str, image: &str, replicas: u64, args: &str, further: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}, namespace: db}}\nspec:\n  replicas: {replicas}\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      \
         containers: [{{name: main, image: \"{image}\", args: {args}, ports: [{{containerPort: 6379}}]}}]\n---\n\
         {{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: db}}, spec: {{selector: {{app: {name}}}, ports: [{{port: 6379}}]}}}}\n{further}"
    )
}

fn budget(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {name}, namespace: db}}\n\
         spec: {{{spec}, selector: {{matchLabels: {{app: {name}}}}}}}\n"
    )
}

#[test]
fn a_name_that_is_taken_is_told() {
    let again = store("db", "etcd:3", 1, "[]", "")
        .replace("StatefulSet", "Deployment")
        .replace("{name: db, namespace: db}\nspec", "{name: db, namespace: other}\nspec");
    let (text, contract) = proposed(&format!("{}---\n{again}", store("db", "etcd:3", 3, "[]", "")));
    assert_eq!(contract.workloads.len(), 1, "{text}");
    assert!(text.contains("# left out: StatefulSet db in deploy/all.yaml has this name already"), "{text}");
}

#[test]
fn names_that_look_like_something_else_are_read_back_as_they_are() {
    let odd = SHOP
        .replace("name: web, namespace: shop", "name: \"1e3\", namespace: \"on\"")
        .replace("app: web", "app: \"yes\"");
    let (text, contract) = proposed(&odd.replace("values: [web]", "values: [\"yes\"]"));
    assert_eq!(contract.workloads[0].name.value, "1e3", "{text}");
    assert_eq!(contract.workloads[0].labels["app"], "yes");
    assert!(entry(&text, "- name: \"1e3\"").contains("namespace: \"on\""), "{text}");
}

#[test]
fn pods_of_kinds_that_a_contract_does_not_know_are_told() {
    let rollout = "---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: slow, namespace: shop}\n\
                   spec: {template: {spec: {containers: [{name: c, image: x}]}}}\n";
    let (text, contract) = proposed(&format!("{SHOP}{rollout}"));
    assert!(
        text.contains("# Rollout slow in deploy/all.yaml has pods and is of no kind that a contract knows"),
        "{text}"
    );
    assert_eq!(contract.workloads.len(), 3);
}

#[test]
fn manifests_of_nearly_nothing_still_make_a_contract() {
    for text in [
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {metadata: {labels: {a: b}}}}}",
        "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {template: {spec: {containers: [{image: x}]}}}}",
    ] {
        let (_, contract) = proposed(text);
        assert_eq!(contract.workloads.len(), 1);
    }
    assert_eq!(super::workloads(&manifests("{apiVersion: v1, kind: Service, metadata: {name: a}}")), 0);
    let unread: Vec<Value> = propose(SOURCE, &[]).definitions;
    assert!(unread.is_empty());
}

/// A Deployment of one container, in the namespace `a`.
fn deployment(name: &str, further: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: a}}\nspec: {{{further} template: \
         {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: main, image: x, ports: [{{containerPort: 80}}]}}]}}}}}}\n"
    )
}

#[test]
fn what_a_cluster_would_refuse_by_its_name_is_left_out_and_told() {
    for (name, told) in [
        ("\"\"", "# Deployment without a name in deploy/all.yaml cannot be applied"),
        ("\"{{ .Release.Name }}\"", "# left out: Kubernetes takes no workload that is called \"{{ .Release.Name }}\""),
        ("\"a\\n  b: c\"", "# left out: Kubernetes takes no workload that is called \"a\\n  b: c\""),
    ] {
        let odd = deployment("odd", "").replace("{name: odd, ", &format!("{{name: {name}, "));
        let (text, contract) = proposed(&format!("{}---\n{odd}", deployment("web", "")));
        assert!(text.contains(told), "{told} is not in\n{text}");
        let names: Vec<&str> = contract.workloads.iter().map(|workload| workload.name.value.as_str()).collect();
        assert_eq!(names, ["web"], "{text}");
    }
    assert_eq!(super::workloads(&manifests(&deployment("\"\"", ""))), 0);
}

#[test]
fn an_autoscaler_says_how_many_there_are_at_least() {
    let scaler = |spec: &str| {
        format!(
            "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: s, namespace: a}}\n\
             spec: {{scaleTargetRef: {{kind: Deployment, name: web}}, {spec} maxReplicas: 9}}\n"
        )
    };
    let budget = budget("web", "minAvailable: 2").replace("namespace: db", "namespace: a");
    for (stated, spec, replicas) in [
        ("", "minReplicas: 3,", 3),
        ("replicas: 2,", "minReplicas: 3,", 3),
        ("replicas: 4,", "minReplicas: 3,", 4),
        ("replicas: 2,", "", 2),
    ] {
        let all = format!("{}{}{budget}", deployment("web", stated), scaler(spec));
        let (text, contract) = proposed(&all);
        assert_eq!(contract.workloads[0].replicas.value, replicas, "{text}");
        assert_eq!(text.contains("# An autoscaler keeps so many."), replicas == 3, "{text}");
        assert_eq!(contract.budgets.len(), 1, "{text}");
    }
    let elsewhere = scaler("minReplicas: 3,").replace("namespace: a", "namespace: b");
    assert_eq!(proposed(&format!("{}{elsewhere}", deployment("web", ""))).1.workloads[0].replicas.value, 1);
}

#[test]
fn namespaces_of_all_objects_are_made_unless_they_are_somebody_elses() {
    let object = |kind: &str, namespace: &str| {
        format!("---\n{{apiVersion: v1, kind: {kind}, metadata: {{name: one, namespace: {namespace}}}}}\n")
    };
    let all = [
        deployment("web", ""),
        object("ConfigMap", "own"),
        object("ServiceMonitor", "monitoring"),
        object("RoleBinding", "kube-system"),
        object("Role", "cert-manager"),
        "---\n{apiVersion: v1, kind: Namespace, metadata: {name: cert-manager}}\n".to_owned(),
    ];
    let (text, contract) = proposed(&all.concat());
    let names: Vec<&str> = contract.prerequisites.namespaces.iter().map(|name| name.value.as_str()).collect();
    assert_eq!(names, ["a", "cert-manager", "own"]);
    for told in [
        "# ServiceMonitor one in deploy/all.yaml is for the namespace monitoring, which looks like somebody else's",
        "# RoleBinding one in deploy/all.yaml is for the namespace kube-system, which every cluster has",
    ] {
        assert!(text.contains(told), "{told} is not in\n{text}");
    }
}
