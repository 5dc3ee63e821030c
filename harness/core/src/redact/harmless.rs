//! What stands where a secret would, and is none.

use super::REDACTED;
use regex::Regex;
use std::sync::LazyLock;

/// What an expansion of a shell or of Kubernetes looks like. One that carries a default may carry a secret.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\$(?:[A-Z_][A-Z0-9_]*|[0-9@*#]|\([^()]*\)|\{[A-Za-z_]\w*(?::?[-=]|:?\?[^}]*)?\})$")
        .expect("the pattern is a constant of this module")
});

/// Words of sentences about secrets, and values of switches.
const WORDS: [&str; 37] = [
    "true",
    "false",
    "null",
    "none",
    "nil",
    "<nil>",
    "<none>",
    "<empty>",
    "<unset>",
    "<redacted>",
    "yes",
    "no",
    "not",
    "is",
    "was",
    "are",
    "has",
    "must",
    "cannot",
    "could",
    "failed",
    "error",
    "found",
    "wrong",
    "bad",
    "rejected",
    "invalid",
    "missing",
    "expired",
    "expires",
    "required",
    "unknown",
    "unauthorized",
    "disabled",
    "enabled",
    "command",
    REDACTED,
];

/// Nothing, what was taken out already, or a reference to what stands elsewhere.
pub fn is_reference(value: &str) -> bool {
    value.is_empty() || is_done(value) || REFERENCE.is_match(value)
}

/// Where a key lies, under a name that means the key as often as its file.
pub fn is_key_file(value: &str) -> bool {
    is_path(value) && [".key", ".pem"].iter().any(|end| value.ends_with(end))
}

/// `/var/run/secrets/token` is where a secret is, and none.
pub fn is_path(value: &str) -> bool {
    let is_part = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || b"0123456789._-".contains(&byte));
    value.strip_prefix('/').is_some_and(|path| path.contains('/') && path.split('/').all(is_part))
}

/// In a text, besides: a word of a sentence, the file of a key, a small number, marks without letters, the verb of a format.
pub fn is_harmless(value: &str) -> bool {
    let value = value.trim_matches(['\\', '"', '\'']);
    let is_mark = !value.contains(|letter: char| letter.is_alphanumeric());
    let is_small = value.len() < 4 && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_verb = value.len() == 2 && value.starts_with('%');
    // A quote before such a letter ends something, and a colon after a colon is a path of a language.
    let is_syntax = value.starts_with([' ', ',', '}', ')', ']', ':']);
    is_reference(value) || is_mark || is_small || is_verb || is_syntax || is_key_file(value) || begins_with_word(value)
}

fn begins_with_word(value: &str) -> bool {
    let word = value.split(char::is_whitespace).next().unwrap_or_default();
    WORDS.contains(&word.trim_end_matches([':', ',', '.', ';']).to_lowercase().as_str()) || is_done(word)
}

/// Whether something was taken out there already; what stands around it stays.
fn is_done(value: &str) -> bool {
    value.trim_start_matches(|c: char| !c.is_alphanumeric()).starts_with(REDACTED)
}
