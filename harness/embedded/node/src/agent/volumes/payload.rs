//! The files of configMap, secret, downwardAPI and projected volumes.

use std::collections::BTreeMap;

use embedded_apimachinery::object;
use serde_json::Value;

use crate::agent::env::{Kind, Lookup};
use crate::agent::fields::{self, NodeFacts};

/// A file of a volume: contents and permission bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub contents: Vec<u8>,
    pub mode: u32,
}

/// Files by path relative to the volume.
pub type Payload = BTreeMap<String, File>;

/// What payloads are made from.
pub struct Sources<'a> {
    pub pod: &'a Value,
    pub facts: &'a NodeFacts,
    pub lookup: &'a dyn Lookup,
    /// A token of the pod's service account: audience (empty for the API server), seconds it is good for.
    pub token: &'a dyn Fn(&str, i64) -> Result<String, String>,
}

/// The files of a volume of one of these kinds; `None` for other kinds.
pub fn of_volume(volume: &Value, sources: &Sources<'_>) -> Option<Result<Payload, String>> {
    if let Some(spec) = volume.get("projected") {
        return Some(projected(spec, sources));
    }
    let kind = ["configMap", "secret", "downwardAPI"].into_iter().find(|kind| volume.get(*kind).is_some())?;
    let spec = &volume[kind];
    Some(of_source(kind, spec, mode_of(spec, "/defaultMode", 0o644), sources))
}

fn projected(spec: &Value, sources: &Sources<'_>) -> Result<Payload, String> {
    let mode = mode_of(spec, "/defaultMode", 0o644);
    let mut payload = Payload::new();
    for source in object::list_at(spec, "/sources") {
        for (kind, spec) in source.as_object().into_iter().flatten() {
            payload.extend(of_source(kind, spec, mode, sources)?);
        }
    }
    Ok(payload)
}

fn of_source(kind: &str, spec: &Value, mode: u32, sources: &Sources<'_>) -> Result<Payload, String> {
    match kind {
        "configMap" => keys(Kind::ConfigMap, object::str_at(spec, "/name"), spec, mode, sources),
        "secret" => {
            let name = [object::str_at(spec, "/secretName"), object::str_at(spec, "/name")].concat();
            keys(Kind::Secret, &name, spec, mode, sources)
        }
        "downwardAPI" => downward(spec, mode, sources),
        "serviceAccountToken" => {
            let seconds = object::int_at(spec, "/expirationSeconds").unwrap_or(3600);
            let contents = (sources.token)(object::str_at(spec, "/audience"), seconds)?.into_bytes();
            Ok(Payload::from([(object::str_at(spec, "/path").to_owned(), File { contents, mode })]))
        }
        other => Err(format!("volume source {other} is not supported")),
    }
}

fn keys(kind: Kind, name: &str, spec: &Value, mode: u32, sources: &Sources<'_>) -> Result<Payload, String> {
    let optional = object::bool_at(spec, "/optional");
    let data = match kind.find(name, sources.lookup) {
        Ok(found) => kind.data(&found),
        Err(_) if optional => return Ok(Payload::new()),
        Err(message) => return Err(message),
    };
    let items = object::list_at(spec, "/items");
    if items.is_empty() {
        return Ok(data.into_iter().map(|(key, contents)| (key, File { contents, mode })).collect());
    }
    let mut payload = Payload::new();
    for item in items {
        let key = object::str_at(item, "/key");
        match data.get(key) {
            Some(contents) => {
                let file = File { contents: contents.clone(), mode: mode_of(item, "/mode", mode) };
                payload.insert(object::str_at(item, "/path").to_owned(), file);
            }
            None if optional => {}
            None => return Err(format!("references non-existent {} key: {key}", kind_word(kind))),
        }
    }
    Ok(payload)
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::ConfigMap => "config",
        Kind::Secret => "secret",
    }
}

fn downward(spec: &Value, mode: u32, sources: &Sources<'_>) -> Result<Payload, String> {
    let mut payload = Payload::new();
    for item in object::list_at(spec, "/items") {
        let value = if let Some(reference) = item.get("resourceFieldRef") {
            let name = object::str_at(reference, "/containerName");
            let container = object::list_at(sources.pod, "/spec/containers").iter().find(|c| c["name"] == name);
            container.and_then(|container| fields::resource(container, reference, sources.facts))
        } else {
            fields::field(sources.pod, object::str_at(item, "/fieldRef/fieldPath"), sources.facts)
        };
        let path = object::str_at(item, "/path").to_owned();
        let contents = value.ok_or_else(|| format!("no value for downward API file {path}"))?.into_bytes();
        payload.insert(path, File { contents, mode: mode_of(item, "/mode", mode) });
    }
    Ok(payload)
}

fn mode_of(spec: &Value, pointer: &str, default: u32) -> u32 {
    object::int_at(spec, pointer).and_then(|mode| u32::try_from(mode).ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::Object;
    use serde_json::json;
    use std::net::IpAddr;

    struct Objects;

    impl Lookup for Objects {
        fn config_map(&self, name: &str) -> Option<Object> {
            (name == "cm").then(|| Object::new(json!({"data": {"a": "A", "b": "B"}})))
        }
        fn secret(&self, _: &str) -> Option<Object> {
            None
        }
        fn services(&self) -> Vec<Object> {
            Vec::new()
        }
    }

    fn payload(volume: Value) -> Result<Payload, String> {
        let pod = json!({"metadata": {"namespace": "ns", "labels": {"app": "p"}}});
        let facts = NodeFacts { host_ip: IpAddr::from([1, 1, 1, 1]), pod_ip: None, allocatable: json!({}) };
        let token = |audience: &str, _: i64| Ok(format!("token for {audience}"));
        of_volume(&volume, &Sources { pod: &pod, facts: &facts, lookup: &Objects, token: &token }).unwrap()
    }

    #[test]
    fn items_choose_keys_paths_and_modes() {
        let items = json!([{"key": "a", "path": "dir/x", "mode": 0o400}]);
        let files = payload(json!({"configMap": {"name": "cm", "items": items, "defaultMode": 0o600}})).unwrap();
        assert_eq!(files, Payload::from([("dir/x".into(), File { contents: b"A".to_vec(), mode: 0o400 })]));
        let all = payload(json!({"configMap": {"name": "cm", "defaultMode": 0o600}})).unwrap();
        assert!(all.len() == 2 && all.values().all(|file| file.mode == 0o600));
    }

    #[test]
    fn projected_volumes_join_their_sources() {
        let sources = json!([
            {"serviceAccountToken": {"path": "token", "audience": "vault"}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {"secret": {"name": "absent", "optional": true}},
        ]);
        let files = payload(json!({"projected": {"sources": sources}})).unwrap();
        assert_eq!(files["token"].contents, b"token for vault");
        assert_eq!(files["labels"].contents, b"app=\"p\"");
    }

    #[test]
    fn missing_objects_and_keys_are_named() {
        assert_eq!(payload(json!({"secret": {"secretName": "nope"}})).unwrap_err(), "secret \"nope\" not found");
        let items = json!([{"key": "z", "path": "z"}]);
        let error = payload(json!({"configMap": {"name": "cm", "items": items}})).unwrap_err();
        assert_eq!(error, "references non-existent config key: z");
    }
}
