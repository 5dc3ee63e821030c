//! Names for what differs from run to run: `{ns}`, `{node1}`, and whatever steps saved.

use std::collections::BTreeMap;

use regex::{Captures, Regex};
use serde_json::Value;

/// The variables of one replay.
pub struct Variables {
    values: BTreeMap<String, String>,
    namespace: String,
    /// Node names with the variable that stands for each, where the file names nodes.
    nodes: Vec<(Regex, String)>,
    name: Regex,
}

impl Variables {
    /// `nodes` are in order. `pin_nodes` is for files that name nodes; in others a node is a placeholder.
    pub fn new(namespace: &str, nodes: &[String], pin_nodes: bool) -> Result<Self, regex::Error> {
        let mut values = BTreeMap::from([("ns".to_owned(), namespace.to_owned())]);
        let mut pinned = Vec::new();
        for (node, number) in nodes.iter().zip(1..) {
            values.insert(format!("node{number}"), node.clone());
            if pin_nodes {
                // Not within a longer name.
                let pattern = format!(r"(^|[^-\w.]){}($|[^-\w])", regex::escape(node));
                pinned.push((Regex::new(&pattern)?, format!("{{node{number}}}")));
            }
        }
        Ok(Self { values, namespace: namespace.to_owned(), nodes: pinned, name: Regex::new(r"\{([a-z]\w*)\}")? })
    }

    pub fn save(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), value);
    }

    /// Puts values in place of the names; unknown names stay.
    pub fn fill(&self, text: &str) -> String {
        let value = |found: &Captures<'_>| self.values.get(&found[1]).cloned().unwrap_or_else(|| found[0].to_owned());
        self.name.replace_all(text, value).into_owned()
    }

    pub fn fill_value(&self, value: &Value) -> Value {
        map_texts(value, &|text| self.fill(text))
    }

    /// Puts names in place of the namespace and, where the file names nodes, of the nodes.
    pub fn strip(&self, value: &Value) -> Value {
        map_texts(value, &|text| {
            let mut text = text.replace(&self.namespace, "{ns}");
            for (node, variable) in &self.nodes {
                // Neighbours share their delimiter, so one pass may leave every other one.
                while node.is_match(&text) {
                    text = node.replace_all(&text, format!("${{1}}{variable}${{2}}").as_str()).into_owned();
                }
            }
            text
        })
    }
}

/// Every text of a value, keys included, changed.
fn map_texts(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => change(text).into(),
        Value::Array(items) => items.iter().map(|item| map_texts(item, change)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (change(key), map_texts(item, change))).collect(),
        other => other.clone(),
    }
}
