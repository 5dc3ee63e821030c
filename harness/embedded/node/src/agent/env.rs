//! The environment of a container.

use std::collections::BTreeMap;

use embedded_apimachinery::object::{self, Object};
use serde_json::Value;

use super::fields::{self, NodeFacts};

/// Where ConfigMaps, Secrets and Services of the pod's namespace come from.
pub trait Lookup {
    fn config_map(&self, name: &str) -> Option<Object>;
    fn secret(&self, name: &str) -> Option<Object>;
    /// Services of the pod's namespace, and `kubernetes` of the default one.
    fn services(&self) -> Vec<Object>;
}

/// The variables of a container: those of Services, then `envFrom`, then `env`, later ones winning. The error is the text
/// of `CreateContainerConfigError`.
pub fn resolve(
    pod: &Value,
    container: &Value,
    facts: &NodeFacts,
    lookup: &dyn Lookup,
) -> Result<Vec<(String, String)>, String> {
    let mut services = BTreeMap::new();
    let links = pod.pointer("/spec/enableServiceLinks").and_then(Value::as_bool).unwrap_or(true);
    for service in lookup.services() {
        if links || object::name(&service) == "kubernetes" {
            service_variables(&service, &mut services);
        }
    }
    let mut env: Vec<(String, String)> = Vec::new();
    for source in object::list_at(container, "/envFrom") {
        let prefix = object::str_at(source, "/prefix");
        for (key, value) in whole_source(source, lookup)? {
            set(&mut env, format!("{prefix}{key}"), value);
        }
    }
    let mut explicit: Vec<(String, String)> = Vec::new();
    for variable in object::list_at(container, "/env") {
        let name = object::str_at(variable, "/name").to_owned();
        let value = match variable.get("valueFrom") {
            Some(from) => reference(pod, container, from, facts, lookup)?,
            None => {
                let known = |name: &str| {
                    let find = |list: &[(String, String)]| list.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
                    find(&explicit).or_else(|| find(&env)).or_else(|| services.get(name).cloned())
                };
                Some(expand(object::str_at(variable, "/value"), known))
            }
        };
        if let Some(value) = value {
            set(&mut explicit, name, value);
        }
    }
    for (name, value) in explicit {
        set(&mut env, name, value);
    }
    services.retain(|name, _| env.iter().all(|(known, _)| known != name));
    Ok(services.into_iter().chain(env).collect())
}

fn set(env: &mut Vec<(String, String)>, name: String, value: String) {
    env.retain(|(known, _)| *known != name);
    env.push((name, value));
}

/// A ConfigMap or Secret as a whole, for `envFrom`.
fn whole_source(source: &Value, lookup: &dyn Lookup) -> Result<BTreeMap<String, String>, String> {
    let (kind, reference) = match (source.get("configMapRef"), source.get("secretRef")) {
        (Some(reference), _) => (Kind::ConfigMap, reference),
        (None, Some(reference)) => (Kind::Secret, reference),
        (None, None) => return Ok(BTreeMap::new()),
    };
    match kind.find(object::str_at(reference, "/name"), lookup) {
        Ok(found) => {
            Ok(kind.data(&found).into_iter().filter_map(|(k, v)| Some((k, String::from_utf8(v).ok()?))).collect())
        }
        Err(_) if object::bool_at(reference, "/optional") => Ok(BTreeMap::new()),
        Err(message) => Err(message),
    }
}

/// The value of a `valueFrom`; `None` for an optional one that is not there.
fn reference(
    pod: &Value,
    container: &Value,
    from: &Value,
    facts: &NodeFacts,
    lookup: &dyn Lookup,
) -> Result<Option<String>, String> {
    if let Some(field) = from.get("fieldRef") {
        let path = object::str_at(field, "/fieldPath");
        return fields::field(pod, path, facts).map(Some).ok_or_else(|| format!("unsupported fieldPath: {path}"));
    }
    if let Some(resource) = from.get("resourceFieldRef") {
        let text = fields::resource(container, resource, facts);
        let name = object::str_at(resource, "/resource");
        return text.map(Some).ok_or_else(|| format!("unsupported container resource : {name}"));
    }
    let (kind, reference) = match (from.get("configMapKeyRef"), from.get("secretKeyRef")) {
        (Some(reference), _) => (Kind::ConfigMap, reference),
        (None, Some(reference)) => (Kind::Secret, reference),
        (None, None) => return Ok(None),
    };
    let (name, key) = (object::str_at(reference, "/name"), object::str_at(reference, "/key"));
    let namespace = object::namespace(pod);
    let value = kind.find(name, lookup).and_then(|found| {
        kind.data(&found)
            .remove(key)
            .ok_or_else(|| format!("couldn't find key {key} in {} {namespace}/{name}", kind.title()))
    });
    match value {
        Ok(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        Err(_) if object::bool_at(reference, "/optional") => Ok(None),
        Err(message) => Err(message),
    }
}

/// The two kinds of objects that carry configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ConfigMap,
    Secret,
}

impl Kind {
    fn title(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    pub fn find(self, name: &str, lookup: &dyn Lookup) -> Result<Object, String> {
        let (found, noun) = match self {
            Self::ConfigMap => (lookup.config_map(name), "configmap"),
            Self::Secret => (lookup.secret(name), "secret"),
        };
        found.ok_or_else(|| format!("{noun} \"{name}\" not found"))
    }

    /// Keys and contents, binary ones decoded.
    pub fn data(self, object: &Value) -> BTreeMap<String, Vec<u8>> {
        use base64::Engine;
        let decode = |text: String| base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
        let (plain, encoded) = match self {
            Self::ConfigMap => ("/data", "/binaryData"),
            Self::Secret => ("/stringData", "/data"),
        };
        let plain = object::string_map(object.pointer(plain)).into_iter().map(|(k, v)| (k, v.into_bytes()));
        let encoded = object::string_map(object.pointer(encoded)).into_iter().map(|(k, v)| (k, decode(v)));
        plain.chain(encoded).collect()
    }
}

/// Replaces `$(NAME)` by the value of a variable that is known; `$$` is one `$`; others stay as they are
/// (k8s.io/kubernetes/third_party/forked/golang/expansion).
pub fn expand(text: &str, known: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            expanded.push_str(&known(name).unwrap_or_else(|| format!("$({name})")));
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

/// `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT` and the links of Docker's days.
fn service_variables(service: &Value, variables: &mut BTreeMap<String, String>) {
    let address = object::str_at(service, "/spec/clusterIP");
    if address.is_empty() || address == "None" {
        return;
    }
    let screaming = |text: &str| text.to_uppercase().replace(['-', '.'], "_");
    let name = screaming(object::name(service));
    let ports = object::list_at(service, "/spec/ports");
    variables.insert(format!("{name}_SERVICE_HOST"), address.to_owned());
    for (index, port) in ports.iter().enumerate() {
        let number = object::int_at(port, "/port").unwrap_or_default();
        let protocol = match object::str_at(port, "/protocol") {
            "" => "TCP",
            protocol => protocol,
        };
        let url = format!("{}://{address}:{number}", protocol.to_lowercase());
        if index == 0 {
            variables.insert(format!("{name}_SERVICE_PORT"), number.to_string());
            variables.insert(format!("{name}_PORT"), url.clone());
        }
        let port_name = object::str_at(port, "/name");
        if !port_name.is_empty() {
            variables.insert(format!("{name}_SERVICE_PORT_{}", screaming(port_name)), number.to_string());
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        variables.insert(prefix.clone(), url);
        variables.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
        variables.insert(format!("{prefix}_PORT"), number.to_string());
        variables.insert(format!("{prefix}_ADDR"), address.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::net::IpAddr;

    struct Objects;

    impl Lookup for Objects {
        fn config_map(&self, name: &str) -> Option<Object> {
            (name == "cm").then(|| Object::new(json!({"data": {"a": "1", "b": "two"}})))
        }
        fn secret(&self, name: &str) -> Option<Object> {
            (name == "s").then(|| Object::new(json!({"data": {"k": "aGlkZGVu"}})))
        }
        fn services(&self) -> Vec<Object> {
            let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
            vec![Object::new(
                json!({"metadata": {"name": "my-svc"}, "spec": {"clusterIP": "10.96.0.9", "ports": ports}}),
            )]
        }
    }

    fn environment(container: Value) -> Result<BTreeMap<String, String>, String> {
        let pod = json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {}});
        let facts = NodeFacts { host_ip: IpAddr::from([1, 1, 1, 1]), pod_ip: None, allocatable: json!({}) };
        resolve(&pod, &container, &facts, &Objects).map(|env| env.into_iter().collect())
    }

    #[test]
    fn values_come_from_everywhere_and_later_ones_win() {
        let env = environment(json!({
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}],
            "env": [
                {"name": "LIT", "value": "x"},
                {"name": "EXP", "value": "$(LIT)-$(NOPE)-$$(LIT)-$(P_a)"},
                {"name": "SEC", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "P_b", "value": "over"},
            ],
        }))
        .unwrap();
        assert_eq!(env["EXP"], "x-$(NOPE)-$(LIT)-1");
        assert_eq!((env["SEC"].as_str(), env["NAME"].as_str(), env["P_b"].as_str()), ("hidden", "p", "over"));
        assert_eq!(env["MY_SVC_SERVICE_PORT_HTTP"], "80");
        assert_eq!(env["MY_SVC_PORT_80_TCP"], "tcp://10.96.0.9:80");
    }

    #[test]
    fn what_is_missing_is_named_unless_it_is_optional() {
        let from = |kind: &str, name: &str, key: &str, optional: bool| {
            let reference = json!({"name": name, "key": key, "optional": optional});
            environment(json!({"env": [{"name": "A", "valueFrom": {kind: reference}}]}))
        };
        assert_eq!(from("configMapKeyRef", "no", "a", false).unwrap_err(), "configmap \"no\" not found");
        assert_eq!(from("configMapKeyRef", "cm", "z", false).unwrap_err(), "couldn't find key z in ConfigMap ns/cm");
        assert_eq!(from("secretKeyRef", "no", "a", false).unwrap_err(), "secret \"no\" not found");
        assert!(!from("secretKeyRef", "no", "a", true).unwrap().contains_key("A"));
    }
}
