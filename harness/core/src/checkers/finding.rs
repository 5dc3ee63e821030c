//! What checkers find.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Acknowledged at `acked_us` (wall clock), not there afterwards. `what` names the write, `found` what is there.
    Lost { what: String, acked_us: u64, found: Option<String> },
    /// There, though nobody wrote it, or though the system had said that it was not done.
    Phantom { what: String, found: String },
    /// There more than once.
    Duplicate { what: String, times: u32 },
    /// `earlier` was acknowledged before `later` was begun, yet stands after it.
    Reordered { earlier: String, later: String },
    /// Acknowledged while no quorum existed.
    AckedWithoutQuorum { what: String, at_us: u64 },
    /// In the stream, and never given to its consumer.
    Undelivered { what: String },
    /// Given to the consumer again at `at_us`, although the server had confirmed its acknowledgement.
    Redelivered { what: String, at_us: u64 },
    /// The consumer's floor stood at `now` after everything up to `before` was confirmed.
    FloorWentBack { before: u64, now: u64, at_us: u64 },
    /// Accepted, known to the system, and not ended when the deadline came.
    NotEnded { what: String, state: String },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { what, found: None, .. } => write!(f, "{what} was acknowledged and is gone"),
            Self::Lost { what, found: Some(found), .. } => {
                write!(f, "{what} was acknowledged, but {found} is there instead")
            }
            Self::Phantom { what, found } => write!(f, "{what} holds {found}, which nobody wrote"),
            Self::Duplicate { what, times } => write!(f, "{what} is there {times} times"),
            Self::Reordered { earlier, later } => {
                write!(f, "{earlier} was acknowledged before {later} was begun, but stands after it")
            }
            Self::AckedWithoutQuorum { what, .. } => write!(f, "{what} was acknowledged while there was no quorum"),
            Self::Undelivered { what } => write!(f, "{what} was never given to the consumer"),
            Self::Redelivered { what, .. } => {
                write!(f, "{what} was given to the consumer again after its acknowledgement was confirmed")
            }
            Self::FloorWentBack { before, now, .. } => {
                write!(f, "the consumer stood at {now} after everything up to {before} was confirmed")
            }
            Self::NotEnded { what, state } => write!(f, "{what} was accepted and never ended; its state is {state}"),
        }
    }
}

/// What a checker's findings amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Enough was seen, and all of it was right.
    Clean,
    /// Something must not be.
    Found(Vec<Finding>),
    /// Nothing wrong was seen, but too little was seen to say so; the reasons.
    Insufficient(Vec<String>),
}

impl Conclusion {
    /// A finding outweighs insufficiency; insufficiency outweighs cleanness.
    pub fn of(findings: &[Finding], insufficient: &[String]) -> Self {
        if !findings.is_empty() {
            Self::Found(findings.to_vec())
        } else if !insufficient.is_empty() {
            Self::Insufficient(insufficient.to_vec())
        } else {
            Self::Clean
        }
    }
}

/// How many acknowledged operations there were, and how many of them are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub acked: u64,
    pub lost: u64,
}

impl Tally {
    /// Lost ones as a share of acknowledged ones, 0 to 1; `None` where nothing was acknowledged.
    pub fn share_lost(&self) -> Option<f64> {
        (self.acked > 0).then(|| self.lost as f64 / self.acked as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_outweighs_insufficiency() {
        let finding = Finding::Duplicate { what: "message a".into(), times: 2 };
        let reason = vec!["too few".to_owned()];
        assert_eq!(Conclusion::of(std::slice::from_ref(&finding), &reason), Conclusion::Found(vec![finding]));
        assert_eq!(Conclusion::of(&[], &reason), Conclusion::Insufficient(reason));
        assert_eq!(Conclusion::of(&[], &[]), Conclusion::Clean);
    }

    #[test]
    fn share_of_nothing_is_unknown() {
        assert_eq!(Tally::default().share_lost(), None);
        assert_eq!(Tally { acked: 4, lost: 1 }.share_lost(), Some(0.25));
    }
}
