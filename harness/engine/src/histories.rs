//! What clients recorded, as files in a scenario's folder: compressed, since they are long and alike from line to line;
//! and beside them what was asked of them.

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use gauntlet_core::history::History;
use gauntlet_core::judgement::Saved;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Redactor, Trouble};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// The file of the questions.
const QUESTIONS: &str = "questions.jsonl.gz";

/// Writes the text of a history. The file's name.
///
/// # Errors
/// It cannot be written.
pub fn write(folder: &Path, client: &str, text: &str) -> Result<String, Trouble> {
    let name = format!("{client}.jsonl.gz");
    let path = folder.join(&name);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    let written = compressed.and_then(|bytes| std::fs::write(&path, bytes));
    written.or_trouble(|| format!("cannot write {}", path.display()))?;
    Ok(name)
}

/// Reads a history.
///
/// # Errors
/// The file is not there or not a history.
pub fn read(folder: &Path, name: &str) -> Result<History, Trouble> {
    let path = folder.join(name);
    let unreadable = |error: String| Trouble::input(format!("cannot read the history {}: {error}", path.display()));
    if name.contains('/') {
        return Err(unreadable("it is not in the scenario's folder".to_owned()));
    }
    let text = decompressed(&path).map_err(|error| unreadable(error.to_string()))?;
    History::parse(&text).map_err(|error| unreadable(error.to_string()))
}

fn decompressed(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    MultiGzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
    Ok(text)
}

/// Saves a question, without what the redactor knows. Each is a member of its own of the compressed file.
///
/// # Errors
/// It cannot be written.
pub fn ask(folder: &Path, saved: &Saved, redactor: &Redactor) -> Result<(), Trouble> {
    let path = folder.join(QUESTIONS);
    let doing = || format!("cannot write {}", path.display());
    let line = redactor.lines(&serde_json::to_string(saved).or_trouble(doing)?);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(line.as_bytes()).and_then(|()| encoder.finish());
    let mut file = OpenOptions::new().create(true).append(true).open(&path).or_trouble(doing)?;
    compressed.and_then(|bytes| file.write_all(&bytes)).or_trouble(doing)
}

/// The questions of a scenario, and the histories that they are about by file.
pub type Asked = (Vec<Saved>, BTreeMap<String, History>);

/// What was asked of a scenario's histories; `None` where nothing was saved.
///
/// # Errors
/// They cannot be read.
pub fn asked(folder: &Path) -> Result<Option<Asked>, Trouble> {
    let path = folder.join(QUESTIONS);
    if !path.exists() {
        return Ok(None);
    }
    let unreadable = |error: String| Trouble::input(format!("cannot read {}: {error}", path.display()));
    let text = decompressed(&path).map_err(|error| unreadable(error.to_string()))?;
    let mut questions = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let saved: Saved =
            serde_json::from_str(line).map_err(|error| unreadable(format!("line {}: {error}", n + 1)))?;
        questions.push(saved);
    }
    let mut histories = BTreeMap::new();
    for name in questions.iter().flat_map(|saved| saved.histories.values()) {
        if !histories.contains_key(name) {
            histories.insert(name.clone(), read(folder, name)?);
        }
    }
    Ok(Some((questions, histories)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_core::judgement::disruption::{Drain, Drained};
    use gauntlet_core::judgement::{Jobs, Question};

    const LINE: &str = r#"{"kind":"observe","client":"c","at":{"mono_us":1,"wall_us":2},"seen":{"type":"job_state","job":"j","state":null,"terminal":false,"ends":0}}"#;

    fn saved(file: &str) -> Saved {
        let question = Question::Jobs(Jobs { client: "jobs".into(), promise: "p".into(), check: "c".into() });
        Saved { histories: [("jobs".to_owned(), file.to_owned())].into(), question }
    }

    #[test]
    fn what_was_written_is_read_and_is_smaller() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{LINE}\n").repeat(1000);
        let name = write(folder.path(), "jobs", &text).unwrap();
        assert!(std::fs::metadata(folder.path().join(&name)).unwrap().len() * 20 < text.len() as u64);
        let redactor = Redactor::default();
        ask(folder.path(), &saved(&name), &redactor).unwrap();
        ask(folder.path(), &saved(&name), &redactor).unwrap();
        let (questions, histories) = asked(folder.path()).unwrap().unwrap();
        assert_eq!(questions, [saved(&name), saved(&name)]);
        assert_eq!(histories[&name], History::parse(&text).unwrap());
    }

    #[test]
    fn a_question_keeps_no_secret() {
        let (folder, redactor) = (tempfile::tempdir().unwrap(), Redactor::default());
        redactor.learn([&serde_json::json!({"kind": "Secret", "stringData": {"a": "pl4nted-value"}})]);
        let question =
            Question::Jobs(Jobs { client: "jobs".into(), promise: "p".into(), check: "pl4nted-value".into() });
        ask(folder.path(), &Saved { histories: BTreeMap::new(), question }, &redactor).unwrap();
        let (questions, _) = asked(folder.path()).unwrap().unwrap();
        assert!(!format!("{questions:?}").contains("pl4nted-value"), "{questions:?}");
    }

    #[test]
    fn a_question_can_be_read_whatever_a_secret_is() {
        let (folder, redactor) = (tempfile::tempdir().unwrap(), Redactor::default());
        redactor.learn([&serde_json::json!({"kind": "Secret", "stringData": {"a": "120000000", "b": "promise"}})]);
        let drain = Drain {
            promise: "p".into(),
            node: "n".into(),
            within_us: 120_000_000,
            from_us: 0,
            to_us: 1,
            came_to: Drained::Not { why: "120000000".into() },
        };
        ask(folder.path(), &Saved { histories: BTreeMap::new(), question: Question::Drain(drain) }, &redactor).unwrap();
        let (questions, _) = asked(folder.path()).unwrap().unwrap();
        let Question::Drain(drain) = &questions[0].question else { panic!("{questions:?}") };
        assert_eq!(drain.within_us, 120_000_000);
        assert_eq!(drain.came_to, Drained::Not { why: "REDACTED".into() });
    }

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(asked(folder.path()).unwrap().is_none());
        let redactor = Redactor::default();
        ask(folder.path(), &saved("gone.jsonl.gz"), &redactor).unwrap();
        let says = |folder: &Path| asked(folder).unwrap_err().message;
        assert!(says(folder.path()).contains("gone.jsonl.gz"), "{}", says(folder.path()));
        std::fs::write(folder.path().join("gone.jsonl.gz"), "no gzip").unwrap();
        assert!(says(folder.path()).contains("cannot read the history"), "{}", says(folder.path()));
        write(folder.path(), "questions", "{}\n").unwrap();
        assert!(says(folder.path()).contains("line 1"), "{}", says(folder.path()));
        let outside = tempfile::tempdir().unwrap();
        ask(outside.path(), &saved("../../etc/passwd"), &redactor).unwrap();
        assert!(says(outside.path()).contains("not in the scenario's folder"), "{}", says(outside.path()));
    }
}
