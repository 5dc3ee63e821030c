//! Sets of completion indexes, as statuses write them: `0,3-5,7`.

use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Indexes(BTreeSet<i64>);

impl Indexes {
    /// Reads a list of indexes and ranges; whatever is not below `limit` is left out.
    pub fn parse(text: &str, limit: i64) -> Self {
        let mut indexes = BTreeSet::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) {
                indexes.extend(first..=last.min(limit - 1));
            }
        }
        Self(indexes)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn contains(&self, index: i64) -> bool {
        self.0.contains(&index)
    }

    pub fn insert(&mut self, index: i64) {
        self.0.insert(index);
    }

    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().copied()
    }

    pub fn text(&self) -> String {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for index in self.iter() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => runs.push((index, index)),
            }
        }
        let run = |(first, last): &(i64, i64)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        };
        runs.iter().map(run).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written_as_ranges() {
        for (text, limit, expected) in [
            ("", 9, ""),
            ("0-2", 3, "0-2"),
            ("0,1", 9, "0,1"),
            ("0,1,2", 9, "0-2"),
            ("0,3-5,7", 9, "0,3-5,7"),
            ("0-8", 2, "0,1"),
        ] {
            assert_eq!(Indexes::parse(text, limit).text(), expected, "{text}");
        }
    }
}
