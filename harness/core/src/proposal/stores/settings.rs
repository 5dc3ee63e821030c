//! What is said to a program: its commands, its variables, and the ConfigMaps that its pods use.

use super::super::manifests::{Manifests, list};
use super::super::workload::Workload;
use std::fmt::Write as _;

pub struct Settings {
    /// Options read like lines of a file, variables as `NAME=value`.
    pub text: String,
    /// The same in small letters with dots between words, however a file, an option or a variable spells them.
    spelled: String,
}

impl Settings {
    pub fn of(manifests: &Manifests<'_>, workload: &Workload<'_>) -> Self {
        let mut text = workload.commands().replace(" --", " ").replace("\n--", "\n");
        if let Some(rest) = text.strip_prefix("--") {
            text = rest.to_owned();
        }
        for variable in workload.all_containers().flat_map(|container| list(container, "env")) {
            if let (Some(name), Some(value)) = (variable["name"].as_str(), variable["value"].as_str()) {
                let _ = write!(text, "\n{name}={value}");
            }
        }
        for needed in workload.needs().into_iter().filter(|needed| needed.kind == "ConfigMap") {
            let maps = manifests.of_kind("ConfigMap").filter(|map| map.namespace() == workload.namespace);
            for map in maps.filter(|map| map.name() == needed.name) {
                for (key, value) in map.object["data"].as_object().into_iter().flatten() {
                    match value.as_str() {
                        // A file, or what becomes a variable.
                        Some(file) if file.contains('\n') => text = format!("{text}\n{file}"),
                        Some(value) => text = format!("{text}\n{value}\n{key}={value}"),
                        None => {}
                    }
                }
            }
        }
        let spelled = text.to_lowercase().replace(['_', '-'], ".");
        Self { text, spelled }
    }

    /// Whether an option is named.
    pub fn has(&self, option: &str) -> bool {
        self.spelled.contains(option)
    }

    /// What an option is set to, to the end of its line.
    pub fn value(&self, option: &str) -> Option<&str> {
        let lines = self.spelled.lines().filter_map(|line| line.split_once(option));
        let mut set = lines.filter_map(|(_, rest)| rest.trim_start_matches(['"', '\'', ' ']).strip_prefix(['=', ':']));
        set.next()
    }

    pub fn is_jetstream(&self) -> bool {
        self.spelled.contains("jetstream") || self.text.split_whitespace().any(|word| word == "js" || word == "-js")
    }

    /// The word after an option, wherever it stands.
    pub fn word_after(&self, option: &str) -> Option<&str> {
        self.text
            .split(option)
            .nth(1)?
            .trim_start_matches(['=', ' ', '"', '\''])
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next()
    }
}
