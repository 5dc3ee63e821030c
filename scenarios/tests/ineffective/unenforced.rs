//! An API that accepts network policies and keeps none, which is what a cluster without enforcement comes to: each write
//! of one becomes a dry run.

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
    let writes = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    if writes && request.uri().path().contains("/networkpolicies") {
        let uri = request.uri().to_string();
        let joined = if uri.contains('?') { "&" } else { "?" };
        if let Ok(dry) = format!("{uri}{joined}dryRun=All").parse::<Uri>() {
            *request.uri_mut() = dry;
        }
    }
    request
}
