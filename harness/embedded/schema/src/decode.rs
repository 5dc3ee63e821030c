//! Request bodies to objects: the 400s of a create or update, in the words of Kubernetes.

use embedded_apimachinery::Status;
use serde_json::Value;

use crate::builtin::Schemas;
use crate::canonical::canonicalize;
use crate::check::check;
use crate::model::{Gvk, KindSchema};
use crate::text;

/// `fieldValidation=`: what becomes of unknown and duplicate fields. They are always dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

impl FieldValidation {
    /// The value of the query parameter; `None` when it is none of them. The empty string is the default.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "Warn" => Some(Self::Warn),
            "Ignore" => Some(Self::Ignore),
            "Strict" => Some(Self::Strict),
            _ => None,
        }
    }
}

/// A decoded object in canonical form, not yet defaulted.
#[derive(Debug, PartialEq)]
pub struct Decoded {
    pub object: Value,
    /// Texts for `Warning` headers: `unknown field "spec.bogus"`.
    pub warnings: Vec<String>,
}

/// Decodes the body of a create or update of `schema`'s kind. A missing `kind` and `apiVersion` are filled in.
///
/// Errors are 400s: malformed JSON, another kind or version, wrong types, and unknown or duplicate fields when strict.
pub fn decode(schema: &KindSchema, body: &[u8], validation: FieldValidation) -> Result<Decoded, Status> {
    let document = text::parse(body).map_err(|error| unrecognized(schema, &error, body))?;
    if !document.value.is_object() {
        let found = if document.value.is_array() { "array" } else { scalar(&document.value) };
        let error = format!("json: cannot unmarshal {found} into Go value of type {VERSION_KIND}");
        return Err(unrecognized(schema, &error, body));
    }
    let duplicates = document.duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
    finish(schema, document.value, duplicates, validation)
}

/// Decodes an object that is JSON already (a YAML body, say). As [`decode`], but duplicates can no longer be seen.
pub fn decode_value(schema: &KindSchema, value: Value, validation: FieldValidation) -> Result<Decoded, Status> {
    if !value.is_object() {
        let error = format!("json: cannot unmarshal {} into Go value of type {VERSION_KIND}", scalar(&value));
        return Err(unrecognized(schema, &error, value.to_string().as_bytes()));
    }
    finish(schema, value, Vec::new(), validation)
}

const VERSION_KIND: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

fn scalar(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Null | Value::Object(_) => "null",
    }
}

fn finish(
    schema: &KindSchema,
    mut value: Value,
    duplicates: Vec<String>,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let expected = &schema.gvk;
    let mut found = Gvk::of(&value);
    if found.kind.is_empty() {
        found.kind.clone_from(&expected.kind);
    }
    if found.version.is_empty() {
        (found.group, found.version) = (expected.group.clone(), expected.version.clone());
    }
    let cannot = |error: &str| {
        Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {error}",
            found.kind, found.version, expected.kind
        ))
    };
    same_kind(&found, schema).map_err(|problem| match problem {
        Mismatch::Handling(error) => cannot(&error),
        Mismatch::Version => Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            found.api_version(),
            expected.api_version()
        )),
    })?;
    if let Value::Object(map) = &mut value {
        map.insert("kind".into(), expected.kind.clone().into());
        map.insert("apiVersion".into(), expected.api_version().into());
    }
    decode_typed(schema, value, duplicates, validation).map_err(|error| cannot(&error))
}

/// The part of decoding that is the same for bodies and for the outcome of patches. `problems` are duplicate fields.
pub(crate) fn decode_typed(
    schema: &KindSchema,
    mut value: Value,
    mut problems: Vec<String>,
    validation: FieldValidation,
) -> Result<Decoded, String> {
    let findings = check(&value, &schema.root);
    if let Some(mismatch) = findings.mismatch.filter(|_| !schema.custom) {
        return Err(mismatch);
    }
    problems.extend(findings.unknown.iter().map(|path| format!("unknown field {path:?}")));
    let warnings = match validation {
        FieldValidation::Strict if !problems.is_empty() => {
            return Err(format!("strict decoding error: {}", problems.join(", ")));
        }
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Strict | FieldValidation::Warn => problems,
    };
    canonicalize(schema, &mut value);
    Ok(Decoded { object: value, warnings })
}

enum Mismatch {
    /// The version is known, but not what this path serves.
    Version,
    Handling(String),
}

fn same_kind(found: &Gvk, schema: &KindSchema) -> Result<(), Mismatch> {
    let expected = &schema.gvk;
    if found == expected {
        return Ok(());
    }
    if schema.custom {
        return Err(match found.kind == expected.kind {
            true => Mismatch::Version,
            false => Mismatch::Handling(format!("unable to decode {}", found.kind)),
        });
    }
    if found.kind == expected.kind && known_elsewhere(found) {
        return Err(Mismatch::Version);
    }
    if Schemas::builtin().kind(found).is_some() {
        let package = |gvk: &Gvk| match gvk.group.split('.').next().unwrap_or_default() {
            "" => "core".to_owned(),
            group => group.to_owned(),
        };
        return Err(Mismatch::Handling(format!(
            "converting ({}.{}) to ({}.{}): unknown conversion",
            found.version,
            found.kind,
            package(expected),
            expected.kind
        )));
    }
    Err(Mismatch::Handling(format!(
        "no kind {:?} is registered for version {:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        found.kind,
        found.api_version()
    )))
}

/// Versions that Kubernetes still knows without serving them.
fn known_elsewhere(found: &Gvk) -> bool {
    const OLD: [(&str, &[&str]); 9] = [
        ("apps", &["v1beta1", "v1beta2"]),
        ("autoscaling", &["v1", "v2"]),
        ("batch", &["v1beta1"]),
        ("coordination.k8s.io", &["v1beta1"]),
        ("discovery.k8s.io", &["v1beta1"]),
        ("extensions", &["v1beta1"]),
        ("networking.k8s.io", &["v1beta1"]),
        ("policy", &["v1beta1"]),
        ("rbac.authorization.k8s.io", &["v1alpha1", "v1beta1"]),
    ];
    OLD.iter().any(|(group, versions)| *group == found.group && versions.contains(&found.version.as_str()))
}

fn unrecognized(schema: &KindSchema, error: &str, body: &[u8]) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {error} ({})",
        schema.gvk.kind,
        summary(body)
    ))
}

/// The start of a body: as text if it looks like an object, else in hexadecimal.
fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let start = &body[..body.len().min(SHOWN)];
    let more = if body.len() > SHOWN { " ..." } else { "" };
    match body.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => format!("{}{more}", start.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config_map() -> KindSchema {
        Schemas::builtin().kind(&Gvk::new("", "v1", "ConfigMap")).expect("built in")
    }

    fn error(body: &str, validation: FieldValidation) -> String {
        decode(&config_map(), body.as_bytes(), validation).expect_err("refused").message
    }

    #[test]
    fn malformed_bodies_are_summarized() {
        let start = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ";
        for (body, rest) in [
            (r#"{"apiVersion":"v1","#, r#"unexpected end of JSON input ({"apiVersion":"v1",)"#),
            ("", "unexpected end of JSON input (<empty>)"),
            (
                "[]",
                r#"json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (5b5d)"#,
            ),
        ] {
            assert_eq!(error(body, FieldValidation::Warn), format!("{start}{rest}"));
        }
    }

    #[test]
    fn other_kinds_and_versions_are_refused() {
        for (body, expected) in [
            (
                json!({"apiVersion": "v1", "kind": "Service"}),
                "Service in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Service) to (core.ConfigMap): unknown conversion",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Widget"}),
                "Widget in version \"v1\" cannot be handled as a ConfigMap: no kind \"Widget\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            ),
        ] {
            assert_eq!(error(&body.to_string(), FieldValidation::Warn), expected);
        }
        let deployment = Schemas::builtin().kind(&Gvk::new("apps", "v1", "Deployment")).expect("built in");
        let body = json!({"apiVersion": "apps/v1beta1", "kind": "Deployment"}).to_string();
        let status = decode(&deployment, body.as_bytes(), FieldValidation::Warn).expect_err("refused");
        assert_eq!(
            status.message,
            "the API version in the data (apps/v1beta1) does not match the expected API version (apps/v1)"
        );
    }

    #[test]
    fn missing_kind_and_version_are_filled_in() {
        let decoded = decode(&config_map(), br#"{"metadata":{"name":"d"}}"#, FieldValidation::Strict).expect("decodes");
        assert_eq!(decoded.object, json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "d"}}));
    }

    #[test]
    fn unknown_and_duplicate_fields_follow_the_validation_asked_for() {
        let body = r#"{"kind":"ConfigMap","metadata":{"name":"s","extra":true},"bogus":1}"#;
        assert_eq!(
            error(body, FieldValidation::Strict),
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"metadata.extra\", unknown field \"bogus\""
        );
        let warned = decode(&config_map(), body.as_bytes(), FieldValidation::Warn).expect("decodes");
        assert_eq!(warned.warnings, ["unknown field \"metadata.extra\"", "unknown field \"bogus\""]);
        assert_eq!(warned.object["metadata"], json!({"name": "s"}));
        let ignored = decode(&config_map(), body.as_bytes(), FieldValidation::Ignore).expect("decodes");
        assert!(ignored.warnings.is_empty());
        let twice = r#"{"data":{"a":"1"},"data":{"a":"2"}}"#;
        assert!(error(twice, FieldValidation::Strict).ends_with("strict decoding error: duplicate field \"data\""));
    }
}
