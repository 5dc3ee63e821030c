//! What NATS says of its peers: each member's own name, and the replicas of every stream and consumer.
//!
//! Who the replicas are and whether they are current is the answer of each stream's and consumer's own leader: no
//! other server knows, and one that was cut off would tell what used to be true.

use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream;
use async_nats::jetstream::stream::{ClusterInfo, Stream};
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::nats_link::NatsSettings;

/// How long a member may take to let us in and tell its name.
const NAMED_WITHIN: Duration = Duration::from_secs(5);

/// Asks all members and all leaders. A member or a leader that does not answer is in the answer too, with its error.
///
/// # Errors
/// The streams cannot be listed.
pub async fn ask(settings: &NatsSettings, js: &jetstream::Context) -> Result<Value> {
    let servers = join_all(settings.servers.iter().map(|server| member(settings, server))).await;
    let names: Vec<String> = js.stream_names().try_collect().await.context("the streams cannot be listed")?;
    let streams = join_all(names.iter().map(async |name| match stream(js, name).await {
        Ok(stream) => stream,
        Err(error) => json!({"name": name, "error": format!("{error:#}")}),
    }))
    .await;
    Ok(json!({"servers": servers, "streams": streams}))
}

async fn member(settings: &NatsSettings, server: &str) -> Value {
    match tokio::time::timeout(NAMED_WITHIN, settings.name_of(server)).await {
        Ok(Ok(name)) => json!({"endpoint": server, "name": name}),
        Ok(Err(error)) => json!({"endpoint": server, "error": format!("{error:#}")}),
        Err(_) => json!({"endpoint": server, "error": "no answer in time"}),
    }
}

async fn stream(js: &jetstream::Context, name: &str) -> Result<Value> {
    let stream = js.get_stream(name).await.context("its leader does not answer")?;
    let info = stream.cached_info();
    Ok(json!({
        "name": name,
        "replicas": info.config.num_replicas,
        "group": group(info.cluster.as_ref()),
        "consumers": consumers(&stream).await?,
    }))
}

async fn consumers(stream: &Stream) -> Result<Vec<Value>> {
    let mut names = stream.consumer_names();
    let mut consumers = Vec::new();
    while let Some(name) = names.next().await {
        let name = name.context("its consumers cannot be listed")?;
        consumers.push(match stream.consumer_info(&name).await {
            Ok(info) => json!({"name": name, "group": group(info.cluster.as_ref())}),
            Err(error) => json!({"name": name, "error": error.to_string()}),
        });
    }
    Ok(consumers)
}

fn group(cluster: Option<&ClusterInfo>) -> Value {
    let Some(cluster) = cluster else { return Value::Null };
    let peers = cluster.replicas.iter().map(|peer| {
        json!({"name": peer.name, "current": peer.current, "offline": peer.offline, "lag": peer.lag.unwrap_or(0)})
    });
    json!({"leader": cluster.leader, "followers": peers.collect::<Vec<_>>()})
}
