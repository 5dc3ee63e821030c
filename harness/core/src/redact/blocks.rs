//! Secrets that are known by how they look, wherever they stand: private keys, and tokens of services.

use super::spans::Span;
use regex::Regex;
use std::sync::LazyLock;

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant of this module")
}

/// Private keys, seeds and credentials between two lines that say so; to the end of the text where the second is cut off.
static BLOCK: LazyLock<Regex> = LazyLock::new(|| {
    const WHAT: &str = "(?:[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?|[A-Z ]*NKEY SEED|NATS [A-Z]+ JWT)";
    compiled(&format!(r"-----BEGIN {WHAT}-+[\s\S]*?(?:-+END {WHAT}-+|\z)"))
});

/// The rest of one whose first line is cut off.
static TAIL: LazyLock<Regex> = LazyLock::new(|| {
    compiled(concat!(
        r"(?m)(?:^(?:[0-9]{4}-[0-9T:.+Z-]+ )?[ \t]*(?:[A-Za-z0-9+/]{4,}={0,3}|[A-Za-z0-9+/]{1,3}=)\r?\n)*",
        r#"[^\n\s"']*[ \t]*-----END (?:[A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?|[A-Z ]*NKEY SEED)-+"#
    ))
});

/// Tokens that are known by how they begin: signed claims, seeds of NATS, and those of a few services.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    // Letters of ASCII only: tokens have no others, and all of Unicode would make the machine huge.
    let beginnings = [
        r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
        r"\bS[AOUCNX][A-Z2-7]{56}\b",
        r"\bA[KS]IA[0-9A-Z]{16}\b",
        r"\bgh[pousr]_\w{20,}",
        r"\bgithub_pat_\w{20,}",
        r"\bglpat-[\w-]{16,}",
        r"\bnpm_[A-Za-z0-9]{30,}",
        r"\bAIza[\w-]{30,}",
        r"\bxox[abeprs]-[\w-]{10,}",
        r"\bsk-[\w-]{20,}",
        r"\b[sr]k_(?:live|test)_\w{10,}",
        r"\bwhsec_\w{20,}",
        r"\bhvs\.[\w-]{20,}",
        r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
    ];
    compiled(&format!("(?-u){}", beginnings.join("|")))
});

/// All of them in a text.
pub fn found(text: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = TOKEN.find_iter(text).map(|found| found.range()).collect();
    if text.contains("-----") {
        let blocks: Vec<Span> = BLOCK.find_iter(text).map(|found| found.range()).collect();
        let is_in_one = |tail: &Span| blocks.iter().any(|block| block.start <= tail.start && tail.end <= block.end);
        let tails = TAIL.find_iter(text).map(|found| found.range()).filter(|tail| !is_in_one(tail));
        spans.extend(tails);
        spans.extend(blocks);
    }
    spans
}
