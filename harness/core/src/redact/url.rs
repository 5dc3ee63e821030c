//! Secrets in URLs: what stands before the host.

use super::harmless;
use super::spans::{Span, shifted};
use regex::Regex;
use std::sync::LazyLock;

static URL: LazyLock<Regex> = LazyLock::new(|| compiled(r#"\b([a-zA-Z][a-zA-Z0-9+.-]*)://([^\s"'<>]+)"#));
/// Where in a list of URLs the next begins.
static NEXT: LazyLock<Regex> = LazyLock::new(|| compiled(r"[,;|][a-zA-Z][a-zA-Z0-9+.-]*://"));
/// `user:password@tcp(host)`, as drivers of Go write it.
static DRIVER: LazyLock<Regex> = LazyLock::new(|| compiled(r#"\b[\w.-]+:([^\s"'<>]+)@(?:tcp|unix)\("#));

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant of this module")
}

/// The secrets of all URLs of a line.
pub fn found(line: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(url) = URL.captures_at(line, from) {
        let (scheme, rest) =
            (url.get(1).map_or("", |part| part.as_str()), url.get(2).map_or(0..0, |part| part.range()));
        let end = NEXT.find(&line[rest.clone()]).map_or(rest.end, |next| rest.start + next.start());
        spans.extend(secret(scheme, &line[rest.start..end]).map(|span| shifted(&span, rest.start)));
        from = end.max(rest.start + 1);
    }
    let drivers = DRIVER.captures_iter(line).filter_map(|found| found.get(1)).map(|found| found.range());
    spans.extend(drivers);
    spans.retain(|span| !harmless::is_reference(&line[span.clone()]));
    spans
}

/// Of what follows `scheme://`: what stands between the first colon and the last `@`, or all before the `@`.
fn secret(scheme: &str, rest: &str) -> Option<Span> {
    let is_web = ["http", "https", "ws", "wss"].contains(&scheme.to_lowercase().as_str());
    let of_host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // Outside the web a path holds no `@`, so that one that follows a slash belongs to a password with a slash.
    let path = rest.find('?').unwrap_or(rest.len());
    let end = if is_web { rest[..of_host].rfind('@') } else { rest[..path].rfind('@') };
    let end = end.or_else(|| rest.rfind('@').filter(|_| is_broken(&rest[..of_host])))?;
    let colon = rest[..end].find(':').filter(|colon| !rest[..*colon].contains('@'));
    let span = match colon {
        Some(colon) => colon + 1..end,
        None => 0..rest[..of_host].rfind('@')?,
    };
    (!span.is_empty()).then_some(span)
}

/// Whether what looks like a host and its port is none: its port is no number, or there is no host.
fn is_broken(authority: &str) -> bool {
    let Some((host, port)) = authority.split_once(':') else { return false };
    let is_port = (1..6).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_ipv6 = host.starts_with('[');
    host.is_empty() || !(is_port || is_ipv6)
}
