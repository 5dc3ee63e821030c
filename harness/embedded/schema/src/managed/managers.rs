//! `metadata.managedFields`: the fields of each manager, read and written.

use embedded_apimachinery::timestamp;
use serde_json::{Map, Value, json};

use super::set::FieldSet;

/// Beyond this many managers that update, the oldest are merged into one.
const MAX_UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn text(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub manager: String,
    pub operation: Operation,
    pub subresource: String,
    pub api_version: String,
    pub time: Option<String>,
    pub fields: FieldSet,
}

impl Entry {
    /// Whether both are the same manager. The version counts only for updates: an applier that moves to another
    /// version stays the same.
    fn same(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// How a conflict names this manager.
    pub fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            shown.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            shown.push_str(&format!(" using {}", self.api_version));
        }
        shown
    }

    fn decode(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let operation = match value["operation"].as_str()? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let fields = match value.get("fieldsV1") {
            None | Some(Value::Null) => FieldSet::default(),
            Some(fields) => FieldSet::decode(fields)?,
        };
        Some(Self {
            manager: text("manager"),
            operation,
            subresource: text("subresource"),
            api_version: text("apiVersion"),
            time: value["time"].as_str().map(str::to_owned),
            fields,
        })
    }

    fn encode(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("manager".into(), self.manager.clone().into());
        entry.insert("operation".into(), self.operation.text().into());
        entry.insert("apiVersion".into(), self.api_version.clone().into());
        if let Some(time) = &self.time {
            entry.insert("time".into(), time.clone().into());
        }
        entry.insert("fieldsType".into(), "FieldsV1".into());
        entry.insert("fieldsV1".into(), self.fields.encode());
        if !self.subresource.is_empty() {
            entry.insert("subresource".into(), self.subresource.clone().into());
        }
        entry.retain(|_, value| *value != json!(""));
        Value::Object(entry)
    }

    fn seconds(&self) -> i64 {
        self.time.as_deref().and_then(timestamp::parse).map_or(0, |time| time.timestamp())
    }
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managers(pub Vec<Entry>);

impl Managers {
    /// Those an object carries; none when what it carries cannot be read.
    pub fn of(object: &Value) -> Self {
        let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let entries = entries.into_iter().flatten().map(Entry::decode).collect::<Option<Vec<_>>>();
        Self(entries.unwrap_or_default())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn find(&mut self, like: &Entry) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.same(like))
    }

    /// Replaces the entry of this manager, or adds one.
    pub fn put(&mut self, entry: Entry) {
        match self.find(&entry) {
            Some(existing) => *existing = entry,
            None => self.0.push(entry),
        }
    }

    /// All but this manager.
    pub fn others(&mut self, but: &Entry) -> impl Iterator<Item = &mut Entry> {
        self.0.iter_mut().filter(|entry| !entry.same(but))
    }

    /// Writes the managers that own something into an object, in Kubernetes' order; the field vanishes if none does.
    pub fn write(mut self, object: &mut Value) {
        self.0.retain(|entry| !entry.fields.is_empty());
        self.0.sort_by(|a, b| {
            let key = |e: &Entry| (e.operation, e.seconds());
            let names = |e: &Entry| (e.manager.clone(), e.api_version.clone(), e.subresource.clone());
            key(a).cmp(&key(b)).then_with(|| names(a).cmp(&names(b)))
        });
        self.merge_oldest();
        let meta = embedded_apimachinery::object::metadata_mut(object);
        if self.0.is_empty() {
            meta.shift_remove("managedFields");
        } else {
            meta.insert("managedFields".into(), self.0.iter().map(Entry::encode).collect());
        }
    }

    /// Expects the entries in order, oldest first.
    fn merge_oldest(&mut self) {
        let updaters = |entries: &[Entry]| entries.iter().filter(|e| is_updater(e)).count();
        while updaters(&self.0) > MAX_UPDATERS {
            let Some(oldest) = self.0.iter().position(|e| is_updater(e) && e.manager != ANCIENT) else { return };
            let mut oldest = self.0.remove(oldest);
            oldest.manager = ANCIENT.into();
            match self.find(&oldest) {
                Some(ancient) => {
                    ancient.fields = ancient.fields.union(&oldest.fields);
                    ancient.time = oldest.time;
                }
                None => self.0.insert(0, oldest),
            }
        }
    }
}

fn is_updater(entry: &Entry) -> bool {
    entry.operation == Operation::Update && entry.subresource.is_empty()
}
