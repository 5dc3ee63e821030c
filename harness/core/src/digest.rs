//! What was deployed, by digest: whether a run that is repeated meets the same system and the same overlay.
//!
//! Digests are SHA-256 in hexadecimal. That of the system is taken over a list of its files, in the form that `sha256sum`
//! writes and checks; that of the overlay over its rendered objects, whatever their order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::str::FromStr;

/// So many digits stand in a command: short enough to read, and nobody forges them.
const TOLD: usize = 12;

/// Fewer digits than this would be met by chance.
const FEWEST: usize = 8;

/// The digests of one deployment.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Digest {
    /// Of the files in the system's folder.
    pub system: String,
    /// Of the objects that the overlay renders to, before a provider of clusters adapts them.
    pub overlay: String,
}

impl Digest {
    /// The option by which a command expects this very deployment.
    pub fn option(&self) -> String {
        format!("--expect-digest system={},overlay={}", told(&self.system), told(&self.overlay))
    }
}

/// The first digits of a digest.
pub fn told(digest: &str) -> &str {
    digest.get(..TOLD).unwrap_or(digest)
}

/// What a command expects: the beginnings of digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    pub system: Option<String>,
    pub overlay: Option<String>,
}

impl Expected {
    /// What is not as expected, a sentence each.
    pub fn differences(&self, found: &Digest) -> Vec<String> {
        let parts = [
            ("the system's folder", &self.system, &found.system),
            ("the rendered overlay", &self.overlay, &found.overlay),
        ];
        let differs = |(what, expected, found): (&str, &Option<String>, &String)| {
            let expected = expected.as_ref().filter(|expected| !found.starts_with(expected.as_str()))?;
            Some(format!("{what} is not what it was: expected {expected}, found {}", told(found)))
        };
        parts.into_iter().filter_map(differs).collect()
    }
}

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut expected = Self::default();
        for part in text.split(',') {
            let (what, digest) = part.split_once('=').unwrap_or((part, ""));
            let digest = digest.trim_start_matches("sha256:").to_ascii_lowercase();
            let place = match what.trim() {
                "system" => &mut expected.system,
                "overlay" => &mut expected.overlay,
                _ => return Err(format!("`{part}` is neither system=DIGEST nor overlay=DIGEST")),
            };
            if !(FEWEST..=64).contains(&digest.len()) || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!("`{digest}` is no digest: {FEWEST} to 64 hexadecimal digits"));
            }
            *place = Some(digest);
        }
        Ok(expected)
    }
}

/// The digest of bytes.
pub fn of_bytes(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files and their digests as `sha256sum` lists them. The digest of files is that of this text.
pub fn listing(files: &BTreeMap<String, String>) -> String {
    files.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect()
}

/// The digest of objects, in whatever order they and their fields are.
pub fn of_objects(objects: &[Value]) -> String {
    let mut lines: Vec<String> = objects.iter().map(|object| sorted(object).to_string()).collect();
    lines.sort();
    of_bytes(lines.join("\n").as_bytes())
}

/// The value with the fields of every object in the order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let by_name: BTreeMap<&String, Value> = fields.iter().map(|(name, field)| (name, sorted(field))).collect();
            Value::Object(by_name.into_iter().map(|(name, field)| (name.clone(), field)).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest() -> Digest {
        Digest { system: of_bytes(b"system"), overlay: of_bytes(b"overlay") }
    }

    #[test]
    fn the_order_of_objects_and_fields_does_not_matter_and_everything_else_does() {
        let (a, b) = (json!({"kind": "A", "spec": {"x": 1, "y": [1, 2]}}), json!({"kind": "B"}));
        let turned = json!({"spec": {"y": [1, 2], "x": 1}, "kind": "A"});
        let of = of_objects(&[a.clone(), b.clone()]);
        assert_eq!(of, of_objects(&[b.clone(), turned]));
        for other in [vec![a.clone()], vec![b.clone(), json!({"kind": "A", "spec": {"x": 1, "y": [2, 1]}})]] {
            assert_ne!(of, of_objects(&other), "{other:?}");
        }
    }

    #[test]
    fn what_a_command_carries_is_what_it_expects() {
        let option = digest().option();
        let expected: Expected = option.strip_prefix("--expect-digest ").unwrap().parse().unwrap();
        assert_eq!(expected.differences(&digest()), [""; 0]);
        let other = Digest { overlay: of_bytes(b"changed"), ..digest() };
        let differences = expected.differences(&other);
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert!(differences[0].starts_with("the rendered overlay is not what it was: expected "), "{differences:?}");
    }

    #[test]
    fn either_part_may_be_left_out_and_nonsense_is_named() {
        let only = "overlay=sha256:0123ABCDEF".parse::<Expected>().unwrap();
        assert_eq!(only, Expected { system: None, overlay: Some("0123abcdef".into()) });
        for (text, says) in [
            ("", "neither system=DIGEST nor overlay=DIGEST"),
            ("0123456789ab", "neither"),
            ("system=0123", "`0123` is no digest"),
            ("system=not-hexadecimal", "is no digest"),
        ] {
            let error = text.parse::<Expected>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_list_of_files_is_one_that_sha256sum_reads() {
        let files = BTreeMap::from([("b".to_owned(), of_bytes(b"")), ("a/c".to_owned(), of_bytes(b"x"))]);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(listing(&files).ends_with(&format!("{empty}  b\n")), "{}", listing(&files));
        assert!(listing(&files).lines().next().unwrap().ends_with("  a/c"));
    }
}
