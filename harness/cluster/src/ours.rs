//! Which namespaces are a run's: on a cluster with other users, what happens in theirs is none of its business and does not
//! belong into its report.

use crate::access::Access;
use crate::ownership;
use std::collections::BTreeMap;

/// Remembers what it was told of each namespace: one that exists changes hands with nobody.
pub struct Ours {
    access: Access,
    run: String,
    known: BTreeMap<String, bool>,
}

impl Ours {
    pub fn of(access: Access, run: String) -> Self {
        Self { access, run, known: BTreeMap::new() }
    }

    /// Whether a namespace is the run's. On a cluster that nobody else uses, all are; one that cannot be asked about is not,
    /// and is asked about again.
    pub async fn has(&mut self, namespace: &str) -> bool {
        if !self.access.is_shared {
            return true;
        }
        if let Some(known) = self.known.get(namespace) {
            return *known;
        }
        match ownership::is_of(&self.access, &self.run, namespace).await {
            Ok(is_ours) => {
                self.known.insert(namespace.to_owned(), is_ours);
                is_ours
            }
            Err(error) => {
                tracing::debug!(%error, namespace, "cannot be asked whose it is");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::RUN_LABEL;
    use crate::retry::Hitches;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use std::convert::Infallible;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Namespaces named after the run that they belong to.
    fn access(is_shared: bool, asked: Arc<AtomicUsize>) -> Access {
        let service = tower::service_fn(move |request: Request<Body>| {
            asked.fetch_add(1, Ordering::Relaxed);
            let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let labels = if name == "foreign" { json!({}) } else { json!({RUN_LABEL: name}) };
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            async move { Ok::<_, Infallible>(Response::new(Body::from(namespace.to_string().into_bytes()))) }
        });
        let client = kube::Client::new(service, "default");
        Access { client, kubeconfig: PathBuf::new(), is_shared, hitches: Hitches::default() }
    }

    #[tokio::test]
    async fn only_namespaces_of_the_run_are_its_own_and_each_is_asked_about_once() {
        let asked = Arc::new(AtomicUsize::new(0));
        let mut ours = Ours::of(access(true, asked.clone()), "r1".to_owned());
        for _ in 0..2 {
            for (namespace, expected) in [("r1", true), ("r2", false), ("foreign", false)] {
                assert_eq!(ours.has(namespace).await, expected, "{namespace}");
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn on_a_cluster_of_its_own_everything_is_the_runs_unasked() {
        let asked = Arc::new(AtomicUsize::new(0));
        assert!(Ours::of(access(false, asked.clone()), "r1".to_owned()).has("kube-system").await);
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }
}
