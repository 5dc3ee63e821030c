//! What stands around secrets in a text, and the words without which a pattern need not be tried: most lines of a log have
//! none of them.

use super::names::{ENDS, FLAGS, NAMES};
use super::spans::Span;
use aho_corasick::AhoCorasick;
use regex::Regex;
use std::sync::LazyLock;

/// A value in whatever quotes, or without: what is left of one whose second quote is cut off too.
const VALUE: &str = r#"\\"(?:[^"\\]|\\\\(?:\\"|\\\\|[^"\\]))*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|\\?["'][^\s"'\\][^"'\\\n]*|\$\([^)\n]*\)|\$\{[^}\n]*\}|[^\s,;&|"'{}\[\]()<>\\](?:[^\s"'<>\\]|\\[^\s"'nrtu])*"#;

const WORDS: [&str; 23] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "cred",
    "salt",
    "auth",
    "_pw",
    ".pw",
    "-pw",
    "bearer",
    "cookie",
    "://",
    "@tcp(",
    "@unix(",
    "curl",
    "mysql",
    "mariadb",
    "redis-cli",
    "setuser",
    "user ",
    "--user",
];

/// Names of secrets have one of these.
const OF_NAMES: &[&str] = &["pass", "pwd", "secret", "token", "key", "cred", "salt", "auth", "_pw", ".pw", "-pw"];
const OF_URLS: &[&str] = &["://", "@tcp(", "@unix("];

static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder().ascii_case_insensitive(true).build(WORDS).expect("the words are constants of this module")
});

/// Where words stand in a text, each as the bit that it has in a mask. Places only grow.
pub fn words(text: &str) -> impl Iterator<Item = (Span, u32)> {
    FINDER.find_overlapping_iter(text).map(|found| (found.range(), 1 << found.pattern().as_u32()))
}

/// The bits of these words.
fn mask(words: &[&str]) -> u32 {
    WORDS.iter().enumerate().filter(|(_, word)| words.contains(word)).map(|(bit, _)| 1 << bit).sum()
}

pub static URLS: LazyLock<u32> = LazyLock::new(|| mask(OF_URLS));

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant of this module")
}

/// Names are ASCII; with all of Unicode the machines are huge, and slow in texts with other letters.
fn in_ascii(pattern: &str) -> String {
    pattern.replace(r"[\w", "[0-9A-Za-z_").replace(r"\b", r"(?-u:\b)")
}

/// Patterns whose second group is the secret, each with the words of which a line has one where it can match.
pub static AFTER: LazyLock<Vec<(u32, Regex)>> = LazyLock::new(|| {
    let patterns: [(&[&str], String); 17] = [
        (&["bearer"], r"(?i)(\bbearer\s+)([\w.~+/-]{12,}=*)".to_owned()),
        (
            &["auth"],
            r#"(?i)(\bauthorization\\?["']?\s*[:=]\s*\\?["']?(?:basic|bearer|digest|token)\s+)([^\s"'\\,]+)"#
                .to_owned(),
        ),
        (OF_NAMES, format!(r#"(?i)(\\?["']?\b[\w./-]*(?:{NAMES}){ENDS}\\?["']?(?:[ \t]*=>?|:)[ \t]*)({VALUE})"#)),
        // Without quotes a bracket may begin a value too, where nothing structured can stand.
        (OF_NAMES, format!(r#"(?i)(\b[\w./-]*(?:{NAMES}){ENDS}=)([{{(\[<][^\s"'\\:=]{{3,}})"#)),
        (&["pass"], format!(r"(?i)(\bpass=)({VALUE})")),
        // A line of YAML: all of it is the value.
        (
            OF_NAMES,
            format!(
                r#"(?i)(^(?:[0-9]{{4}}-[0-9T:.+Z-]+ )?[ \t]*(?:- )?[\w./-]*(?:{NAMES}){ENDS}:[ \t]+)([^\s"'|>{{\[$#,=:][^\n,=:"'{{}}#]*[^\s,=:"'{{}}#])[ \t\r]*$"#
            ),
        ),
        (OF_NAMES, format!(r#"(?i)((?:^|[\s"'])--?[\w-]*(?:{FLAGS})[ \t]+)("[^"]*"|'[^']*'|[^\s"'|;&-][^\s"'|;&]*)"#)),
        (&["pass", "auth"], r#"(?i)(\b(?:requirepass|masterauth)[ \t]+)("[^"]*"|'[^']*'|[^\s"'|;&]+)"#.to_owned()),
        (&["redis-cli"], r#"(\bredis-cli\b[^\n|;&]*?\s-a[ \t]+)("[^"]*"|'[^']*'|[^\s"'|;&]+)"#.to_owned()),
        (&["curl"], r#"(\bcurl\b[^\n|;&]*?\s(?:-u[ \t]*|--user[ =]))("[^"]*"|'[^']*'|[^\s"'|;&]+)"#.to_owned()),
        (&["--user"], r#"(--user[ =][\w.-]+:)([^\s"':]*(?:[0-9][^\s"':0-9]|[^\s"':0-9][0-9])[^\s"':]*)"#.to_owned()),
        (
            &["mysql", "mariadb"],
            r#"(\b(?:mysql|mariadb)[\w-]*[ \t](?:[^\n|;&]*?[ \t])?-p)("[^"]*"|'[^']*'|[^\s"'|;&]+)"#.to_owned(),
        ),
        // As Redis is told, and as it repeats what it was told.
        (
            &["auth"],
            r#"(\bAUTH[ \t]+(?:[A-Za-z_.-]+[ \t]+)?)([^\s"'<>,]*[0-9][^\s"'<>]*(?:[ \t]+[^\s"'<>]*[0-9][^\s"'<>]*)?)"#
                .to_owned(),
        ),
        (&["auth"], r#"((?:^|> )AUTH[ \t]+)([^\s"'<>]+)[ \t\r]*$"#.to_owned()),
        (&["auth"], r#"(?i)(\\?"auth\\?"[ \t,]+(?:\\?"[^"\\]*\\?"[ \t,]+)?)(\\?"[^"\\]+\\?")"#.to_owned()),
        // A login at a registry of images, as Docker keeps it.
        (
            &["auth"],
            r#"(\\?"auth\\?"[ \t]*:[ \t]*)(\\?"(?:[A-Za-z0-9+/]{4}){2,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\\?")"#
                .to_owned(),
        ),
        (OF_NAMES, format!(r"(?i)(<[\w:.-]*(?:{NAMES}){ENDS}(?:\s[^<>]*)?>)([^<>]+)</")),
    ];
    patterns.iter().map(|(words, pattern)| (mask(words), compiled(&format!("(?m){}", in_ascii(pattern))))).collect()
});

/// What secrets stand in, and each of them in it.
pub static WITHIN: LazyLock<[(u32, Regex, Regex); 2]> = LazyLock::new(|| {
    [
        (
            mask(&["cookie"]),
            compiled(r#"(?i)\b(?:set-)?cookie\\?["']?[ \t]*[:=][ \t\[]*\\?["']?[^\s"'\\=]+=[^\r\n"'\\]+"#),
            compiled(r#"[:;\["' \t][ \t]*[\w.-]+=([^;\s"'\\]+)"#),
        ),
        (
            mask(&["setuser", "user "]),
            compiled(r#"(?i)(?:\buser[ \t]+\S+[ \t]+(?:on|off|reset)\b|\bsetuser\b)[^\n]*"#),
            compiled(r#"[\s"'](?:>|#)([^\s"'\\>]+)"#),
        ),
    ]
});
