//! The mounted configuration: `pools.yaml`, `timeouts.yaml`, `safety.yaml`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::common::env;

/// Which pool serves which topic. A topic may end in `*`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pools {
    pub topics: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// How long a job may go unacknowledged before JetStream hands it out again.
    pub dispatch_timeout_seconds: u64,
    /// How long a job may run before the leader ends it as failed.
    pub running_timeout_seconds: u64,
    pub reconciler_interval_seconds: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { dispatch_timeout_seconds: 15, running_timeout_seconds: 120, reconciler_interval_seconds: 5 }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    #[default]
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub topic: String,
    pub decision: Decision,
}

/// The safety kernel's policy: the first rule that fits decides.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    pub default: Decision,
    pub rules: Vec<Rule>,
}

impl Pools {
    /// The pool of a topic; the longest pattern that fits wins.
    pub fn pool(&self, topic: &str) -> &str {
        self.topics
            .iter()
            .filter(|(pattern, _)| fits(pattern, topic))
            .max_by_key(|(pattern, _)| pattern.len())
            .map_or("default", |(_, pool)| pool)
    }
}

impl Policy {
    /// The decision and the reason for it.
    pub fn decide(&self, topic: &str) -> (Decision, String) {
        match self.rules.iter().find(|rule| fits(&rule.topic, topic)) {
            Some(rule) => (rule.decision, format!("rule for {}", rule.topic)),
            None => (self.default, "default".into()),
        }
    }
}

fn fits(pattern: &str, topic: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => topic.starts_with(start),
        None => pattern == topic,
    }
}

/// Reads the file that `variable` names, or `/etc/cordum/<file>`. A missing file means defaults.
///
/// # Errors
/// A file that is there and cannot be read or understood.
pub fn read<T: DeserializeOwned + Default>(variable: &str, file: &str) -> Result<T> {
    let path = env(variable).unwrap_or_else(|| format!("/etc/cordum/{file}"));
    read_file(Path::new(&path))
}

fn read_file<T: DeserializeOwned + Default>(path: &Path) -> Result<T> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(T::default()),
        Err(error) => return Err(error).with_context(|| format!("{} could not be read", path.display())),
    };
    serde_saphyr::from_str(&text).with_context(|| format!("{} is malformed", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_pattern_gives_the_pool() {
        let pools: Pools = serde_saphyr::from_str("topics: {job.a: first, 'job.*': rest}").unwrap();
        assert_eq!([pools.pool("job.a"), pools.pool("job.b"), pools.pool("x")], ["first", "rest", "default"]);
    }

    #[test]
    fn first_rule_that_fits_decides() {
        let policy: Policy =
            serde_saphyr::from_str("default: allow\nrules: [{topic: 'job.bad*', decision: deny}]").unwrap();
        assert_eq!(policy.decide("job.badly").0, Decision::Deny);
        assert_eq!(policy.decide("job.good").0, Decision::Allow);
    }

    #[test]
    fn unknown_key_is_an_error_and_a_missing_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timeouts.yaml");
        assert_eq!(read_file::<Timeouts>(&path).unwrap().reconciler_interval_seconds, 5);
        std::fs::write(&path, "runing_timeout_seconds: 3").unwrap();
        let error = format!("{:#}", read_file::<Timeouts>(&path).unwrap_err());
        assert!(error.contains("timeouts.yaml") && error.contains("runing_timeout_seconds"), "{error}");
    }
}
