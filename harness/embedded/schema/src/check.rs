//! Compares a document with its schema: the first type error, in the words of Kubernetes' JSON decoder, and all
//! unknown fields.

use embedded_apimachinery::quantity::Quantity;
use embedded_apimachinery::timestamp;
use serde_json::Value;

use crate::model::{Shape, Text, Type, TypeRef};

/// What a document has that its schema does not allow.
#[derive(Debug, Default, PartialEq)]
pub struct Findings {
    /// The first value of a wrong type: `json: cannot unmarshal ...`.
    pub mismatch: Option<String>,
    /// Paths of unknown fields, in document order: `spec.containers[0].bogus`.
    pub unknown: Vec<String>,
}

/// Checks a whole object against the schema of its kind.
pub fn check(value: &Value, root: &TypeRef) -> Findings {
    let mut walk = Walk::default();
    walk.value(value, root.get());
    walk.findings
}

#[derive(Default)]
struct Walk {
    findings: Findings,
    /// The innermost named struct: `DeploymentSpec`.
    owner: String,
    /// Field names from the root, without list indexes and map keys, as the decoder reports them.
    fields: Vec<String>,
    /// The same with indexes and keys, as strict decoding reports it.
    path: String,
}

impl Walk {
    fn value(&mut self, value: &Value, ty: &Type) {
        if value.is_null() {
            return;
        }
        match (&ty.shape, value) {
            (Shape::Any, _)
            | (Shape::Boolean, Value::Bool(_))
            | (Shape::Number, Value::Number(_))
            | (Shape::Text(Text::Plain), Value::String(_)) => {}
            (Shape::Integer { bits }, Value::Number(_)) if fits(value, *bits) => {}
            (Shape::Text(Text::Bytes), Value::String(text)) => {
                if let Some(at) = bad_base64(text) {
                    self.fail(format!("illegal base64 data at input byte {at}"));
                }
            }
            (Shape::Text(format), Value::String(text)) => self.time(text, *format),
            (Shape::Quantity, Value::String(text)) => self.quantity(text),
            (Shape::Quantity, Value::Number(number)) => self.quantity(&number.to_string()),
            (Shape::IntOrString, Value::String(_)) => {}
            (Shape::IntOrString, Value::Number(_)) if fits(value, 32) => {}
            (Shape::List(list), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.nested(&format!("[{index}]"), |walk| walk.value(item, list.items.get()));
                }
            }
            (Shape::Map(map), Value::Object(entries)) => {
                for (key, entry) in entries {
                    self.nested(&dotted(&self.path, key), |walk| walk.value(entry, map.values.get()));
                }
            }
            (Shape::Struct(_), Value::Object(entries)) => self.fields_of(entries, ty),
            _ => self.mismatch(value, ty),
        }
    }

    fn fields_of(&mut self, entries: &serde_json::Map<String, Value>, ty: &Type) {
        let Some(fields) = ty.fields() else { return };
        let owner = std::mem::replace(&mut self.owner, short(&ty.name).to_owned());
        for (name, value) in entries {
            let step = dotted(&self.path, name);
            match fields.by_name.get(name.as_str()) {
                Some(field) => {
                    self.fields.push(name.clone());
                    self.nested(&step, |walk| walk.value(value, field.ty.get()));
                    self.fields.pop();
                }
                None if fields.preserve_unknown => {}
                None if fields.embedded && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") => {}
                None => {
                    let path = format!("{}{step}", self.path);
                    self.findings.unknown.push(path);
                }
            }
        }
        self.owner = owner;
    }

    fn nested(&mut self, step: &str, inner: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        inner(self);
        self.path.truncate(length);
    }

    fn fail(&mut self, message: String) {
        self.findings.mismatch.get_or_insert(message);
    }

    fn mismatch(&mut self, value: &Value, ty: &Type) {
        let (found, target) = match &ty.shape {
            Shape::IntOrString => {
                return self.fail(format!("json: cannot unmarshal {} into Go value of type int32", kind(value, true)));
            }
            Shape::Text(Text::Time | Text::MicroTime) => {
                return self
                    .fail(format!("json: cannot unmarshal {} into Go value of type string", kind(value, false)));
            }
            Shape::Quantity => return self.fail(QUANTITY_FORMAT.into()),
            Shape::Integer { .. } => (kind(value, true), go_type(ty)),
            _ => (kind(value, false), go_type(ty)),
        };
        let field = self.fields.join(".");
        self.fail(format!(
            "json: cannot unmarshal {found} into Go struct field {}.{field} of type {target}",
            self.owner
        ));
    }

    fn time(&mut self, text: &str, format: Text) {
        const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
        const MICROSECONDS: &str = "2006-01-02T15:04:05.000000Z07:00";
        let layout = if format == Text::MicroTime { MICROSECONDS } else { SECONDS };
        let fraction = text.get(19..).unwrap_or_default();
        let (rest, expected) = match timestamp::parse(text) {
            None => (text, "2006"),
            // "2030-01-01T00:00:00" has 19 characters; six digits must follow the point.
            Some(_) if format == Text::MicroTime && !has_microseconds(fraction) => (fraction, ".000000"),
            Some(_) => return,
        };
        self.fail(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {expected:?}"));
    }

    fn quantity(&mut self, text: &str) {
        if Quantity::parse(text).is_none() {
            let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit() || "+-.".contains(c));
            let known_letters = !suffix.is_empty() && suffix.chars().all(|c| "eEinumkKMGTP".contains(c));
            let has_number = suffix.len() < text.len();
            let message =
                if known_letters && has_number { "unable to parse quantity's suffix" } else { QUANTITY_FORMAT };
            self.fail(message.into());
        }
    }
}

fn has_microseconds(rest: &str) -> bool {
    let digits = rest.strip_prefix('.').map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    digits == Some(6)
}

const QUANTITY_FORMAT: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!(".{key}") }
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn fits(value: &Value, bits: u8) -> bool {
    match value.as_i64() {
        Some(number) => bits == 64 || i32::try_from(number).is_ok(),
        None => false,
    }
}

/// What the decoder calls a value; numbers that do not fit are shown.
fn kind(value: &Value, show_number: bool) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) if show_number => format!("number {number}"),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    }
}

fn go_type(ty: &Type) -> String {
    match &ty.shape {
        Shape::Boolean => "bool".into(),
        Shape::Integer { bits } => format!("int{bits}"),
        Shape::Number => "float64".into(),
        Shape::Text(Text::Bytes) => "[]uint8".into(),
        Shape::Text(_) => "string".into(),
        Shape::List(list) => format!("[]{}", go_type(list.items.get())),
        Shape::Map(map) => match map.values.get().shape {
            Shape::Quantity => "v1.ResourceList".into(),
            _ => format!("map[string]{}", go_type(map.values.get())),
        },
        Shape::Struct(_) | Shape::Any | Shape::Quantity | Shape::IntOrString => ty.name.to_string(),
    }
}

/// The offset of the first byte at which `text` stops being standard base64; line breaks are allowed.
pub fn bad_base64(text: &str) -> Option<usize> {
    let symbol = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    let (mut in_group, mut padding) = (0, 0);
    for (at, byte) in text.bytes().enumerate().filter(|(_, b)| !matches!(b, b'\r' | b'\n')) {
        match byte {
            b'=' if in_group >= 2 && padding + in_group < 4 => padding += 1,
            _ if padding == 0 && symbol(byte) => in_group = in_group % 4 + 1,
            _ => return Some(at),
        }
    }
    match (in_group, padding) {
        (0 | 4, 0) | (2, 2) | (3, 1) => None,
        (symbols, padding) => Some(text.len() - symbols - padding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::Schemas;
    use crate::model::Gvk;
    use serde_json::json;

    fn findings(group: &str, kind: &str, object: Value) -> Findings {
        let schema = Schemas::builtin().kind(&Gvk::new(group, "v1", kind)).expect("built in");
        check(&object, &schema.root)
    }

    #[test]
    fn wrong_types_are_reported_as_by_the_decoder() {
        let container =
            |field: &str, value: Value| json!({"spec": {"template": {"spec": {"containers": [{field: value}]}}}});
        for (object, expected) in [
            (
                json!({"spec": {"replicas": "three"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"spec": {"replicas": 1.5}}),
                "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"spec": {"replicas": 4_294_967_296_i64}}),
                "json: cannot unmarshal number 4294967296 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"spec": []}),
                "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
            ),
            (
                container("image", json!(1)),
                "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.image of type string",
            ),
            (
                container("args", json!("x")),
                "json: cannot unmarshal string into Go struct field Container.spec.template.spec.containers.args of type []string",
            ),
            (
                container("resources", json!({"limits": {"cpu": "1x"}})),
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
            (
                json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": true}}}}),
                "json: cannot unmarshal bool into Go value of type int32",
            ),
        ] {
            assert_eq!(findings("apps", "Deployment", object.clone()).mismatch.as_deref(), Some(expected), "{object}");
        }
    }

    #[test]
    fn map_values_are_reported_at_the_field_that_holds_the_map() {
        assert_eq!(
            findings("", "ConfigMap", json!({"data": {"a": 1}})).mismatch.as_deref(),
            Some("json: cannot unmarshal number into Go struct field ConfigMap.data of type string")
        );
    }

    #[test]
    fn unknown_fields_are_found_with_their_paths() {
        let object = json!({
            "metadata": {"extra": 1},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "bogus": 1}]}}},
            "bogus": 1
        });
        assert_eq!(
            findings("apps", "Deployment", object).unknown,
            ["metadata.extra", "spec.template.spec.containers[0].bogus", "bogus"]
        );
    }

    #[test]
    fn micro_times_need_their_fraction() {
        let lease =
            |time: &str| findings("coordination.k8s.io", "Lease", json!({"spec": {"renewTime": time}})).mismatch;
        assert_eq!(lease("2030-01-01T00:00:00.000000Z"), None);
        assert_eq!(
            lease("2030-01-01T00:00:00Z").as_deref(),
            Some(
                "parsing time \"2030-01-01T00:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": \
                 cannot parse \"Z\" as \".000000\""
            )
        );
    }

    #[test]
    fn base64_errors_name_the_byte() {
        for (text, expected) in [
            ("", None),
            ("YQ==", None),
            ("YWI=", None),
            ("YWJj\n", None),
            ("!!", Some(0)),
            ("YQ=", Some(0)),
            ("YQ", Some(0)),
            ("YWJjYQ", Some(4)),
            ("YW!j", Some(2)),
            ("YQ==YQ==", Some(4)),
        ] {
            assert_eq!(bad_base64(text), expected, "{text:?}");
        }
    }
}
