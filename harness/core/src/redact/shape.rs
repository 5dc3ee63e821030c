//! What is a secret by its looks: private keys, tokens, credentials in URLs, and what follows a name such as `password`.

use super::spans::{self, Span, shifted};
use super::{blocks, harmless, patterns, url};
use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// The text without what looks like a secret.
pub fn without(text: &str) -> Cow<'_, str> {
    spans::covered(text, found(text))
}

/// The secrets that a text holds by their looks, to be known elsewhere too.
pub fn values(text: &str) -> Vec<String> {
    found(text).into_iter().map(|span| text[span].to_owned()).collect()
}

fn found(text: &str) -> Vec<Span> {
    let mut spans = blocks::found(text);
    for part in announcing(text) {
        let within = in_lines(&text[part.lines.clone()], part.words);
        spans.extend(within.iter().map(|span| shifted(span, part.lines.start)));
    }
    spans
}

fn in_lines(lines: &str, words: u32) -> Vec<Span> {
    let mut spans = if words & *patterns::URLS == 0 { vec![] } else { url::found(lines) };
    let after = patterns::AFTER.iter().filter(|(needed, _)| words & needed != 0);
    for found in after.flat_map(|(_, pattern)| pattern.captures_iter(lines)) {
        spans.extend(found.get(2).and_then(|value| secret(lines, &value.range())));
    }
    for (_, place, value) in patterns::WITHIN.iter().filter(|(needed, ..)| words & needed != 0) {
        for place in place.find_iter(lines) {
            let values = value.captures_iter(place.as_str()).filter_map(|found| found.get(1));
            let values = values.filter(|value| !harmless::is_reference(value.as_str()));
            spans.extend(values.map(|value| shifted(&value.range(), place.start())));
        }
    }
    spans
}

/// Lines with words that may announce a secret.
struct Part {
    lines: Span,
    words: u32,
}

/// The lines that may hold secrets, each with those in which a quote of it goes on.
fn announcing(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (word, bit) in patterns::words(text) {
        match parts.last_mut() {
            Some(part) if word.start < part.lines.end => part.words |= bit,
            _ => parts.push(Part { lines: lines(text, word.start), words: bit }),
        }
    }
    parts
}

/// The line around a place, and those after it up to the one that ends a quote.
fn lines(text: &str, at: usize) -> Span {
    const LINES: usize = 8;
    let start = text[..at].rfind('\n').map_or(0, |line| line + 1);
    let ends = text[at..].match_indices('\n').map(|(line, _)| at + line).chain([text.len()]);
    let is_whole = |end: &usize| text[start..*end].bytes().filter(|byte| *byte == b'"').count() % 2 == 0;
    let mut ends = ends.take(LINES);
    let first = ends.next().unwrap_or(text.len());
    let end = if is_whole(&first) { first } else { ends.find(is_whole).unwrap_or(first) };
    start..end
}

/// What of a value is secret: not its quotes, nor what follows it in a list. `None` where nothing is.
fn secret(text: &str, value: &Span) -> Option<Span> {
    let whole = &text[value.clone()];
    let quote = ["\\\"", "\"", "'"].into_iter().find(|quote| whole.starts_with(quote));
    let inner = match quote {
        Some(quote) => quote.len()..whole.strip_suffix(quote).map_or(whole.len(), str::len).max(quote.len()),
        None => 0..end(whole),
    };
    (!harmless::is_harmless(&whole[inner.clone()])).then(|| shifted(&inner, value.start))
}

static PAIR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[,;&|]+\s*(?:$|\\?[\w.-]+[=:])").expect("the pattern is a constant of this module"));

/// Where a value without quotes ends: before another name with its value, and before a bracket that was opened earlier.
fn end(value: &str) -> usize {
    let separators = value.match_indices([',', ';', '&', '|']).map(|(at, _)| at);
    let is_end = |at: &usize| PAIR.is_match(&value[*at..]) || harmless::is_reference(&value[..*at]);
    let mut end = separators.filter(|at| *at > 0).find(is_end).unwrap_or(value.len());
    for (open, close) in [('(', ')'), ('[', ']'), ('{', '}')].into_iter().cycle().take(9) {
        let kept = &value[..end];
        if kept.ends_with(close) && kept.matches(close).count() > kept.matches(open).count() {
            end -= 1;
        }
    }
    end
}
