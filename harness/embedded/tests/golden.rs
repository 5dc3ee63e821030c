//! Replays recordings of a real API server against an embedded cluster: needs root, `runc`, `nft` and `redis-server`.
//!
//! Every file of `golden/` is a test. One fails when an answer differs from the recording, and also when one that is
//! listed in `golden/known-differences.yaml` does not, so that the list only shrinks.

mod golden_replay;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gauntlet_embedded::{Config, Handle, launch};
use golden_replay::client::Client;
use golden_replay::known::{self, Known, verdict};
use golden_replay::replay;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, RwLock};

/// The recordings mostly wait; more of them at once than there are cores.
const AT_ONCE: usize = 6;
const NODES: u8 = 4;
const DEADLINE: Duration = Duration::from_secs(60);

fn main() {
    gauntlet_embedded::dispatch();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let conclusion = match stage() {
        Ok((stage, trials)) => {
            let conclusion = libtest_mimic::run(&arguments, trials);
            stage.clear();
            conclusion
        }
        Err(error) => {
            let why = error.message().unwrap_or("failed").to_owned();
            libtest_mimic::run(&arguments, vec![Trial::test("the_recordings_are_readable", move || Err(why.into()))])
        }
    };
    conclusion.exit();
}

/// What the replays share: a cluster, launched when the first of them needs it.
struct Stage {
    runtime: Runtime,
    /// The error of a launch that failed is that of all replays: nobody tries again.
    cluster: Mutex<Option<Result<Cluster, String>>>,
    /// Held by all replays, and alone by those that change nodes.
    nodes: RwLock<()>,
    known: Known,
}

struct Cluster {
    handle: Handle,
    client: Arc<Client>,
    _state: tempfile::TempDir,
}

fn stage() -> Result<(Arc<Stage>, Vec<Trial>), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    // Those that must be alone come last.
    let mut ordered =
        files.into_iter().map(|file| Ok((replay::is_exclusive(&file)?, file))).collect::<Result<Vec<_>, Failed>>()?;
    ordered.sort();
    let names: Vec<String> = ordered.iter().map(|(_, file)| stem(file)).collect();
    let stage = Arc::new(Stage {
        runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
        cluster: Mutex::new(None),
        nodes: RwLock::new(()),
        known: known::parse(&std::fs::read_to_string(folder.join("known-differences.yaml"))?, &names)?,
    });
    let trials = ordered.into_iter().map(|(exclusive, file)| {
        let stage = stage.clone();
        Trial::test(stem(&file), move || stage.replay(&file, exclusive))
    });
    Ok((stage.clone(), trials.collect()))
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Stage {
    fn replay(&self, file: &Path, exclusive: bool) -> Result<(), Failed> {
        let differences = self.runtime.block_on(async {
            let (_shared, _alone);
            if exclusive {
                _alone = self.nodes.write().await;
            } else {
                _shared = self.nodes.read().await;
            }
            replay::differences(&*self.client().await?, file).await
        })?;
        Ok(verdict(&differences, self.known.get(&stem(file)))?)
    }

    async fn client(&self) -> Result<Arc<Client>, Failed> {
        let mut cluster = self.cluster.lock().await;
        if cluster.is_none() {
            let launched = Cluster::launch().await.map_err(|error| error.message().unwrap_or("failed").to_owned());
            *cluster = Some(launched);
        }
        match &*cluster {
            Some(Ok(cluster)) => Ok(cluster.client.clone()),
            Some(Err(error)) => Err(format!("there is no cluster: {error}").into()),
            None => Err("there is no cluster".into()),
        }
    }

    /// Ends the cluster, if there is one.
    fn clear(&self) {
        self.runtime.block_on(async {
            if let Some(Ok(cluster)) = self.cluster.lock().await.take()
                && let Err(error) = cluster.handle.stop(DEADLINE).await
            {
                eprintln!("the cluster did not end in order: {error}");
            }
        });
    }
}

impl Cluster {
    async fn launch() -> Result<Self, Failed> {
        let state = tempfile::tempdir()?;
        let config = Config { state_dir: state.path().to_owned(), ..Config::new("golden", NODES) };
        let handle = launch(config, DEADLINE).await?;
        let client = Arc::new(Client::from_kubeconfig(handle.kubeconfig())?);
        replay::nodes_ready(&client, NODES, DEADLINE).await?;
        Ok(Self { handle, client, _state: state })
    }
}
