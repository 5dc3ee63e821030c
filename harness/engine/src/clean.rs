//! Ending the clusters of dead runs, and healing what dead runs left in clusters that were to outlive them.

use crate::folder::RunRecord;
use crate::kept;
use gauntlet_chaos::fault::heal_all;
use gauntlet_cluster::Provider;
use gauntlet_core::Trouble;
use std::collections::BTreeSet;
use std::path::Path;

/// What cleaning did.
#[derive(Debug, Default)]
pub struct Cleaned {
    pub done: Vec<String>,
    pub troubles: Vec<Trouble>,
    /// Dead runs on clusters of other providers, which are cleaned there.
    pub elsewhere: Vec<String>,
}

/// Ends the clusters of dead runs unless they were to be kept, heals the faults of dead runs where their cluster still
/// runs, and forgets the runs. A fault in a cluster that is gone is gone with it. Goes on whatever fails.
pub async fn clean(state_dir: &Path, provider: &dyn Provider) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let records = match RunRecord::dead(state_dir) {
        Ok(records) => records,
        Err(trouble) => {
            cleaned.troubles.push(trouble);
            return cleaned;
        }
    };
    for record in records {
        if record.provider() != provider.key() {
            cleaned.elsewhere.push(format!("run {} used {}", record.run(), record.provider()));
            continue;
        }
        if record.keeps() {
            keep_clusters(state_dir, record.run(), provider, &mut cleaned);
        } else {
            end_clusters(state_dir, provider, |id| is_of(id, record.run()), &mut cleaned).await;
        }
        if let Err(trouble) = heal(&record, provider, &mut cleaned).await {
            cleaned.troubles.push(trouble);
            continue;
        }
        cleaned.troubles.extend(record.close().err());
    }
    cleaned
}

/// Ends what runs that are over could not end, of a provider whose clusters are all made for runs.
pub async fn end_orphans(state_dir: &Path, provider: &dyn Provider, cleaned: &mut Cleaned) {
    match RunRecord::alive(state_dir) {
        Ok(alive) => {
            let is_orphan = |id: &str| !alive.iter().any(|run| is_of(id, run));
            end_clusters(state_dir, provider, is_orphan, cleaned).await;
        }
        Err(trouble) => cleaned.troubles.push(trouble),
    }
}

fn is_of(id: &str, run: &str) -> bool {
    id.strip_prefix(run).is_some_and(|rest| rest.starts_with('-'))
}

/// Writes down that clusters stay whose run was killed before it could.
fn keep_clusters(state_dir: &Path, run: &str, provider: &dyn Provider, cleaned: &mut Cleaned) {
    let ids = match provider.ids() {
        Ok(ids) => ids,
        Err(trouble) => return cleaned.troubles.push(trouble),
    };
    for id in ids.iter().filter(|id| is_of(id, run) && kept::why(state_dir, id).is_none()) {
        let why = format!("kept by run {run}, which was killed: --keep was given");
        cleaned.troubles.extend(kept::note(state_dir, id, &why).err());
    }
}

/// Ends those that are meant and that nobody keeps.
async fn end_clusters(
    state_dir: &Path,
    provider: &dyn Provider,
    is_meant: impl Fn(&str) -> bool,
    cleaned: &mut Cleaned,
) {
    let ids = match provider.ids() {
        Ok(ids) => ids,
        Err(trouble) => return cleaned.troubles.push(trouble),
    };
    for id in ids.into_iter().filter(|id| is_meant(id) && kept::why(state_dir, id).is_none()) {
        match provider.discard(&id).await {
            Ok(()) => cleaned.done.push(format!("removed cluster {id} of a dead run")),
            Err(trouble) => cleaned.troubles.push(trouble),
        }
    }
}

async fn heal(record: &RunRecord, provider: &dyn Provider, cleaned: &mut Cleaned) -> Result<(), Trouble> {
    let open = record.journal.still_open()?;
    let clusters: BTreeSet<&str> = open.iter().map(|open| open.cluster.as_str()).collect();
    for id in clusters {
        match provider.find(id).await? {
            Some(cluster) => {
                let troubles = heal_all(&record.journal, cluster.as_ref()).await;
                if troubles.is_empty() {
                    cleaned.done.push(format!("healed the faults of a dead run in cluster {id}"));
                }
                cleaned.troubles.extend(troubles);
            }
            None => {
                for open in open.iter().filter(|open| open.cluster == id) {
                    record.journal.healed(open.id)?;
                }
            }
        }
    }
    Ok(())
}
