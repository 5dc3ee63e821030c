//! Secrets that are known, in the encodings of many programs and broken over lines.

use super::{REDACTED, Redactor};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

const ODD: &str = "xq7&<Zr>odd=/+ %w9ä";
const LONG: &str = "LONGSECRETaaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhh";
const LINES: &str = "first line of words zebra1\nsecond with spaces zebra2\ntok-zebra3\n";

fn knowing(secret: &str) -> Redactor {
    let redactor = Redactor::default();
    redactor.learn([&json!({"kind": "Secret", "stringData": {"A": secret}})]);
    redactor
}

fn wrapped(text: &str, at: usize, between: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(at).map(|line| line.iter().collect::<String>()).collect::<Vec<_>>().join(between)
}

#[test]
fn a_secret_goes_in_every_encoding() {
    let redactor = knowing(ODD);
    let hex: String = ODD.bytes().map(|byte| format!("{byte:02x}")).collect();
    for text in [
        r#"xq7\u0026\u003cZr\u003eodd=/+ %w9ä"#.to_owned(),
        r#"xq7\u0026\u003CZr\u003Eodd=\/+ %w9\u00e4"#.to_owned(),
        r#"xq7\\u0026\\u003cZr\\u003eodd=/+ %w9\\u00e4"#.to_owned(),
        "xq7&amp;&lt;Zr&gt;odd=/+ %w9&#228;".to_owned(),
        "xq7&#38;&#x3c;Zr&#62;odd=/+ %w9ä".to_owned(),
        "xq7%26%3cZr%3eodd%3d%2f%2b%20%25w9%c3%a4".to_owned(),
        "xq7%26%3CZr%3Eodd%3D%2F%2B+%25w9%C3%A4".to_owned(),
        "xq7&%3CZr%3Eodd=%2F+%20%25w9%C3%A4".to_owned(),
        STANDARD.encode(STANDARD.encode(ODD)),
        hex.to_uppercase(),
        hex,
    ] {
        assert_eq!(redactor.text(&format!("<{text}>")), "<REDACTED>", "{text}");
    }
    assert_eq!(redactor.text(r"a\u0026b 100%25 &amp;"), r"a\u0026b 100%25 &amp;", "what is decoded is told as it was");
}

#[test]
fn a_secret_goes_however_its_lines_are_broken() {
    let redactor = knowing(LONG);
    let encoded = STANDARD.encode(format!("pre{LONG}"));
    let time = "\n2026-01-02T03:04:05.678901234Z ";
    for text in [
        wrapped(&encoded, 64, "\n"),
        wrapped(&encoded, 76, "\r\n"),
        wrapped(&encoded, 76, time),
        wrapped(&encoded, 76, "\\n"),
        wrapped(LONG, 50, "\n"),
        wrapped(LONG, 50, "\n    "),
        wrapped(LONG, 50, time),
    ] {
        let told = redactor.text(&format!("a\n{text}\nb"));
        let left: usize = told.replace(REDACTED, "").len();
        assert!(told.starts_with("a\n") && told.ends_with("\nb") && left < 10, "{text} became {told}");
    }
}

#[test]
fn lines_of_a_secret_go_one_by_one_and_lines_of_structure_stay() {
    let redactor = knowing(LINES);
    for text in [
        "2026-01-02T03:04:05Z first line of words zebra1\n2026-01-02T03:04:06Z second with spaces zebra2",
        "first line of words zebra1 second with spaces zebra2 tok-zebra3",
    ] {
        let told = redactor.text(text);
        assert!(!told.contains("zebra") && !told.contains("words"), "{told}");
    }
    let redactor =
        knowing("# how it listens\nauthorization {\nport: 4222\ntls-replication yes\n[section]\nconf-line-of-9\n");
    let text = "port: 4222 authorization { tls-replication yes [section]";
    assert_eq!(redactor.text(text), text);
    assert_eq!(redactor.text("conf-line-of-9"), REDACTED);
}

#[test]
fn a_number_goes_where_it_stands_alone() {
    let redactor = knowing("123456");
    assert_eq!(redactor.text("pin 123456, at 04.123456789 s"), "pin REDACTED, at 04.123456789 s");
}

#[test]
fn keys_whose_values_are_too_short_are_named() {
    let redactor = Redactor::sparing(["shop".to_owned()]);
    let data = json!({"SHORT": "k9Q2z", "LONG": "long enough", "EMPTY": "", "NAMESPACE": "shop"});
    redactor.learn([&json!({"kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "stringData": data})]);
    assert_eq!(redactor.too_short().into_iter().collect::<Vec<_>>(), ["SHORT of shop/s"]);
}
