//! Sets of addresses, as the ranges that the kernel's sets take.

use std::net::Ipv4Addr;

/// Addresses as ranges with both ends: sorted, apart from each other, so that equal sets compare equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Addresses {
    ranges: Vec<(u32, u32)>,
}

impl Addresses {
    /// All addresses of a block, as in `10.0.0.0/8`. `None` for what is no IPv4 block.
    pub fn block(cidr: &str) -> Option<Self> {
        let (network, prefix) = cidr.split_once('/')?;
        let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
        let hosts = u32::MAX.checked_shr(prefix).unwrap_or(0);
        let first = network.parse::<Ipv4Addr>().ok()?.to_bits() & !hosts;
        Some(Self { ranges: vec![(first, first | hosts)] })
    }

    pub fn add(&mut self, other: &Self) {
        self.ranges.extend_from_slice(&other.ranges);
        self.normalize();
    }

    /// What is left without the addresses of `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = self.ranges.clone();
        for &(from, to) in &other.ranges {
            left = left.into_iter().flat_map(|range| cut(range, (from, to))).collect();
        }
        let mut left = Self { ranges: left };
        left.normalize();
        left
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let bits = address.to_bits();
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&bits))
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges in the words of nftables.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.ranges.iter().map(|(first, last)| {
            let (first, last) = (Ipv4Addr::from_bits(*first), Ipv4Addr::from_bits(*last));
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        })
    }

    fn normalize(&mut self) {
        self.ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(self.ranges.len());
        for (first, last) in self.ranges.drain(..) {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        self.ranges = merged;
    }
}

impl FromIterator<Ipv4Addr> for Addresses {
    fn from_iter<T: IntoIterator<Item = Ipv4Addr>>(addresses: T) -> Self {
        let ranges = addresses.into_iter().map(|address| (address.to_bits(), address.to_bits())).collect();
        let mut all = Self { ranges };
        all.normalize();
        all
    }
}

/// What is left of one range without another: nothing, one or two.
fn cut((first, last): (u32, u32), (from, to): (u32, u32)) -> impl Iterator<Item = (u32, u32)> {
    let apart = to < first || last < from;
    let below = (!apart && first < from).then(|| (first, from - 1));
    let above = (!apart && to < last).then(|| (to + 1, last));
    apart.then_some((first, last)).into_iter().chain(below).chain(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(addresses: &Addresses) -> Vec<String> {
        addresses.texts().collect()
    }

    #[test]
    fn blocks_without_their_exceptions_are_ranges() {
        for (block, except, expected) in [
            ("10.0.0.0/8", vec![], vec!["10.0.0.0-10.255.255.255"]),
            ("10.1.2.3/8", vec![], vec!["10.0.0.0-10.255.255.255"]),
            ("10.0.0.5/32", vec![], vec!["10.0.0.5"]),
            ("10.0.0.0/24", vec!["10.0.0.0/25"], vec!["10.0.0.128-10.0.0.255"]),
            ("10.0.0.0/24", vec!["10.0.0.4/32"], vec!["10.0.0.0-10.0.0.3", "10.0.0.5-10.0.0.255"]),
            ("10.0.0.0/30", vec!["10.0.0.1/32", "10.0.0.3/32"], vec!["10.0.0.0", "10.0.0.2"]),
            ("10.0.0.0/24", vec!["10.0.0.0/24"], vec![]),
            ("0.0.0.0/0", vec!["0.0.0.0/1"], vec!["128.0.0.0-255.255.255.255"]),
        ] {
            let mut left = Addresses::block(block).unwrap();
            for except in &except {
                left = left.without(&Addresses::block(except).unwrap());
            }
            assert_eq!(texts(&left), expected, "{block} without {except:?}");
        }
    }

    #[test]
    fn neighbours_and_overlaps_become_one_range() {
        let mut all: Addresses = [3, 1, 2, 7].map(|host| Ipv4Addr::new(10, 0, 0, host)).into_iter().collect();
        assert_eq!(texts(&all), ["10.0.0.1-10.0.0.3", "10.0.0.7"]);
        all.add(&Addresses::block("10.0.0.0/29").unwrap());
        assert_eq!(texts(&all), ["10.0.0.0-10.0.0.7"]);
    }

    #[test]
    fn what_is_no_ipv4_block_is_none() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "fd00::/8", "10.0.0/8"] {
            assert_eq!(Addresses::block(text), None, "{text}");
        }
    }
}
