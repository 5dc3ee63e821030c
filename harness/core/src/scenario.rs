//! What is known of a scenario before it runs, and which scenarios a command line selects.

use crate::capability::Capability;
use crate::span::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which cluster a scenario may run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterNeed {
    /// A cluster on which others have run before; each leaves it healed.
    Shared,
    /// A cluster that nobody has touched.
    Own,
}

/// What a scenario is, does and needs. Everything here is fixed when the program is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Info {
    /// `family.name`, for example `redis.failover`.
    pub name: &'static str,
    /// One sentence: what is done and what must hold.
    pub summary: &'static str,
    pub needs: &'static [Capability],
    pub cluster: ClusterNeed,
    /// How long it may take in all; past it the verdict is inconclusive.
    pub deadline: Span,
}

/// Which scenarios to run, with the meaning that `cargo test` gives to the same words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// A scenario is selected when its name contains any of these, or when there are none.
    pub filters: Vec<String>,
    /// Filters and skips must be the whole name.
    pub exact: bool,
    pub skip: Vec<String>,
}

impl Selection {
    pub fn selects(&self, name: &str) -> bool {
        let matches = |pattern: &String| if self.exact { name == pattern } else { name.contains(pattern.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(matches)) && !self.skip.iter().any(matches)
    }

    /// Filters that select none of `names`: most likely a slip of the finger.
    pub fn idle_filters<'a>(&'a self, names: &[&str]) -> Vec<&'a str> {
        let hits = |filter: &str| names.iter().any(|n| if self.exact { *n == filter } else { n.contains(filter) });
        self.filters.iter().map(String::as_str).filter(|filter| !hits(filter)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(filters: &[&str], exact: bool, skip: &[&str]) -> Selection {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Selection { filters: owned(filters), exact, skip: owned(skip) }
    }

    #[test]
    fn selection_means_what_it_means_to_cargo_test() {
        for (filters, exact, skip, selected) in [
            (&[][..], false, &[][..], true),
            (&["redis"], false, &[], true),
            (&["drain"], false, &[], false),
            (&["drain", "redis"], false, &[], true),
            (&["redis"], true, &[], false),
            (&["redis.failover"], true, &[], true),
            (&[], false, &["fail"], false),
            (&[], true, &["fail"], true),
            (&["redis"], false, &["failover"], false),
        ] {
            assert_eq!(selection(filters, exact, skip).selects("redis.failover"), selected, "{filters:?} {skip:?}");
        }
    }

    #[test]
    fn a_filter_that_selects_nothing_is_named() {
        assert_eq!(selection(&["redis", "rediss"], false, &[]).idle_filters(&["redis.failover"]), ["rediss"]);
    }
}
