//! Parts of a text, and the text with these parts covered.

use super::REDACTED;
use std::borrow::Cow;
use std::ops::Range;

/// A part of a text, in bytes.
pub type Span = Range<usize>;

/// The text with something else in place of these parts. Parts that overlap or touch are one.
pub fn covered(text: &str, mut spans: Vec<Span>) -> Cow<'_, str> {
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    spans.sort_by_key(|span| span.start);
    let mut told = String::with_capacity(text.len());
    let mut end = None;
    for span in spans {
        let start = (0..=span.start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let until = (span.end..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        if end.is_none_or(|end| start > end) {
            told.push_str(&text[end.unwrap_or(0)..start]);
            told.push_str(REDACTED);
        }
        end = end.max(Some(until));
    }
    told.push_str(&text[end.unwrap_or(0)..]);
    Cow::Owned(told)
}

/// The same part, seen from a text in which the one that it was found in begins at `by`.
pub fn shifted(span: &Span, by: usize) -> Span {
    span.start + by..span.end + by
}
