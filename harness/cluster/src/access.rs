//! A client of one cluster.

use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::{Path, PathBuf};

/// The label that every object we create carries; its value is the id of the run.
pub const RUN_LABEL: &str = "gauntlet.test/run";

/// The field manager of everything we apply.
pub const MANAGER: &str = "gauntlet";

/// A cluster's API as we reach it.
#[derive(Clone)]
pub struct Access {
    pub client: Client,
    pub kubeconfig: PathBuf,
}

impl Access {
    /// # Errors
    /// The file cannot be read or used, said with its path.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self, Trouble> {
        let doing = || format!("cannot use the kubeconfig {}", path.display());
        let kubeconfig = Kubeconfig::read_from(path).or_trouble(doing)?;
        let mut config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.or_trouble(doing)?;
        // The client would repeat what is refused with 429 until it is granted: an eviction that a budget refuses must
        // be seen to be refused.
        config.default_retry = false;
        let client = Client::try_from(config).or_trouble(doing)?;
        Ok(Self { client, kubeconfig: path.to_owned() })
    }

    /// The version that the API server says it is, for example `v1.36.0`.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn version(&self) -> Result<String, Trouble> {
        let version = self.client.apiserver_version().await.or_trouble(|| "cannot ask the API for its version")?;
        Ok(version.git_version)
    }
}

/// What Kubernetes said, in one line, without the noise of its debug form.
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        other => other.to_string(),
    }
}
