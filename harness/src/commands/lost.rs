//! Clusters of kind that Docker has and that are on no record here: those of runs that died here are taken on record
//! again; others may be somebody else's, and go only when a person says so.

use gauntlet_cluster::provider::kind::Kind;
use gauntlet_core::Trouble;
use gauntlet_engine::folder::RunRecord;
use gauntlet_engine::kept;

/// Takes on record what may be deleted. What is told of the others.
///
/// # Errors
/// Docker or the records cannot be asked, or a record cannot be written.
pub async fn adopt(kind: &Kind, yes: bool) -> Result<Vec<String>, Trouble> {
    let mut remarks = Vec::new();
    for id in kind.lost().await? {
        let known = Known {
            lives: is_of_one(&id, &RunRecord::alive(&kind.state_dir)?),
            died: is_of_one(&id, &dead(kind)?),
            is_kept: kept::why(&kind.state_dir, &id).is_some(),
        };
        match fate(known, yes) {
            Fate::Adopted => kind.adopt(&id)?,
            Fate::Told => remarks.push(format!(
                "a cluster of kind is here that is on no record: {id}; if nobody uses it, `gauntlet clean --cluster kind \
                 --yes` deletes it"
            )),
            Fate::Left => {}
        }
    }
    Ok(remarks)
}

fn dead(kind: &Kind) -> Result<Vec<String>, Trouble> {
    Ok(RunRecord::dead(&kind.state_dir)?.iter().map(|record| record.run().to_owned()).collect())
}

fn is_of_one(id: &str, runs: &[String]) -> bool {
    runs.iter().any(|run| id.strip_prefix(run.as_str()).is_some_and(|rest| rest.starts_with('-')))
}

/// What is known here of a cluster that is on no record.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Its run lives.
    lives: bool,
    /// Its run died.
    died: bool,
    is_kept: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Adopted,
    Told,
    Left,
}

fn fate(known: Known, yes: bool) -> Fate {
    match known {
        Known { lives: true, .. } | Known { is_kept: true, .. } => Fate::Left,
        Known { died: true, .. } => Fate::Adopted,
        _ if yes => Fate::Adopted,
        _ => Fate::Told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_of_others_goes_only_when_a_person_says_so() {
        for (lives, died, is_kept, without, with) in [
            (false, false, false, Fate::Told, Fate::Adopted),
            (false, true, false, Fate::Adopted, Fate::Adopted),
            (true, false, false, Fate::Left, Fate::Left),
            (false, true, true, Fate::Left, Fate::Left),
            (false, false, true, Fate::Left, Fate::Left),
        ] {
            let known = Known { lives, died, is_kept };
            assert_eq!((fate(known, false), fate(known, true)), (without, with), "{known:?}");
        }
    }

    #[test]
    fn a_cluster_is_of_the_run_whose_id_it_begins_with() {
        let runs = ["r1".to_owned()];
        assert!(is_of_one("r1-1-1", &runs));
        assert!(!is_of_one("r10-1-1", &runs) && !is_of_one("r1", &runs));
    }
}
