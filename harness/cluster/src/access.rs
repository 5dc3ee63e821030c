//! A client of one cluster.

use crate::retry::{Again, Hitches};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Trouble, suggest};
use kube::Client;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::Discovery;
use std::path::{Path, PathBuf};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;

/// The label that every object we create carries; its value is the id of the run.
pub const RUN_LABEL: &str = "gauntlet.test/run";

/// The field manager of everything we apply.
pub const MANAGER: &str = "gauntlet";

/// Requests that may wait to be sent.
const AT_ONCE: usize = 1024;

/// The oldest Kubernetes that the harness is made for, as major and minor version.
const OLDEST: (u32, u32) = (1, 30);

/// A cluster's API as we reach it.
#[derive(Clone)]
pub struct Access {
    pub client: Client,
    pub kubeconfig: PathBuf,
    /// Others live on this cluster: what does not carry [`RUN_LABEL`] is not ours to change.
    pub is_shared: bool,
    /// What the API server did not serve at once.
    pub hitches: Hitches,
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
        // The client's own repetition would hide the refusal of an eviction by a budget.
        config.default_retry = false;
        let builder = ClientBuilder::try_from(config).map_err(|error| unusable(&error.to_string()).doing(doing()))?;
        let hitches = Hitches::default();
        let again = RetryLayer::new(Again::counting(hitches.clone()));
        let client = builder.with_layer(&BufferLayer::new(AT_ONCE)).with_layer(&again).build();
        Ok(Self { client, kubeconfig: path.to_owned(), is_shared: false, hitches })
    }

    /// The kinds that the API serves, in one document: asked for group by group, one group that is going, since its
    /// definition was deleted, or whose server is down would hide all others.
    ///
    /// # Errors
    /// What the API said.
    pub async fn kinds(&self) -> Result<Discovery, kube::Error> {
        match Discovery::new(self.client.clone()).run_aggregated().await {
            Ok(kinds) => Ok(kinds),
            // A proxy may have dropped what was asked for.
            Err(_) => Discovery::new(self.client.clone()).run().await,
        }
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

/// Why no client could be made. What the TLS library says of a client certificate is of no help to who has to mend it.
fn unusable(error: &str) -> Trouble {
    let trouble = Trouble::input(error);
    if !error.contains("UnsupportedCertVersion") {
        return trouble;
    }
    trouble.hint(
        "the client certificate is of X.509 version 1, which this program refuses; issue one with an extension, \
         such as extendedKeyUsage=clientAuth, which makes it one of version 3",
    )
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
    use kube::client::Body;
    use kube::core::GroupVersionKind;
    use serde_json::{Value, json};

    /// A server that lists a group whose own document is gone.
    fn with_a_group_that_is_going() -> Access {
        let list = |items: Value| json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items});
        let pods =
            json!({"resource": "pods", "responseKind": {"kind": "Pod"}, "scope": "Namespaced", "verbs": ["list"]});
        let core = list(json!([{"versions": [{"version": "v1", "resources": [pods]}]}]));
        let going = json!({"metadata": {"name": "going.example"}, "versions": [{"version": "v1", "resources": []}]});
        let others = list(json!([going]));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (code, answer) = match request.uri().path() {
                "/api" => (200, core.to_string()),
                "/apis" => (200, others.to_string()),
                _ => (404, "404 page not found".to_owned()),
            };
            async move { http::Response::builder().status(code).body(Body::from(answer.into_bytes())) }
        });
        Access {
            client: Client::new(service, "default"),
            kubeconfig: PathBuf::new(),
            is_shared: true,
            hitches: Hitches::default(),
        }
    }

    #[tokio::test]
    async fn a_group_that_is_going_hides_no_other() {
        let kinds = with_a_group_that_is_going().kinds().await.expect("the kinds");
        assert!(kinds.resolve_gvk(&GroupVersionKind::gvk("", "v1", "Pod")).is_some());
    }

    #[test]
    fn an_old_client_certificate_is_told_with_what_to_do() {
        let said = "invalid private key: invalid peer certificate: Other(OtherError(UnsupportedCertVersion))";
        assert!(unusable(said).hints.iter().any(|hint| hint.contains("extendedKeyUsage=clientAuth")));
        assert!(unusable("no such host").hints.is_empty());
    }

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
