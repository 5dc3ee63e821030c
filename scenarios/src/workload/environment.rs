//! What a client is told: by variables, secrets by reference only.

use super::clients::{Client, Placement};
use gauntlet_core::contract::Deployment;
use gauntlet_core::contract::store::{Store, StoreKind};
use gauntlet_core::span::Span;
use serde_json::{Value, json};

/// Where certificates are mounted.
pub const TLS: &str = "/gauntlet-tls";

/// The durable consumer of a fleet's stream.
pub const CONSUMER: &str = "gauntlet";

/// The variables of a client.
pub fn environment(deployment: Deployment<'_>, client: &Client<'_>, placement: &Placement) -> Vec<Value> {
    let value = |name: &str, value: String| json!({"name": name, "value": value});
    let from_secret = |variable: &str, secret: &str, key: &str| {
        let secret = client.secret(deployment, secret).copy_name();
        json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    };
    let mut variables = vec![value("GAUNTLET_WORKLOAD", settings(client, placement).to_string())];
    match client {
        Client::Redis(store) => {
            let scheme = if store.client_tls.is_some() { "rediss" } else { "redis" };
            let endpoints: Vec<&str> = store.endpoints.iter().map(|endpoint| endpoint.as_str()).collect();
            variables.push(value("REDIS_URL", format!("{scheme}://{}", endpoints[0])));
            if matches!(store.kind, StoreKind::RedisCluster { .. }) {
                variables.push(value("REDIS_CLUSTER_ADDRESSES", endpoints.join(",")));
            }
            if let Some(password) = &store.password {
                variables.push(from_secret("REDIS_PASSWORD", &password.secret.value, &password.key.value));
            }
            variables.extend(tls("REDIS", store));
        }
        Client::Nats(store) | Client::NatsAt(store, _) => {
            let scheme = if store.client_tls.is_some() { "tls" } else { "nats" };
            let mut known: Vec<&str> = match client {
                Client::NatsAt(_, endpoint) => vec![*endpoint],
                _ => store.endpoints.iter().map(|endpoint| endpoint.as_str()).collect(),
            };
            known.sort_by_key(|endpoint| placement.seed.derive(endpoint).0);
            let servers: Vec<String> = known.iter().map(|endpoint| format!("{scheme}://{endpoint}")).collect();
            variables.push(value("NATS_URL", servers.join(",")));
            if let StoreKind::NatsJetstream { stream_replicas, .. } = store.kind {
                variables.push(value("NATS_JS_REPLICAS", stream_replicas.to_string()));
            }
            variables.extend(tls("NATS", store));
        }
        Client::Jobs(pipeline) => {
            variables.push(value("GATEWAY_URL", origin(&pipeline.submit_url)));
            if let Some(key) = &pipeline.key {
                variables.push(from_secret("API_KEY", &key.secret.value, &key.key.value));
            }
        }
    }
    variables
}

fn settings(client: &Client<'_>, placement: &Placement) -> Value {
    let mut settings = json!({
        "client": placement.pod_name(client),
        "history_dir": "/history",
        "stream": false,
        "pause_ms": placement.load.pause_ms,
    });
    match client {
        Client::Redis(_) => settings["redis"] = json!({"prefix": placement.pod_name(client)}),
        Client::Nats(_) | Client::NatsAt(..) => {
            let subject = format!("gauntlet.{}.data", placement.fleet);
            let takes = placement.load.consume && matches!(client, Client::Nats(_));
            let consumer = takes.then_some(CONSUMER);
            settings["nats"] = json!({"stream": placement.stream(), "subject": subject, "consumer": consumer});
        }
        Client::Jobs(_) => {
            if let Some(Span(within)) = placement.settled_within {
                settings["verify_timeout_ms"] = json!(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
            }
        }
    }
    settings
}

fn tls(prefix: &str, store: &Store) -> Vec<Value> {
    if store.client_tls.is_none() {
        return vec![];
    }
    let files = [("CA", "ca.crt"), ("CERT", "tls.crt"), ("KEY", "tls.key")];
    files.map(|(what, file)| json!({"name": format!("{prefix}_TLS_{what}"), "value": format!("{TLS}/{file}")})).to_vec()
}

/// `scheme://host:port` of a URL.
fn origin(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    url[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_a_url_has_no_path() {
        assert_eq!(origin("http://gw.ns.svc:8081/api/v1/jobs"), "http://gw.ns.svc:8081");
        assert_eq!(origin("http://gw"), "http://gw");
    }
}
