//! One workload of the manifests: its pods, their ports, probes, labels, and what they need.

use super::manifests::{Manifest, Manifests, is_tcp, list};
use super::row::Row;
use super::stores;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const KINDS: [&str; 5] = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"];

#[derive(Clone, Copy)]
pub struct Workload<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub kind: &'a str,
    pub manifest: &'a Manifest,
    /// How many pods of it an autoscaler keeps at least.
    pub scaled_from: Option<u64>,
}

/// Something that pods cannot start without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needed<'a> {
    pub kind: &'static str,
    pub name: &'a str,
    /// The key, where one is named.
    pub key: Option<&'a str>,
}

impl<'a> Workload<'a> {
    pub fn of(manifest: &'a Manifest) -> Option<Self> {
        let kind = Some(manifest.kind()).filter(|kind| KINDS.contains(kind))?;
        Some(Self { name: manifest.name(), namespace: manifest.namespace(), kind, manifest, scaled_from: None })
    }

    /// The same, kept by these autoscalers.
    pub fn scaled_by(self, mut autoscalers: impl Iterator<Item = &'a Manifest>) -> Self {
        let is_mine = |scaler: &&Manifest| {
            let target = &scaler.object["spec"]["scaleTargetRef"];
            scaler.namespace() == self.namespace && target["kind"] == self.kind && target["name"] == self.name
        };
        // One, where nobody says otherwise.
        let least = |scaler: &Manifest| scaler.object["spec"]["minReplicas"].as_u64().unwrap_or(1);
        Self { scaled_from: autoscalers.find(is_mine).map(least), ..self }
    }

    /// Whether its pods are meant to stay.
    pub fn is_serving(&self) -> bool {
        !matches!(self.kind, "Job" | "CronJob")
    }

    fn template(&self) -> &'a Value {
        match self.kind {
            "CronJob" => &self.manifest.object["spec"]["jobTemplate"]["spec"]["template"],
            _ => &self.manifest.object["spec"]["template"],
        }
    }

    pub fn spec(&self) -> &'a Value {
        &self.template()["spec"]
    }

    /// Labels of its pods. Those of a Job have one that names it, whatever the template says.
    pub fn labels(&self) -> BTreeMap<&'a str, &'a str> {
        let labels = self.template()["metadata"]["labels"].as_object();
        let labels = labels.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
        let mut labels: BTreeMap<&str, &str> = labels.collect();
        if labels.is_empty() && self.kind == "Job" {
            labels.insert("batch.kubernetes.io/job-name", self.name);
        }
        labels
    }

    /// Whether a label selector means its pods.
    pub fn is_selected(&self, selector: &Value) -> bool {
        let labels = self.labels();
        let equal = selector["matchLabels"].as_object();
        equal.into_iter().flatten().all(|(key, value)| labels.get(key.as_str()).copied() == value.as_str())
            && list(selector, "matchExpressions").all(|expression| holds(expression, &labels))
    }

    pub fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        list(self.spec(), "containers")
    }

    pub fn all_containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        list(self.spec(), "initContainers").chain(self.containers())
    }

    /// As the manifest says, but for what an autoscaler makes of it.
    pub fn replicas(&self) -> u64 {
        self.stated_replicas().max(self.scaled_from.unwrap_or(1))
    }

    fn stated_replicas(&self) -> u64 {
        match self.kind {
            "Deployment" | "StatefulSet" => self.manifest.object["spec"]["replicas"].as_u64().unwrap_or(1),
            _ => 1,
        }
    }

    /// TCP ports that containers list.
    pub fn listed_ports(&self) -> Vec<(String, u16)> {
        self.containers().flat_map(container_ports).collect()
    }

    /// A port by number or name.
    pub fn port(&self, port: &Value) -> Option<u16> {
        match port.as_str() {
            Some(name) => self.listed_ports().into_iter().find(|(known, _)| known == name).map(|(_, number)| number),
            None => port.as_u64().and_then(|number| u16::try_from(number).ok()),
        }
    }

    pub fn probed_ports(&self) -> impl Iterator<Item = u16> {
        let probes = self.containers().flat_map(|container| PROBES.map(|kind| &container[kind]));
        probes.filter_map(|probe| self.probe_of(probe)).map(|(port, _)| port)
    }

    /// What its container answers when it is asked whether it is well.
    fn probe(&self, main: &Value) -> Value {
        let probes = PROBES.iter().filter_map(|kind| self.probe_of(&main[*kind]));
        probes.map(|(_, probe)| probe).next().unwrap_or_default()
    }

    /// A probe's port, and the probe as a contract writes it; nothing for a command in the container.
    fn probe_of(&self, probe: &Value) -> Option<(u16, Value)> {
        let port = |action: &Value| self.port(&action["port"]);
        if let Some(port) = port(&probe["httpGet"]) {
            let path = probe["httpGet"]["path"].as_str().unwrap_or("/");
            return Some((port, json!({"http": {"port": port, "path": path}})));
        }
        if let Some(port) = port(&probe["tcpSocket"]) {
            return Some((port, json!({"tcp": {"port": port}})));
        }
        port(&probe["grpc"]).map(|port| (port, json!({"grpc": {"port": port}})))
    }

    /// Every word of its containers' commands, on one line each.
    pub fn commands(&self) -> String {
        let of = |container: &'a Value| ["command", "args"].into_iter().flat_map(|key| list(container, key));
        let line = |container: &'a Value| of(container).filter_map(Value::as_str).collect::<Vec<&str>>().join(" ");
        self.all_containers().map(line).collect::<Vec<String>>().join("\n")
    }

    /// Secrets, ConfigMaps and claims that its pods cannot start without.
    pub fn needs(&self) -> Vec<Needed<'a>> {
        let mut needs = Vec::new();
        let mut need = |kind, source: &'a Value, field: &str, key: Option<&'a str>| {
            let name = source[field].as_str().filter(|name| !name.is_empty());
            if let (Some(name), false) = (name, source["optional"] == true) {
                needs.push(Needed { kind, name, key });
            }
        };
        for volume in list(self.spec(), "volumes") {
            for (kind, source, field) in [
                ("Secret", &volume["secret"], "secretName"),
                ("ConfigMap", &volume["configMap"], "name"),
                ("PersistentVolumeClaim", &volume["persistentVolumeClaim"], "claimName"),
            ] {
                let keys: Vec<Option<&str>> = list(source, "items").map(|item| item["key"].as_str()).collect();
                let keys = if keys.is_empty() { vec![None] } else { keys };
                keys.into_iter().for_each(|key| need(kind, source, field, key));
            }
        }
        for container in self.all_containers() {
            for variable in list(container, "env") {
                let (secret, map) = (&variable["valueFrom"]["secretKeyRef"], &variable["valueFrom"]["configMapKeyRef"]);
                need("Secret", secret, "name", secret["key"].as_str());
                need("ConfigMap", map, "name", map["key"].as_str());
            }
            for source in list(container, "envFrom") {
                need("Secret", &source["secretRef"], "name", None);
                need("ConfigMap", &source["configMapRef"], "name", None);
            }
        }
        needs
    }

    /// Its entry in the contract.
    pub fn row(&self, manifests: &Manifests<'a>) -> Row {
        let ports = manifests.ports(self).into_iter().map(|(name, port)| json!({"name": name, "port": port}));
        let ports: Vec<Value> = ports.collect();
        let main = stores::main(manifests, self).unwrap_or(&Value::Null);
        let several = self.containers().nth(1).map(|_| main["name"].clone());
        let claims = &self.manifest.object["spec"]["volumeClaimTemplates"];
        let is_scaled = self.replicas() != self.stated_replicas();
        Row::new(self.manifest.origin())
            .asking(is_scaled.then_some(SCALED))
            .with("name", self.name)
            .with("kind", self.kind)
            .with("namespace", self.namespace)
            .with("labels", json!(self.labels()))
            .with("container", several.unwrap_or_default())
            .with("replicas", self.replicas())
            .with("ports", if ports.is_empty() { Value::Null } else { ports.into() })
            .with("probe", self.probe(main))
            .with("service", manifests.services(self).next().map(Manifest::name))
            .with("storage", claims[0]["spec"]["resources"]["requests"]["storage"].clone())
            .with("promise", "inventory")
    }
}

const SCALED: &str =
    "An autoscaler keeps so many. Embedded clusters have none: to be tested there, the overlay must say `replicas`.";

/// In the order in which they tell most.
const PROBES: [&str; 3] = ["readinessProbe", "livenessProbe", "startupProbe"];

/// TCP ports of a container, with names.
pub fn container_ports(container: &Value) -> impl Iterator<Item = (String, u16)> {
    list(container, "ports").filter(|port| is_tcp(port)).filter_map(|port| {
        let number = u16::try_from(port["containerPort"].as_u64()?).ok()?;
        Some((port["name"].as_str().map_or_else(|| format!("port-{number}"), str::to_owned), number))
    })
}

/// Whether labels are as one expression of a selector wants them.
fn holds(expression: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let value = expression["key"].as_str().and_then(|key| labels.get(key));
    let among = || list(expression, "values").any(|wanted| wanted.as_str() == value.copied());
    match expression["operator"].as_str() {
        Some("In") => value.is_some() && among(),
        Some("NotIn") => value.is_none() || !among(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        _ => false,
    }
}
