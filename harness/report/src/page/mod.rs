//! The page of a run: one file that opens from disk, made from its events alone.
//!
//! - [`timeline`]: what the charts draw, as data
//! - [`matrix`]: who may reach whom and who did, as a grid
//! - [`view`], [`failures`], [`promises`], [`document`], [`scenario`]: what the template shows, in words
//! - [`assets`]: styles and scripts that the file brings along

mod assets;
mod document;
mod failures;
mod matrix;
mod promises;
mod scenario;
mod timeline;
mod view;
mod words;

use askama::Template as _;
use gauntlet_core::event::{Consumer, Record};
use std::path::PathBuf;

/// Writes `index.html` when the run has finished.
pub struct Writer {
    path: PathBuf,
    records: Vec<Record>,
}

impl Writer {
    pub fn new(path: PathBuf) -> Self {
        Self { path, records: Vec::new() }
    }
}

impl Consumer for Writer {
    fn consume(&mut self, record: &Record) {
        self.records.push(record.clone());
    }

    fn finish(&mut self) -> Result<(), String> {
        let text = render(&self.records)?;
        std::fs::write(&self.path, text).map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

/// The file's text.
///
/// # Errors
/// The template could not be filled.
pub fn render(records: &[Record]) -> Result<String, String> {
    let page = view::Page::of(&crate::story::Run::of(records));
    page.render().map_err(|error| format!("cannot write the page: {error}"))
}

/// As JSON that can stand in a script element: nothing in it can end the element.
fn embedded(data: &impl serde::Serialize) -> String {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests;
