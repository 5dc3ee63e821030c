//! What objects tell of secrets: values of Secrets, what stands under a secret's name elsewhere or looks like one, and names
//! that are none.

use super::object::{self, Seen};
use super::shape;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What is to be learned of objects.
#[derive(Debug, Default)]
pub struct Learned {
    pub secrets: Vec<Entry>,
    pub guesses: Vec<Guess>,
    pub names: Vec<String>,
}

/// A value of a Secret.
#[derive(Debug)]
pub struct Entry {
    /// How a person finds it.
    pub name: String,
    pub value: Vec<u8>,
}

/// A value that is covered where it stands, so that it should not be told elsewhere.
#[derive(Debug)]
pub struct Guess {
    pub value: String,
    /// Its name means secrets and nothing else.
    pub is_sure: bool,
}

impl Learned {
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut learned = Self::default();
        objects.into_iter().for_each(|object| learned.add(object));
        learned
    }

    fn add(&mut self, object: &Value) {
        self.names(object);
        if let Some(last) = object::last_applied(object) {
            self.add(&last);
        }
        if object::is_secret(object) {
            self.secrets.extend(entries(object));
        }
        // What is covered and what is learned must be the same, so that both go the same way.
        object::walk(&mut object.clone(), &mut |seen, text| {
            let (values, is_sure) = match seen {
                Seen::Entry => return,
                // Kubernetes reads two dollars as one.
                Seen::Secret { is_sure } => (vec![text.clone(), text.replace("$$", "$")], is_sure),
                Seen::Connection if shape::without(text) == *text => (vec![text.clone()], true),
                Seen::Connection | Seen::Text => (shape::values(text), true),
            };
            self.guesses.extend(values.into_iter().map(|value| Guess { value, is_sure }));
        });
    }

    /// Names of things, wherever they stand: what is said of things must stay readable.
    fn names(&mut self, value: &Value) {
        match value {
            Value::Array(list) => list.iter().for_each(|value| self.names(value)),
            Value::Object(fields) => {
                for (field, value) in fields {
                    match (field.as_str(), value) {
                        (
                            "name" | "namespace" | "secretName" | "serviceAccountName" | "claimName",
                            Value::String(name),
                        ) => {
                            self.names.push(name.clone());
                        }
                        ("data" | "stringData", Value::Object(entries)) => self.names.extend(entries.keys().cloned()),
                        ("labels" | "matchLabels", Value::Object(labels)) => {
                            self.names.extend(labels.values().filter_map(Value::as_str).map(str::to_owned));
                        }
                        _ => self.names(value),
                    }
                }
            }
            _ => {}
        }
    }
}

fn entries(secret: &Value) -> Vec<Entry> {
    let place =
        [&secret["metadata"]["namespace"], &secret["metadata"]["name"]].map(|part| part.as_str().unwrap_or("-"));
    let named = |key: &str| format!("{key} of {}", place.join("/"));
    let texts = |field: &str| {
        let entries = secret[field].as_object().into_iter().flatten();
        let texts = entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        texts.collect::<Vec<(String, String)>>()
    };
    let encoded = texts("data")
        .into_iter()
        .filter_map(|(key, text)| Some(Entry { name: named(&key), value: STANDARD.decode(text).ok()? }));
    let plain =
        texts("stringData").into_iter().map(|(key, text)| Entry { name: named(&key), value: text.into_bytes() });
    encoded.chain(plain).collect()
}
