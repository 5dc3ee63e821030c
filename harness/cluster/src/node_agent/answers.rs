//! What an agent's answers say of a fault whose time is over.

use gauntlet_core::Trouble;
use gauntlet_core::node_agent::Answer;
use std::time::Duration;

/// In this time a program that is started comes to its work: a server listens, and others notice it.
const BEGUN_AFTER: Duration = Duration::from_millis(250);

/// A fault that has ended before its time has not been what its proof at the beginning says.
pub fn was_in_effect(node: &str, answer: &Answer) -> Result<(), Trouble> {
    match answer {
        Answer::NotInEffect => Err(Trouble::harness(format!(
            "the fault was over on {node} before it was to end: its agent had not heard of us for too long, or was started again"
        ))),
        _ => Ok(()),
    }
}

/// A program that has begun its work in the place of the one that was killed has not been kept down, whatever was seen
/// of it afterwards.
pub fn was_kept_down(node: &str, container: &str, answer: &Answer) -> Result<(), Trouble> {
    match answer {
        Answer::Released { ran_ms } if u128::from(*ran_ms) > BEGUN_AFTER.as_millis() => Err(Trouble::harness(format!(
            "{container} was not kept down: what was started in its place on {node} may have run for {ran_ms} ms before \
             it stood still, for the node was busy"
        ))),
        _ => Ok(()),
    }
}

pub fn unexpected(node: &str, answer: &Answer) -> Trouble {
    Trouble::harness(format!("the agent on {node} gave an answer to something else: {answer:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_whose_successor_came_to_work_was_not_kept_down() {
        for (answer, is_kept_down) in [
            (Answer::Released { ran_ms: 0 }, true),
            (Answer::Released { ran_ms: 250 }, true),
            (Answer::Released { ran_ms: 251 }, false),
            (Answer::Done, true),
        ] {
            assert_eq!(was_kept_down("node1", "redis", &answer).is_ok(), is_kept_down, "{answer:?}");
        }
    }

    #[test]
    fn a_fault_that_was_over_before_its_time_is_told() {
        assert!(was_in_effect("node1", &Answer::Released { ran_ms: 0 }).is_ok());
        assert!(was_in_effect("node1", &Answer::NotInEffect).is_err());
    }
}
