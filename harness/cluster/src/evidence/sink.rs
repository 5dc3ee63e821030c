//! The files of evidence: redacted before they are written, bounded in size, and a list of what is missing.

use gauntlet_core::Redactor;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How much evidence there may be, and how long collecting it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one file.
    pub file: usize,
    /// Bytes of all of them.
    pub all: usize,
    pub within: Duration,
}

impl Bounds {
    /// All files together may have that many bytes.
    pub fn of_bytes(all: usize) -> Self {
        Self { file: (all / 16).max(64 * 1024).min(all), all, within: Duration::from_secs(90) }
    }
}

/// Which part of a text is worth more where not all of it can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Beginning,
    End,
}

/// Where evidence goes. What is asked for at once may be written at once.
pub struct Sink<'a> {
    folder: PathBuf,
    redactor: &'a Redactor,
    file: usize,
    all: usize,
    left: Mutex<usize>,
    missing: Mutex<Vec<String>>,
}

impl<'a> Sink<'a> {
    /// # Errors
    /// The folder cannot be made.
    pub fn new(folder: &Path, redactor: &'a Redactor, bounds: Bounds) -> Result<Self, String> {
        let made = ["objects", "logs", "stores", "network"].map(|part| std::fs::create_dir_all(folder.join(part)));
        made.into_iter()
            .collect::<Result<(), _>>()
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let (left, missing) = (Mutex::new(bounds.all), Mutex::new(vec![]));
        Ok(Self { folder: folder.to_owned(), redactor, file: bounds.file, all: bounds.all, left, missing })
    }

    /// Something could not be had.
    pub fn missing(&self, what: String) {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Writes a text, or as much of it as there is room for.
    pub fn text(&self, name: &str, text: &str, keep: Keep) {
        // Before it is cut: half a secret is not recognised.
        let text = self.redactor.text(text);
        let kept = cut(&text, self.room(), keep);
        self.took(name, kept.len(), text.len());
        self.write(name, kept);
    }

    /// Writes objects as a JSON list, as many as there is room for.
    pub fn objects(&self, name: &str, objects: &[Value]) {
        let room = self.room();
        let mut text = String::from("[");
        let mut left_out = 0;
        for object in objects {
            let object = self.redactor.object(object.clone());
            let object = serde_json::to_string_pretty(&object).unwrap_or_else(|_| "null".to_owned());
            if left_out > 0 || text.len() + object.len() + 4 > room {
                left_out += 1;
                continue;
            }
            text.push_str(if text.len() > 1 { ",\n" } else { "\n" });
            text.push_str(&object);
        }
        text.push_str("\n]\n");
        if left_out > 0 {
            self.missing(format!("{left_out} of {} in {name}: there is no room for them", objects.len()));
        }
        self.took(name, text.len(), text.len());
        self.write(name, &text);
    }

    fn room(&self) -> usize {
        self.file.min(*self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn took(&self, name: &str, kept: usize, whole: usize) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(kept);
        if kept < whole {
            self.missing(format!("{} of {whole} bytes of {name}: there is no room for them", whole - kept));
        }
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.folder.join(name);
        if !text.is_empty()
            && let Err(error) = std::fs::write(&file, text)
        {
            self.missing(format!("cannot write {}: {error}", file.display()));
        }
    }

    /// What was collected and what is missing, which a file says too. Parts of which there is nothing leave no folder.
    pub fn finish(self) -> Collected {
        let bytes = self.all - self.left.into_inner().unwrap_or_else(PoisonError::into_inner).min(self.all);
        let missing = self.missing.into_inner().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<String> = missing.iter().map(|what| self.redactor.text(what)).collect();
        for part in ["objects", "logs", "stores", "network"] {
            // Fails where something is in it.
            let _ = std::fs::remove_dir(self.folder.join(part));
        }
        if !missing.is_empty() {
            let _ = std::fs::write(self.folder.join("missing.txt"), missing.join("\n") + "\n");
        }
        Collected { missing, bytes }
    }
}

/// What a collection came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Collected {
    /// What could not be had.
    pub missing: Vec<String>,
    /// How much was written.
    pub bytes: usize,
}

/// Whole lines of a text that fit.
pub(super) fn cut(text: &str, room: usize, keep: Keep) -> &str {
    if text.len() <= room {
        return text;
    }
    match keep {
        Keep::Beginning => {
            let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text[..end].rfind('\n').map_or("", |line| &text[..=line])
        }
        Keep::End => {
            let from = text.len() - room;
            let start = (from..=text.len()).find(|start| text.is_char_boundary(*start)).unwrap_or(text.len());
            text[start..].find('\n').map_or("", |line| &text[start + line + 1..])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bounds(file: usize, all: usize) -> Bounds {
        Bounds { file, all, within: Duration::from_secs(1) }
    }

    #[test]
    fn a_text_is_cut_at_the_end_that_matters_less() {
        let text = "eins\nzwei\ndreißig\n";
        for (room, keep, kept) in [
            (100, Keep::Beginning, text),
            (11, Keep::Beginning, "eins\nzwei\n"),
            (3, Keep::Beginning, ""),
            (12, Keep::End, "dreißig\n"),
            (4, Keep::End, ""),
        ] {
            assert_eq!(cut(text, room, keep), kept, "{room} {keep:?}");
        }
    }

    #[test]
    fn all_files_together_stay_within_their_bound_and_what_is_left_out_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let redactor = Redactor::default();
        let sink = Sink::new(folder.path(), &redactor, bounds(4_000, 10_000)).unwrap();
        for n in 0..5 {
            sink.text(&format!("logs/{n}.log"), &"a line\n".repeat(1_000), Keep::End);
        }
        let objects: Vec<Value> = (0..1_000).map(|n| json!({"metadata": {"name": n.to_string()}})).collect();
        sink.objects("objects/a.json", &objects);
        let Collected { missing, bytes } = sink.finish();
        let size = |part: &str| -> u64 {
            let files = std::fs::read_dir(folder.path().join(part)).into_iter().flatten().flatten();
            files.map(|file| file.metadata().unwrap().len()).sum()
        };
        assert!(size("logs") + size("objects") < 10_100, "{} {}", size("logs"), size("objects"));
        assert_eq!(bytes as u64, size("logs") + size("objects"));
        assert!(missing.iter().any(|what| what.contains("bytes of logs/4.log")), "{missing:?}");
        assert!(missing.iter().any(|what| what.contains("in objects/a.json")), "{missing:?}");
        assert!(!folder.path().join("stores").exists(), "nothing is in it");
        assert_eq!(std::fs::read_to_string(folder.path().join("missing.txt")).unwrap().lines().count(), missing.len());
    }

    #[test]
    fn objects_that_fit_are_a_list_again() {
        let folder = tempfile::tempdir().unwrap();
        let redactor = Redactor::default();
        let sink = Sink::new(folder.path(), &redactor, bounds(200, 1_000)).unwrap();
        let objects: Vec<Value> = (0..50).map(|n| json!({"metadata": {"name": format!("object-{n}")}})).collect();
        sink.objects("objects/a.json", &objects);
        let text = std::fs::read_to_string(folder.path().join("objects/a.json")).unwrap();
        let read: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert!(!read.is_empty() && read.len() < 50 && read[0] == objects[0], "{text}");
    }
}
