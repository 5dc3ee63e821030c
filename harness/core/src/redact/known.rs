//! Secret values that are known, found in the encodings in which they travel.

use super::learned::{Entry, Guess, Learned};
use super::spans::{self, Span};
use super::view::{self, View};
use super::{forms, harmless};
use aho_corasick::{AhoCorasick, MatchKind};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Shorter values are not looked for: they would be found in everything.
const SHORTEST: usize = 6;

/// From here on a value is looked for where it is broken over lines too; shorter ones would be found in words that only
/// follow each other.
const SHORTEST_BROKEN: usize = 20;

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

/// Words that stand under names of secrets outside of Secrets: switches, and passwords that are a program's name.
const COMMON_OUTSIDE: [&str; 20] = [
    "enabled",
    "optional",
    "internal",
    "external",
    "invalid",
    "missing",
    "expired",
    "unknown",
    "changeme",
    "example",
    "postgres",
    "postgresql",
    "mariadb",
    "mongodb",
    "rabbitmq",
    "cassandra",
    "clickhouse",
    "grafana",
    "prometheus",
    "elastic",
];

/// The values and a machine that finds them all at once.
#[derive(Debug, Clone, Default)]
pub struct Known {
    forms: BTreeSet<String>,
    finder: Option<AhoCorasick>,
    /// Finds what is long enough to be broken over lines.
    broken: Option<AhoCorasick>,
    /// Names of objects and the like: no secrets, whatever they stand under.
    names: BTreeSet<String>,
    short: BTreeSet<String>,
}

impl Known {
    /// These and more.
    pub fn with(&self, learned: Learned, public: &BTreeSet<String>) -> Self {
        let mut more = self.clone();
        more.names.extend(learned.names.iter().map(|name| name.to_lowercase()));
        let is_public = |text: &str| COMMON.contains(&text) || public.contains(text);
        let length = |value: &[u8]| plain(value).len();
        let is_short =
            |entry: &&Entry| (1..SHORTEST).contains(&length(&entry.value)) && !is_public(&plain(&entry.value));
        more.short.extend(learned.secrets.iter().filter(is_short).map(|entry| entry.name.clone()));
        let guessed =
            learned.guesses.into_iter().filter(|guess| more.is_telling(guess)).map(|guess| guess.value.into_bytes());
        let values = learned.secrets.into_iter().map(|entry| entry.value).chain(guessed);
        let parts = values.flat_map(|value| forms::parts(&value));
        let worth_it = parts.filter(|part| length(part) >= SHORTEST && !is_public(&plain(part)));
        let fresh: Vec<String> = worth_it.flat_map(|part| forms::forms(&part)).collect();
        more.forms.extend(fresh);
        if more.forms.len() > self.forms.len() {
            more.finder = finder(&more.forms);
            let joined =
                |form: &String| view::joined(form.as_bytes()).map_or(form.clone().into_bytes(), |view| view.bytes);
            let broken: BTreeSet<Vec<u8>> =
                more.forms.iter().map(joined).filter(|form| form.len() >= SHORTEST_BROKEN).collect();
            more.broken = finder(&broken);
        }
        more
    }

    /// Whether what stands under a secret's name outside of a Secret is worth looking for: no name of something, no path,
    /// no word of a switch.
    fn is_telling(&self, guess: &Guess) -> bool {
        let text = plain(guess.value.as_bytes());
        let is_word =
            || text.len() < 12 && text.bytes().all(|byte| byte.is_ascii_alphabetic() || b"._-".contains(&byte));
        !self.names.contains(&text)
            && !COMMON_OUTSIDE.contains(&text.as_str())
            && !harmless::is_path(&guess.value)
            && (guess.is_sure || !is_word())
    }

    /// Keys of Secrets whose values are too short to be looked for.
    pub fn too_short(&self) -> &BTreeSet<String> {
        &self.short
    }

    /// The text without them.
    pub fn without<'a>(&self, text: &'a str) -> Cow<'a, str> {
        spans::covered(text, self.found(text.as_bytes()))
    }

    /// In the text as it is, and as decoders read it. JSON often stands in JSON.
    fn found(&self, text: &[u8]) -> Vec<Span> {
        let mut spans = self.read(text);
        let in_text = |view: &View| self.read(&view.bytes).iter().map(|part| view.in_text(part)).collect::<Vec<Span>>();
        spans.extend([view::percent_decoded(text), view::without_entities(text)].iter().flatten().flat_map(in_text));
        if let Some(once) = view::unescaped(text) {
            spans.extend(in_text(&once));
            let twice = view::unescaped(&once.bytes);
            spans.extend(twice.iter().flat_map(in_text).map(|part| once.in_text(&part)));
        }
        spans
    }

    /// As it stands, and where lines are broken.
    fn read(&self, text: &[u8]) -> Vec<Span> {
        let (Some(finder), Some(broken)) = (&self.finder, &self.broken) else { return vec![] };
        let mut spans = matches(finder, text);
        if let Some(view) = view::joined(text) {
            spans.extend(matches(broken, &view.bytes).iter().map(|part| view.in_text(part)));
        }
        spans
    }
}

fn plain(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim().to_lowercase()
}

/// Longest first, so that nothing of an encoding is left over where a shorter form matches too.
fn finder<T: AsRef<[u8]>>(forms: &BTreeSet<T>) -> Option<AhoCorasick> {
    AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms).ok()
}

/// Where one of them stands; a number only where it is not a part of a longer one.
fn matches(finder: &AhoCorasick, text: &[u8]) -> Vec<Span> {
    let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    let found = finder.find_iter(text).map(|found| found.range());
    let is_whole = |span: &Span| {
        let in_a_number = span.start.checked_sub(1).is_some_and(is_digit) || is_digit(span.end);
        !in_a_number || !text[span.clone()].iter().all(u8::is_ascii_digit)
    };
    found.filter(is_whole).collect()
}
