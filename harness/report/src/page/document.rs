//! What the document says: one block for each promise, to which every citation on the page leads. It is on the page
//! itself, since a document is not always at hand and the page is read without a network.

use crate::summary::Summary;
use gauntlet_core::Check;
use gauntlet_core::event::Promised;

/// Where the contract of a run lies, relative to its folder.
const CONTRACT: &str = "system/system.yaml";

/// A promise as its document has it.
pub struct Passage {
    pub id: String,
    pub anchor: String,
    /// Empty where a run did not tell what it goes by.
    pub says: String,
    pub quote: Option<String>,
    /// Where it is written, in words.
    pub reference: String,
    /// And as an address.
    pub address: Option<String>,
    pub guessed: bool,
}

/// Names a promise where something is said of it.
pub struct Citation {
    text: String,
    pub anchor: String,
}

impl Citation {
    pub fn of(promise: &str, reference: &str) -> Self {
        let text = if reference.is_empty() { promise } else { reference };
        Self { text: text.to_owned(), anchor: anchor(promise) }
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Every promise of the contract, and those that only a check names, so that each citation leads somewhere.
pub fn passages(summary: &Summary) -> Vec<Passage> {
    let header = summary.header.as_ref();
    let document = header.and_then(|header| header.document.as_deref()).filter(|url| is_address(url));
    let promised = header.iter().flat_map(|header| &header.promises).map(|promised| passage(promised, document));
    let mut passages: Vec<Passage> = promised.collect();
    for check in summary.outcomes.iter().flat_map(|outcome| &outcome.observations.checks) {
        if !passages.iter().any(|passage| passage.id == check.promise) {
            passages.push(unknown(check, document));
        }
    }
    passages
}

/// The contract of this run, where the run kept it.
pub fn contract(files: &[super::scenario::FileView]) -> Option<&'static str> {
    files.iter().any(|file| file.path == CONTRACT).then_some(CONTRACT)
}

fn passage(promised: &Promised, document: Option<&str>) -> Passage {
    Passage {
        id: promised.id.clone(),
        anchor: anchor(&promised.id),
        says: promised.says.clone(),
        quote: promised.quote.clone(),
        reference: promised.reference.clone(),
        address: document.map(|url| address(url, promised.at.as_deref())),
        guessed: promised.guessed,
    }
}

fn unknown(check: &Check, document: Option<&str>) -> Passage {
    Passage {
        id: check.promise.clone(),
        anchor: anchor(&check.promise),
        says: String::new(),
        quote: None,
        reference: check.reference.clone(),
        address: document.map(str::to_owned),
        guessed: false,
    }
}

/// Whether it is a place on the web, and nothing that a link could do.
fn is_address(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// The document's address, at that place of it.
fn address(url: &str, at: Option<&str>) -> String {
    let Some(at) = at else { return url.to_owned() };
    let whole = url.split_once('#').map_or(url, |(whole, _)| whole);
    format!("{whole}#{}", at.trim_start_matches('#'))
}

/// The element of a promise on the page.
fn anchor(promise: &str) -> String {
    format!("promise-{}", super::view::id(promise))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_document_takes_that_of_its_address() {
        for (url, at, expected) in [
            ("https://d.example/k8s", None, "https://d.example/k8s"),
            ("https://d.example/k8s", Some("redis"), "https://d.example/k8s#redis"),
            ("https://d.example/k8s#top", Some("#redis"), "https://d.example/k8s#redis"),
        ] {
            assert_eq!(address(url, at), expected);
        }
    }
}
