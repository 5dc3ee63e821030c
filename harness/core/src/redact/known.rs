//! Secret values that are known, found in the encodings in which they travel.

use super::{REDACTED, shape};
use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Shorter values are not looked for: they would be found in everything.
const SHORTEST: usize = 6;

/// Of a value of several lines, lines of this length are looked for by themselves.
const SHORTEST_LINE: usize = 16;

/// Words that configurations put into Secrets and that every log is full of.
const COMMON: [&str; 12] = [
    "default",
    "password",
    "username",
    "secret",
    "localhost",
    "kubernetes",
    "cluster.local",
    "standard",
    "production",
    "development",
    "required",
    "disabled",
];

/// The values and a machine that finds them all at once.
#[derive(Debug, Default)]
pub struct Known {
    forms: BTreeSet<String>,
    finder: Option<AhoCorasick>,
}

impl Known {
    /// These and more; `None` where there is nothing new.
    pub fn with(&self, values: Vec<Vec<u8>>, public: &BTreeSet<String>) -> Option<Self> {
        let is_public = |text: &str| COMMON.contains(&text) || public.contains(text);
        let worth_it = |value: &Vec<u8>| {
            let text = String::from_utf8_lossy(value).trim().to_lowercase();
            text.len() >= SHORTEST && !is_public(&text)
        };
        let parts = values.iter().flat_map(|value| parts(value)).filter(worth_it);
        let forms: BTreeSet<String> = parts.flat_map(|part| forms(&part)).chain(self.forms.clone()).collect();
        if forms.len() == self.forms.len() {
            return None;
        }
        // Longest first, so that nothing of an encoding is left over where a shorter form matches too.
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms).ok();
        Some(Self { forms, finder })
    }

    /// The text without them.
    pub fn without<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(finder) = &self.finder else { return Cow::Borrowed(text) };
        if !finder.is_match(text) {
            return Cow::Borrowed(text);
        }
        let mut told = String::with_capacity(text.len());
        finder.replace_all_with(text, &mut told, |_, _, told| {
            told.push_str(REDACTED);
            true
        });
        Cow::Owned(told)
    }
}

/// A value, and what is secret by itself inside of it.
fn parts(value: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![value.to_vec()];
    let Ok(text) = std::str::from_utf8(value) else { return parts };
    parts.push(text.trim().as_bytes().to_vec());
    parts.extend(shape::values(text).into_iter().map(String::into_bytes));
    if text.trim().contains('\n') {
        let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
        let word = lines.filter(|line| !line.starts_with("-----") && !line.contains(char::is_whitespace));
        parts.extend(word.map(|line| line.as_bytes().to_vec()));
    }
    parts
}

/// How a value may stand in a text.
fn forms(value: &[u8]) -> Vec<String> {
    let mut forms = vec![STANDARD.encode(value)];
    // Inside a longer text that is encoded as a whole, its place decides how it looks, and its neighbours share the first
    // and the last letter.
    for before in 0..3_usize {
        let whole = [vec![0; before], value.to_vec()].concat();
        for encoded in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
            let end = encoded.len() - usize::from(whole.len() % 3 != 0);
            forms.push(encoded[(before * 8).div_ceil(6)..end].to_owned());
        }
    }
    if let Ok(text) = std::str::from_utf8(value) {
        let json = serde_json::Value::from(text).to_string();
        forms.push(json[1..json.len() - 1].to_owned());
        forms.push(percent_encoded(text));
        forms.push(text.to_owned());
    }
    forms
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
