//! A client of one cluster.

use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Trouble, suggest};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::{Path, PathBuf};

/// The label that every object we create carries; its value is the id of the run.
pub const RUN_LABEL: &str = "gauntlet.test/run";

/// The field manager of everything we apply.
pub const MANAGER: &str = "gauntlet";

/// The oldest Kubernetes that the harness is made for, as major and minor version.
const OLDEST: (u32, u32) = (1, 30);

/// A cluster's API as we reach it.
#[derive(Clone)]
pub struct Access {
    pub client: Client,
    pub kubeconfig: PathBuf,
    /// Others live on this cluster: what does not carry [`RUN_LABEL`] is not ours to change.
    pub is_shared: bool,
}

impl Access {
    /// # Errors
    /// The file cannot be read or used, said with its path.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self, Trouble> {
        Self::with_options(path, KubeConfigOptions::default()).await
    }

    /// A context of a cluster that is not ours alone.
    ///
    /// # Errors
    /// The file cannot be read or used, or has no such context: which it has.
    pub async fn from_context(path: &Path, context: &str) -> Result<Self, Trouble> {
        let known: Vec<String> = read(path)?.contexts.into_iter().map(|known| known.name).collect();
        if !known.iter().any(|name| name == context) {
            let trouble = Trouble::input(format!("{} has no context called `{context}`", path.display()));
            let hint = suggest::sentence(context, known.iter().map(String::as_str));
            return Err(hint.into_iter().fold(trouble, Trouble::hint));
        }
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let access = Self::with_options(path, options).await?;
        Ok(Self { is_shared: true, ..access })
    }

    async fn with_options(path: &Path, options: KubeConfigOptions) -> Result<Self, Trouble> {
        let doing = || format!("cannot use the kubeconfig {}", path.display());
        let mut config = kube::Config::from_custom_kubeconfig(read(path)?, &options).await.or_trouble(doing)?;
        // The client would repeat what is refused with 429 until it is granted: an eviction that a budget refuses must
        // be seen to be refused.
        config.default_retry = false;
        let client = Client::try_from(config).or_trouble(doing)?;
        Ok(Self { client, kubeconfig: path.to_owned(), is_shared: false })
    }

    /// # Errors
    /// The API does not answer, or is older than the harness is made for.
    pub async fn check_version(&self) -> Result<(), Trouble> {
        let version = self.version().await?;
        match minor_version(&version) {
            Some(found) if found < OLDEST => {
                let (major, minor) = OLDEST;
                Err(Trouble::input(format!(
                    "the cluster runs Kubernetes {version}; {major}.{minor} or later is needed"
                )))
            }
            _ => Ok(()),
        }
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

fn read(path: &Path) -> Result<Kubeconfig, Trouble> {
    Kubeconfig::read_from(path)
        .map_err(|error| Trouble::input(format!("cannot use the kubeconfig {}: {error}", path.display())))
}

/// Major and minor of `v1.36.2` and the like.
fn minor_version(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What Kubernetes said, in one line, without the noise of its debug form.
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_vendors_are_understood() {
        for (text, expected) in [
            ("v1.36.2", Some((1, 36))),
            ("v1.30.4-gke.1000", Some((1, 30))),
            ("1.31+", Some((1, 31))),
            ("unknown", None),
        ] {
            assert_eq!(minor_version(text), expected, "{text}");
        }
    }
}
