//! The exact rank test of Wilcoxon, Mann and Whitney, one-sided, with ties: the probability that new values rank as high
//! among all values as they do, or higher, were they no different from the old ones.

/// The probability, between 0 and 1; 1 where one side is empty.
///
/// Ranks of equal values are shared. The number of ways to choose as many ranks with at least that sum is counted, so
/// nothing is approximated, however few values or however many of them equal.
pub fn larger(old: &[f64], new: &[f64]) -> f64 {
    if old.is_empty() || new.is_empty() {
        return 1.0;
    }
    let mut ranks = doubled_ranks(old, new);
    if ranks.iter().all(|rank| rank.is_multiple_of(2)) {
        // Nothing is shared, so half the sums do.
        ranks.iter_mut().for_each(|rank| *rank /= 2);
    }
    let seen: usize = ranks[old.len()..].iter().sum();
    let ways = ways(&ranks, new.len());
    let all: f64 = ways.iter().sum();
    ways[seen..].iter().sum::<f64>() / all
}

/// The smallest probability that so many values can come to: all new ones above all old ones.
pub fn smallest(old: usize, new: usize) -> f64 {
    let (old, new) = (old as f64, new as f64);
    let mut n = 1.0;
    let mut choices = 1.0;
    while n <= new {
        choices *= (old + n) / n;
        n += 1.0;
    }
    1.0 / choices
}

/// Twice the rank of each value, old ones first, so that shared ranks are whole numbers.
fn doubled_ranks(old: &[f64], new: &[f64]) -> Vec<usize> {
    let all: Vec<f64> = old.iter().chain(new).copied().collect();
    let rank = |value: &f64| {
        let below = all.iter().filter(|other| other.total_cmp(value).is_lt()).count();
        let equal = all.iter().filter(|other| other.total_cmp(value).is_eq()).count();
        2 * below + equal + 1
    };
    all.iter().map(rank).collect()
}

/// For each sum, in how many ways `chosen` of the ranks have it.
fn ways(ranks: &[usize], chosen: usize) -> Vec<f64> {
    let most: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0; most + 1]; chosen + 1];
    ways[0][0] = 1.0;
    let mut reached = 0;
    for (tried, rank) in ranks.iter().enumerate() {
        reached += rank;
        for count in (1..=chosen.min(tried + 1)).rev() {
            let (fewer, more) = ways.split_at_mut(count);
            let fewer = fewer[count - 1][..=reached - rank].iter();
            more[0][*rank..=reached].iter_mut().zip(fewer).for_each(|(more, fewer)| *more += fewer);
        }
    }
    ways.swap_remove(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn it_counts_arrangements() {
        // Of three and two values there are ten arrangements; with U counted by hand.
        for (new, ways) in [([4.0, 5.0], 1.0), ([3.5, 2.5], 2.0), ([0.1, 0.2], 10.0), ([9.0, 1.5], 4.0)] {
            assert!(near(larger(&[1.0, 2.0, 3.0], &new), ways / 10.0), "{new:?}");
        }
    }

    #[test]
    fn equal_values_share_their_ranks() {
        assert!(near(larger(&[0.0; 5], &[0.0; 3]), 1.0), "nothing differs");
        // One of eight is larger: it is among the three new ones in 21 of 56 choices.
        assert!(near(larger(&[0.0; 5], &[0.0, 0.0, 1.0]), 21.0 / 56.0));
        assert!(near(larger(&[0.0; 5], &[1.0; 3]), 1.0 / 56.0));
    }

    #[test]
    fn it_agrees_with_published_tables() {
        // The critical value for samples of 5 and 5 at 5 %, one-sided, is 4: U = 4 is just inside, U = 5 just outside.
        let old = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert!(larger(&old, &[4.5, 4.6, 4.7, 4.8, 6.0]) <= 0.05);
        assert!(larger(&old, &[3.5, 4.6, 4.7, 4.8, 6.0]) > 0.05);
    }

    #[test]
    fn the_smallest_probability_is_that_of_values_above_all_others() {
        let old: Vec<f64> = (0..20).map(f64::from).collect();
        for new in 1..6_u32 {
            let above: Vec<f64> = (0..new).map(|n| 100.0 + f64::from(n)).collect();
            let (counted, said) = (larger(&old, &above), smallest(old.len(), above.len()));
            assert!((counted / said - 1.0).abs() < 1e-9, "{counted} {said}");
        }
        assert!(near(smallest(20, 1), 1.0 / 21.0));
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        assert!(near(larger(&[], &[1.0]), 1.0) && near(larger(&[1.0], &[]), 1.0));
    }
}
