//! Clusters that Docker has and of which nothing is remembered here: the folder of records is gone, or another one is in
//! use. Docker's engine may have other users, so their runs are not taken for dead: only a person can know.

use super::command::Call;
use super::programs::Programs;
use super::record::Record;
use super::{Kind, NAMED, containers, programs, run_of};
use gauntlet_core::Trouble;
use std::time::Duration;

/// How long kind may take to tell how a cluster is reached.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

impl Kind {
    /// Ids of the clusters that look like those of runs and are on no record; none where Docker is not installed.
    ///
    /// # Errors
    /// The engine or the records cannot be asked.
    pub async fn lost(&self) -> Result<Vec<String>, Trouble> {
        let Some(docker) = programs::on_path(&self.path, "docker") else { return Ok(vec![]) };
        let there = containers::clusters(&docker).await?;
        // In this order: what is there was on record before.
        let on_record = Record::ids(&self.state_dir)?;
        let ids = there.iter().filter_map(|name| id_of(name)).filter(|id| !on_record.iter().any(|known| known == id));
        Ok(ids.map(str::to_owned).collect())
    }

    /// Takes a lost cluster on record, so that it is found and deleted as any other.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn adopt(&self, id: &str) -> Result<(), Trouble> {
        Record::of(&self.state_dir, id).adopt()
    }
}

/// The id of the cluster of a run, by its name.
fn id_of(name: &str) -> Option<&str> {
    let id = name.strip_prefix(NAMED)?;
    let numbers = id.strip_prefix(run_of(id))?;
    (numbers.split('-').skip(1).all(|number| number.parse::<u32>().is_ok()) && !numbers.is_empty()).then_some(id)
}

/// Has kind tell how a cluster is reached, where that is not on record any more.
pub(super) async fn export_kubeconfig(programs: &Programs, record: &Record, name: &str) -> Result<(), Trouble> {
    let arguments = ["export", "kubeconfig", "--name", name, "--kubeconfig"];
    let exported = Call::new(&programs.kind, arguments, ANSWERS_WITHIN).with([record.kubeconfig()]).run().await;
    exported.map(drop).map_err(|trouble| trouble.doing(format!("cannot tell how {name} is reached")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_as_clusters_of_runs_are_is_one() {
        for (name, expected) in [
            ("gauntlet-20260101-000000-abcd-1-2", Some("20260101-000000-abcd-1-2")),
            ("gauntlet", None),
            ("gauntlet-mine", None),
            ("gauntlet-of-mine-too", None),
            ("kind", None),
        ] {
            assert_eq!(id_of(name), expected, "{name}");
        }
    }
}
