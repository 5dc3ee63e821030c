//! Services: compiled to one nftables ruleset, replaced atomically whenever a Service or an EndpointSlice changes.
//!
//! - [`frontends`]: what each Service port leads to (pure)
//! - [`nft`]: the ruleset for that (pure)
//!
//! Only new connections pass these rules: one that stands stays with its endpoint, as with kube-proxy. UDP flows that
//! repeat within conntrack's timeout (30 s, 120 s once answered) from one port to a Service keep their endpoint too,
//! even when that endpoint is gone; clients like DNS resolvers use a new port per query and do not notice.

pub mod frontends;
pub mod nft;

use std::sync::Arc;
use std::time::Duration;

use embedded_apimachinery::Api;
use embedded_apimachinery::resource::{ENDPOINT_SLICES, SERVICES};
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::netns::NetNs;
use crate::nft as rules;

/// Changes that come this close together are applied as one.
const GATHER: Duration = Duration::from_millis(3);

/// After rules were refused, they are tried again after this time even if nothing changes.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps the rules of `namespace` as Services and EndpointSlices say, until `shutdown`.
pub async fn run(api: Arc<dyn Api>, namespace: NetNs, shutdown: CancellationToken) {
    let mut applied = String::new();
    loop {
        let (services, services_at) = api.list(&SERVICES, None);
        let (slices, slices_at) = api.list(&ENDPOINT_SLICES, None);
        let ruleset = nft::render(&frontends::compile(&services, &slices));
        let mut retry = Duration::MAX;
        if ruleset != applied {
            match apply(&namespace, ruleset.clone()).await {
                Ok(()) => applied = ruleset,
                Err(error) => {
                    tracing::error!(%error, "services are not up to date");
                    retry = RETRY;
                }
            }
        }
        let changed = async {
            // A watch that cannot start or ends has missed something: list again.
            let (Ok(mut services), Ok(mut slices)) =
                (api.watch(&SERVICES, None, services_at), api.watch(&ENDPOINT_SLICES, None, slices_at))
            else {
                return;
            };
            tokio::select! {
                _ = services.next() => {}
                _ = slices.next() => {}
            }
            tokio::time::sleep(GATHER).await;
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = changed => {}
            () = tokio::time::sleep(retry) => {}
        }
    }
}

/// Replaces the rules in `namespace`, all or nothing.
pub(crate) async fn apply(namespace: &NetNs, ruleset: String) -> Result<()> {
    rules::load(namespace, "load the rules of Services with `nft`", ruleset).await
}
