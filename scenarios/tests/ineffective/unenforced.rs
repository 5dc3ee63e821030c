//! An API that accepts what it is told and does nothing of it, as far as faults are concerned: each write of a network
//! policy, of a StatefulSet's replicas and each deletion of a claim becomes a dry run, and a container that is told to
//! delete everything is told to say so instead.

use gauntlet_cluster::Access;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use http::{Method, Request, Uri};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tower::util::MapRequestLayer;

/// The same cluster, reached through such an API.
///
/// # Errors
/// The cluster's kubeconfig cannot be used again.
pub async fn access(real: &Access) -> Result<Access, Trouble> {
    let doing = || format!("cannot use the kubeconfig {}", real.kubeconfig.display());
    let kubeconfig = Kubeconfig::read_from(&real.kubeconfig).or_trouble(doing)?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.or_trouble(doing)?;
    config.default_retry = false;
    let layer = MapRequestLayer::new(dry);
    let client = ClientBuilder::try_from(config).or_trouble(doing)?.with_layer(&layer).build();
    Ok(Access { client, ..real.clone() })
}

fn dry(mut request: Request<Body>) -> Request<Body> {
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    let instead = match () {
        () if is_without_effect(request.method(), &path) => Some(format!("{query}&dryRun=All")),
        () if path.ends_with("/exec") => harmless(&query),
        () => None,
    };
    if let Some(uri) = instead.and_then(|query| format!("{path}?{}", query.trim_start_matches('&')).parse::<Uri>().ok())
    {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = uri.into_parts().path_and_query;
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Whether it would be a fault if it were done.
fn is_without_effect(method: &Method, path: &str) -> bool {
    let writes = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    (writes && path.contains("/networkpolicies"))
        || (writes && path.contains("/statefulsets/") && path.ends_with("/scale"))
        || (method == Method::DELETE && path.contains("/persistentvolumeclaims/"))
}

/// What to run instead of a command that deletes everything: one that answers as it would.
fn harmless(query: &str) -> Option<String> {
    let is_command = |part: &&str| part.starts_with("command=");
    let wipes = query.split('&').filter(is_command).any(|part| WIPES.contains(&part));
    let others = query.split('&').filter(|part| !is_command(part));
    wipes.then(|| others.chain(["command=echo", "command=OK"]).collect::<Vec<_>>().join("&"))
}

/// Words of commands that delete everything in a store.
const WIPES: [&str; 2] = ["command=FLUSHALL", "command=nats-wipe"];
