//! Contents that follow from names: the same on every run, without any pattern that compression could use.

use sha2::{Digest, Sha256};

/// `count` bytes that follow from `name`.
pub fn of(name: &str, count: usize) -> Vec<u8> {
    let blocks = (0_u32..).flat_map(|block| Sha256::digest(format!("{name}:{block}").as_bytes()).to_vec());
    blocks.take(count).collect()
}

/// A digest of parts, each with its length, so that no two lists of parts look the same.
#[derive(Default)]
pub struct Summary(Sha256);

impl Summary {
    pub fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    pub fn finish(self) -> String {
        // Half of it tells any two values apart.
        self.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_from_the_name_alone() {
        assert_eq!(of("a", 100), of("a", 100));
        assert_ne!(of("a", 100), of("b", 100));
        assert_eq!(of("a", 100).len(), 100);
    }

    #[test]
    fn the_same_bytes_in_other_parts_are_another_value() {
        let of = |parts: &[&str]| {
            let mut summary = Summary::default();
            parts.iter().for_each(|part| summary.add(part.as_bytes()));
            summary.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_eq!(of(&["ab"]).len(), 32);
    }
}
