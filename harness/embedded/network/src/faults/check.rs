//! Faults that are none, or cannot be.

use super::delay::Wait;
use super::{Effect, Fault, Party, block};
use crate::address::POD_CIDR;
use crate::policies::addresses::Addresses;

/// What cannot be, said in words that name it.
pub fn check(name: &str, fault: &Fault) -> Result<(), String> {
    check_name(name)?;
    if fault.from.is_empty() || fault.to.is_empty() {
        return Err("a fault needs parties on both sides".into());
    }
    match fault.effect {
        Effect::Loss { percent } if !(percent > 0.0 && percent <= 100.0) => {
            return Err(format!("a loss of {percent} % is none: it is above 0 and at most 100"));
        }
        Effect::Rate { kilobytes_per_second: 0 } => return Err("a rate of nothing is a cut".into()),
        Effect::Delay(Wait { delay, jitter }) if delay.is_zero() && jitter.is_zero() => {
            return Err("a delay of nothing is none".into());
        }
        Effect::Delay(_) => between_pods(fault)?,
        _ => {}
    }
    let bad = |party: &&Party| matches!(party, Party::Addresses(text) if block(text).is_none());
    match fault.from.iter().chain(&fault.to).find(bad) {
        Some(Party::Addresses(text)) => Err(format!("{text:?} is no IPv4 address or block")),
        _ => Ok(()),
    }
}

/// What somebody else takes part in passes no place where it could be held.
fn between_pods(fault: &Fault) -> Result<(), String> {
    let pods = Addresses::block(POD_CIDR).unwrap_or_default();
    let other = |party: &&Party| match party {
        Party::Addresses(text) => block(text).is_some_and(|block| !block.without(&pods).is_empty()),
        _ => false,
    };
    match fault.from.iter().chain(&fault.to).find(other) {
        Some(Party::Addresses(text)) => {
            Err(format!("only traffic between pods can be delayed, and {text} is not theirs"))
        }
        _ => Ok(()),
    }
}

/// It becomes part of a table's name.
pub fn check_name(name: &str) -> Result<(), String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=48).contains(&name.len()) && name.chars().all(letter) {
        return Ok(());
    }
    Err(format!("the fault's name {name:?} is not made of 1 to 48 of a-z, 0-9 and -"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::address::OUTSIDE;

    fn fault(from: Party, effect: Effect) -> Fault {
        let to = vec![Party::Addresses(OUTSIDE.to_string())];
        Fault { from: vec![from], to, both_ways: false, ports: vec![], effect }
    }

    #[test]
    fn impossible_faults_are_refused_with_the_reason() {
        let anybody = || Party::Addresses("0.0.0.0/0".into());
        let refused = |name: &str, fault: Fault| check(name, &fault).err().unwrap_or_default();
        assert_eq!(refused("a-1", fault(anybody(), Effect::Cut)), "");
        assert!(refused("a b", fault(anybody(), Effect::Cut)).contains("the fault's name \"a b\""));
        assert!(refused("a", fault(Party::Addresses("x".into()), Effect::Cut)).contains("\"x\" is no IPv4"));
        assert!(refused("a", fault(anybody(), Effect::Loss { percent: 0.0 })).contains("a loss of 0 %"));
        assert!(refused("a", fault(anybody(), Effect::Rate { kilobytes_per_second: 0 })).contains("a cut"));
        let delay = |ms| Effect::Delay(Wait { delay: Duration::from_millis(ms), jitter: Duration::ZERO });
        assert!(refused("a", fault(anybody(), delay(0))).contains("a delay of nothing"));
        assert!(refused("a", fault(anybody(), delay(9))).contains("0.0.0.0/0 is not theirs"));
        let nobody = Fault { to: vec![], ..fault(anybody(), Effect::Cut) };
        assert!(refused("a", nobody).contains("both sides"));
    }
}
