//! The one place that knows the YAML library: strict parsing into types, with the position of every mistake.

use crate::problem::Problem;
use crate::suggest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Error;
use std::ops::Deref;

/// Parses one document. Unknown keys are refused by the types (`deny_unknown_fields`), duplicate keys here.
///
/// # Errors
/// The first mistake, with its position and, for a name that resembles a known one, the likely name.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Box<Problem>> {
    serde_saphyr::from_str(text).map_err(|error| Box::new(problem(file, &error)))
}

/// Parses a stream of documents, as `kubectl` reads them: empty documents are left out, and lists are what they list.
///
/// # Errors
/// As [`parse`].
pub fn parse_all(file: &str, text: &str) -> Result<Vec<Value>, Box<Problem>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| Box::new(problem(file, &error)))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).flat_map(listed).collect())
}

/// What a document stands for: itself, or the objects of a list. Those of a list of one kind need not say theirs.
fn listed(mut document: Value) -> Vec<Value> {
    let kind = document["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).map(str::to_owned);
    let (Some(kind), true) = (kind, document["items"].is_array()) else { return vec![document] };
    let version = document["apiVersion"].clone();
    let Value::Array(items) = document["items"].take() else { return vec![] };
    let whole = |mut item: Value| {
        if let (Some(object), false) = (item.as_object_mut(), kind.is_empty()) {
            object.entry("kind").or_insert_with(|| kind.as_str().into());
            object.entry("apiVersion").or_insert_with(|| version.clone());
        }
        item
    };
    items.into_iter().map(whole).flat_map(listed).collect()
}

/// A value and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub line: u64,
    pub column: u64,
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Located<T> {
    /// A mistake at this value.
    pub fn problem(&self, file: &str, message: impl Into<String>) -> Problem {
        Problem {
            file: file.to_owned(),
            line: self.line,
            column: self.column,
            message: message.into(),
            suggestion: None,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        let at = spanned.referenced;
        Ok(Self { value: spanned.value, line: at.line(), column: at.column() })
    }
}

fn problem(file: &str, error: &Error) -> Problem {
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
    let (message, suggestion) = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), suggest::sentence(field, expected.iter().copied()))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), suggest::sentence(variant, expected.iter().copied()))
        }
        Error::SerdeMissingField { field, .. } => (format!("missing key `{field}`"), None),
        Error::DuplicateMappingKey { key: Some(key), .. } => (format!("key `{key}` is given twice"), None),
        other => (first_line(&other.to_string()), None),
    };
    Problem { file: file.to_owned(), line, column, message, suggestion }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("not valid YAML").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code)]
        replicas: Located<u32>,
    }

    #[test]
    fn an_unknown_key_is_reported_where_it_stands_with_the_likely_name() {
        let problem = parse::<Sample>("f.yaml", "replicas: 1\nreplcas: 2\n").unwrap_err();
        assert_eq!(problem.to_string(), "f.yaml:2:1: unknown key `replcas`");
        assert_eq!(problem.suggestion.as_deref(), Some("did you mean `replicas`?"));
    }

    #[test]
    fn a_duplicate_key_is_refused() {
        let problem = parse::<Sample>("f.yaml", "replicas: 1\nreplicas: 2\n").unwrap_err();
        assert_eq!(problem.to_string(), "f.yaml:2:1: key `replicas` is given twice");
    }

    #[test]
    fn a_located_value_knows_its_line_and_column() {
        let sample: Sample = parse("f.yaml", "\nreplicas: 7\n").unwrap();
        assert_eq!((sample.replicas.value, sample.replicas.line, sample.replicas.column), (7, 2, 11));
    }

    #[test]
    fn a_stream_of_documents_is_read_without_the_empty_ones() {
        assert_eq!(parse_all("f.yaml", "a: 1\n---\n---\nb: 2\n").unwrap().len(), 2);
    }

    #[test]
    fn a_list_is_read_as_the_objects_in_it() {
        for (text, kinds) in [
            (
                "{kind: List, apiVersion: v1, items: [{kind: Pod}, {kind: List, items: [{kind: Job}]}]}",
                vec!["Pod", "Job"],
            ),
            ("{kind: PodList, apiVersion: v1, items: [{metadata: {name: a}}]}", vec!["Pod"]),
            ("{kind: List, items: []}", vec![]),
            ("{kind: AllowList, spec: {}}", vec!["AllowList"]),
        ] {
            let objects = parse_all("f.yaml", text).unwrap();
            let found: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
            assert_eq!(found, kinds, "{text}");
        }
    }
}
