//! Random choices that a run can repeat: everything chosen at random is derived from the run's seed and a label.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The number from which all choices of a run follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
pub struct Seed(pub u64);

impl Seed {
    /// One that is short enough to type again.
    pub fn short(number: u64) -> Self {
        Self(number % 1_000_000)
    }

    /// An independent seed for one purpose, so that adding a choice somewhere does not change choices elsewhere.
    pub fn derive(self, label: &str) -> Self {
        // FNV-1a over the label, mixed with the seed: stable over releases, unlike the standard hasher.
        let hash = label
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self(mix(self.0 ^ hash))
    }

    pub fn rng(self) -> StdRng {
        StdRng::seed_from_u64(self.0)
    }

    /// One of `items`, or `None` when there are none.
    pub fn choose<'a, T>(self, label: &str, items: &'a [T]) -> Option<&'a T> {
        (!items.is_empty()).then(|| &items[self.derive(label).rng().random_range(0..items.len())])
    }
}

/// The finaliser of splitmix64: neighbouring inputs give unrelated outputs.
fn mix(input: u64) -> u64 {
    let z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_label_choose_the_same() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(Seed(7).choose("victim", &items), Seed(7).choose("victim", &items));
    }

    #[test]
    fn labels_and_seeds_choose_independently() {
        let derived: std::collections::BTreeSet<u64> =
            (0..50).flat_map(|n| ["a", "b", "victim"].map(|label| Seed(n).derive(label).0)).collect();
        assert_eq!(derived.len(), 150);
    }

    #[test]
    fn nothing_is_chosen_from_nothing() {
        assert_eq!(Seed(1).choose::<u8>("x", &[]), None);
    }
}
