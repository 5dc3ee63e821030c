//! Where the embedded Kubernetes is known not to match, and why. The list only shrinks: what matches must leave it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// By file name without the extension.
pub type Known = BTreeMap<String, Differences>;

/// What is known of a file. Places are the beginnings of differences: `step 9 (status): /body/status/replicas`.
#[derive(Debug, PartialEq)]
pub struct Differences {
    pub reason: String,
    /// Where it always differs.
    pub at: Vec<String>,
    /// Where the recording caught a moment between two states, and a replay may catch another.
    pub races: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    reason: String,
    #[serde(default)]
    at: Vec<String>,
    #[serde(default)]
    races: Vec<String>,
}

/// Reads the list, in YAML. An entry without a reason or places, for no recording, or a second one for the same, is an
/// error.
pub fn parse(text: &str, recordings: &[String]) -> Result<Known, String> {
    let mut known = Known::new();
    for Entry { file, reason, at, races } in
        serde_saphyr::from_str::<Vec<Entry>>(text).map_err(|error| error.to_string())?
    {
        if reason.trim().is_empty() || (at.is_empty() && races.is_empty()) {
            return Err(format!("{file} has no reason, or does not say where it differs"));
        }
        if !recordings.contains(&file) {
            return Err(format!("there is no recording {file}"));
        }
        if known.insert(file.clone(), Differences { reason, at, races }).is_some() {
            return Err(format!("{file} is listed twice"));
        }
    }
    Ok(known)
}

/// The outcome of a file, given what was found to differ and what is known to.
pub fn verdict(found: &[String], known: Option<&Differences>) -> Result<(), String> {
    let (at, races) = known.map_or((&[][..], &[][..]), |known| (&known.at, &known.races));
    let listed = |found: &&str| at.iter().chain(races).any(|place| found.starts_with(place.as_str()));
    let unknown: Vec<&str> = found.iter().map(String::as_str).filter(|found| !listed(found)).collect();
    if !unknown.is_empty() {
        const SHOWN: usize = 25;
        let more = unknown.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!("\n... and {more} more") } else { String::new() };
        let shown = unknown[..unknown.len().min(SHOWN)].join("\n");
        return Err(format!("{} differences:\n{shown}{more}", unknown.len()));
    }
    match at.iter().find(|at| !found.iter().any(|found| found.starts_with(at.as_str()))) {
        Some(at) => Err(format!("matches at {at:?}, though known to differ: take that off known-differences.yaml")),
        None => Ok(()),
    }
}
