//! What is a secret by its looks: private keys, credentials in URLs, tokens, and what follows a name such as `password`.

use super::REDACTED;
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Parts of names whose values are secrets.
const NAMES: &str = r"passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|requirepass|masterauth|(?-i:[A-Z0-9]_(?:KEY|PASS|AUTH))";

/// What may follow without the name meaning something else, as `secretName` does.
const ENDS: &str = r"(?:[_-]?(?:value|key|id|data|[0-9]+))?";

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant of this module")
}

static PRIVATE_KEY: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"));

/// Tokens that are known by how they begin: signed claims, and those of a few services.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bxox[abprs]-[\w-]{10,}|\bsk-[\w-]{20,}",
    )
});

/// Patterns whose second group is the secret.
static AFTER: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let value = r#"(\\"[^"\\]*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'{}\[\]()<>\\]+)"#;
    let flag = r"passw(?:or)?d|pass|passphrase|secret|token|api-?key|auth";
    [
        // The part of a URL before its host: `redis://:password@host`, `nats://token@host`.
        r#"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s:@/"'<>]*:)([^\s@"'<>]+)@"#.to_owned(),
        r#"([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s:@/"'<>]+)@"#.to_owned(),
        r"(?i)(\bbearer\s+)([\w.~+/-]{12,}=*)".to_owned(),
        r#"(?i)(\bauthorization\\?["']?\s*[:=]\s*\\?["']?(?:basic|bearer|digest|token)\s+)([^\s"'\\,]+)"#.to_owned(),
        format!(r#"(?i)(\\?["']?\b[\w./-]*(?:{NAMES}){ENDS}\\?["']?(?:[ \t]*=>?|:)[ \t]*){value}"#),
        format!(r#"(?i)((?:^|[\s"'])--?[\w-]*(?:{flag})[ \t]+)("[^"]*"|'[^']*'|[^\s"'|;&-][^\s"'|;&]*)"#),
        r#"(?i)(\b(?:requirepass|masterauth)[ \t]+)("[^"]*"|[^\s"'|;&]+)"#.to_owned(),
        r#"(\bredis-cli\b[^\n|;&]*?\s-a[ \t]+)("[^"]*"|'[^']*'|[^\s"'|;&]+)"#.to_owned(),
        r#"(?m)((?:^[ \t]*user|SETUSER)[ \t][^\n]*?[ \t]>)(\S+)"#.to_owned(),
    ]
    .iter()
    .map(|pattern| compiled(pattern))
    .collect()
});

static NAME: LazyLock<Regex> = LazyLock::new(|| compiled(&format!(r"(?i)^[\w./-]*(?:{NAMES}){ENDS}$")));
static ENV_NAME: LazyLock<Regex> = LazyLock::new(|| compiled(r"(?i)(?:^|[_.-])(?:key|pass|auth|pwd)$"));
static FLAG: LazyLock<Regex> = LazyLock::new(|| {
    compiled(r"(?i)^(?:--?[\w-]*(?:passw(?:or)?d|pass|passphrase|secret|token|api-?key|auth)|requirepass|masterauth)$")
});

/// Whether values under this name are secrets.
pub fn is_secret_name(name: &str) -> bool {
    NAME.is_match(name)
}

/// Whether an environment variable of this name holds a secret.
pub fn is_secret_variable(name: &str) -> bool {
    NAME.is_match(name) || ENV_NAME.is_match(name)
}

/// Whether the argument after this one is a secret.
pub fn announces_secret(argument: &str) -> bool {
    FLAG.is_match(argument)
}

/// What stands where a secret would, and is none: a reference, a path, a truth value, a small number, a word of a
/// sentence.
pub fn is_harmless(value: &str) -> bool {
    const WORDS: [&str; 16] = [
        "", "true", "false", "null", "none", "nil", "yes", "no", "not", "is", "was", "invalid", "missing", "expired",
        "required", REDACTED,
    ];
    let value = value.trim_matches(['\\', '"', '\'']);
    WORDS.contains(&value)
        || value.starts_with(['$', '/', '{', '[', '<', '*', '%'])
        || begins_with_port(value)
        || (value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

/// In `http://host:8080/a@b` no password stands before the `@`.
fn begins_with_port(value: &str) -> bool {
    let port = value.split_once('/').map(|(port, _)| port);
    port.is_some_and(|port| (1..6).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The text without what looks like a secret.
pub fn without(text: &str) -> Cow<'_, str> {
    let mut told = PRIVATE_KEY.replace_all(text, REDACTED);
    told = replaced(told, |text| TOKEN.replace_all(text, REDACTED));
    for pattern in AFTER.iter() {
        told = replaced(told, |text| pattern.replace_all(text, covered));
    }
    told
}

fn replaced<'a>(text: Cow<'a, str>, replace: impl Fn(&str) -> Cow<'_, str>) -> Cow<'a, str> {
    match replace(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(changed) => Cow::Owned(changed),
    }
}

/// The match with its second group covered; quotes stay, so that what was JSON is JSON.
fn covered(found: &Captures<'_>) -> String {
    let (whole, value) = (&found[0], &found[2]);
    if is_harmless(value) {
        return whole.to_owned();
    }
    let quote = ["\\\"", "\"", "'"].into_iter().find(|quote| value.starts_with(quote)).unwrap_or("");
    let end = &whole[found[1].len() + value.len()..];
    format!("{}{quote}{REDACTED}{quote}{end}", &found[1])
}

/// The secrets that a text holds by their looks, to be known elsewhere too.
pub fn values(text: &str) -> Vec<String> {
    let found = AFTER.iter().flat_map(|pattern| pattern.captures_iter(text));
    let found = found.map(|found| found[2].trim_matches(['\\', '"', '\'']).to_owned());
    found.filter(|value| !is_harmless(value)).collect()
}
