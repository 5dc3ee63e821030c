//! Objects as clients asked for them: whole, as rows of a table, or their metadata only.

use embedded_apimachinery::Object;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

use super::negotiate::Form;
use super::respond::{self, Answer};
use crate::catalog::Resource;
use crate::tables::{self, IncludeObject};
use crate::versions;

/// How the answers of one request look.
pub struct Show<'a> {
    pub resource: &'a Resource,
    pub form: Form,
    pub include: IncludeObject,
}

/// What a list says about itself.
#[derive(Default)]
pub struct ListMeta {
    pub revision: u64,
    pub continue_token: Option<String>,
    pub remaining: Option<usize>,
}

impl ListMeta {
    fn to_value(&self) -> Value {
        let mut meta = json!({"resourceVersion": self.revision.to_string()});
        if let Some(token) = &self.continue_token {
            meta["continue"] = token.clone().into();
        }
        if let Some(remaining) = self.remaining {
            meta["remainingItemCount"] = remaining.into();
        }
        meta
    }
}

impl Show<'_> {
    pub fn object(&self, code: u16, object: &Value) -> Answer {
        let object = versions::present(self.resource, object);
        match self.form {
            Form::Object => respond::json(code, &*object),
            Form::Metadata => respond::json(code, &partial(&object)),
            Form::Table => {
                let version = object["metadata"]["resourceVersion"].clone();
                let rows = tables::rows(self.resource, &[&object], self.include);
                respond::json(code, &tables::table(self.resource, json!({"resourceVersion": version}), rows, true))
            }
        }
    }

    pub fn list(&self, objects: &[Object], meta: &ListMeta) -> Answer {
        match self.form {
            Form::Object => respond::json(200, &List { resource: self.resource, meta: meta.to_value(), objects }),
            Form::Metadata => {
                let items: Vec<Value> = objects.iter().map(|o| partial(&versions::present(self.resource, o))).collect();
                respond::json(
                    200,
                    &json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": meta.to_value(), "items": items}),
                )
            }
            Form::Table => {
                let objects: Vec<&Value> = objects.iter().map(|o| &**o).collect();
                let rows = tables::rows(self.resource, &objects, self.include);
                respond::json(200, &tables::table(self.resource, meta.to_value(), rows, true))
            }
        }
    }

    /// One line of a watch. `first` says whether a table has to bring its column definitions.
    pub fn event(&self, kind: &str, object: &Value, first: bool) -> Vec<u8> {
        let object = versions::present(self.resource, object);
        let mut line = match self.form {
            Form::Object => serde_json::to_vec(&Event { kind, object: &*object }),
            Form::Metadata => serde_json::to_vec(&Event { kind, object: &partial(&object) }),
            Form::Table if kind == "BOOKMARK" => {
                let table = tables::table(self.resource, object["metadata"].clone(), Vec::new(), first);
                serde_json::to_vec(&Event { kind, object: &table })
            }
            Form::Table => {
                let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let rows = tables::rows(self.resource, &[&object], self.include);
                serde_json::to_vec(&Event { kind, object: &tables::table(self.resource, meta, rows, first) })
            }
        }
        .unwrap_or_default();
        line.push(b'\n');
        line
    }
}

#[derive(Serialize)]
struct Event<'a, T: Serialize> {
    #[serde(rename = "type")]
    kind: &'a str,
    object: &'a T,
}

/// Metadata as an object of its own.
pub fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// A list that is written without copying its objects. Items of built-in kinds do not repeat their type.
struct List<'a> {
    resource: &'a Resource,
    meta: Value,
    objects: &'a [Object],
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("kind", &self.resource.list_kind())?;
        map.serialize_entry("apiVersion", &self.resource.api_version())?;
        map.serialize_entry("metadata", &self.meta)?;
        map.serialize_entry("items", &Items(self))?;
        map.end()
    }
}

struct Items<'a>(&'a List<'a>);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let typed = self.0.resource.custom.is_some();
        let mut items = serializer.serialize_seq(Some(self.0.objects.len()))?;
        for object in self.0.objects {
            let object = versions::present(self.0.resource, object);
            match object.as_object() {
                Some(fields) if !typed => items.serialize_element(&Untyped(fields))?,
                _ => items.serialize_element(&*object)?,
            }
        }
        items.end()
    }
}

struct Untyped<'a>(&'a Map<String, Value>);

impl Serialize for Untyped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter(|(key, _)| *key != "kind" && *key != "apiVersion"))
    }
}
