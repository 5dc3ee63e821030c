//! What of a value is looked for: the value, what is secret inside of it, and the encodings that no decoder of texts
//! undoes.

use super::shape;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::Regex;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// Of a value of several lines, lines of this length are looked for by themselves.
const SHORTEST_LINE: usize = 8;

/// Longer values are looked for as they are and in base64 only: of a file nobody prints more.
const LONGEST_ENCODED: usize = 4096;

/// Lines of a configuration that tell nothing: brackets, headings, comments, and switches and numbers with their names.
static STRUCTURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^(?:-----.*|#.*|.*[{\[:]|\[.*\]|[\w.-]+(?:\s*[:=]\s*|\s+)(?:\d+\w{0,3}|true|false|yes|no|on|off)[,;]?)$",
    )
    .expect("the pattern is a constant of this module")
});

/// A value, and what is secret by itself inside of it.
pub fn parts(value: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![value.to_vec()];
    let Ok(text) = std::str::from_utf8(value) else { return parts };
    parts.push(text.trim().as_bytes().to_vec());
    for value in shape::values(text) {
        parts.extend(login(&value));
        parts.push(value.into_bytes());
    }
    if text.trim().contains('\n') {
        let lines = text.lines().map(str::trim).filter(|line| line.chars().count() >= SHORTEST_LINE);
        parts.extend(lines.filter(|line| !STRUCTURE.is_match(line)).map(|line| line.as_bytes().to_vec()));
    }
    parts
}

/// The user with the password that an image registry's `auth` holds, and the password.
fn login(value: &str) -> Vec<Vec<u8>> {
    let decoded = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(decoded) = decoded else { return vec![] };
    let password = decoded.split_once(':').map(|(_, password)| password.as_bytes().to_vec());
    password.into_iter().chain([decoded.into_bytes()]).collect()
}

/// How a value may stand in a text that is decoded.
pub fn forms(value: &[u8]) -> Vec<String> {
    let mut forms = aligned(value);
    let padded = STANDARD.encode(value);
    if let Ok(text) = std::str::from_utf8(value) {
        if text.contains(' ') {
            forms.push(text.replace(' ', "+"));
        }
        forms.push(text.to_owned());
    }
    if value.len() <= LONGEST_ENCODED {
        forms.extend(aligned(padded.as_bytes()));
        forms.push(STANDARD.encode(&padded));
        let hex = value.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        forms.push(hex.to_uppercase());
        forms.push(hex);
    }
    forms.push(padded);
    forms
}

/// In base64, inside a longer text that is encoded as a whole: its place decides how it looks, and its neighbours share the
/// first and the last letter.
fn aligned(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for before in 0..3_usize {
        let whole = [vec![0; before], value.to_vec()].concat();
        for encoded in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
            let end = encoded.len() - usize::from(whole.len() % 3 != 0);
            forms.push(encoded[(before * 8).div_ceil(6)..end].to_owned());
        }
    }
    forms
}
