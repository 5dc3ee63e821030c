//! `agent redis-exporter`: the part of `redis_exporter` that a deployment's monitoring and probes need, with its flags,
//! variables and metric names.
//!
//! It listens on port 9121 and asks one server at every scrape: `/metrics`, and `/health` for itself. There are: `redis_up`,
//! clients, replicas, memory, commands, connections, keyspace hits and misses, evictions, expiries, uptime, keys per
//! database, replication, and the state of the cluster as the server sees it. Absent are: `/scrape?target=`, Lua and
//! key checks, latency and slow-log metrics, per-command figures, Sentinel, TLS of its own, and going without
//! verification (`--skip-tls-verification` is refused).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use clap::Args;
use redis::AsyncConnectionConfig;

use crate::redis_link::{RedisSettings, Secret};
use crate::standin::env;
use crate::tls::TlsFiles;
use crate::{http_server, lifecycle};

/// How long the server may take to answer one scrape.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Args)]
pub struct ExporterArgs {
    /// The server; else REDIS_ADDR, else redis://localhost:6379.
    #[arg(long = "redis.addr")]
    addr: Option<String>,
    /// Its password; else REDIS_PASSWORD.
    #[arg(long = "redis.password")]
    password: Option<String>,
    /// Where to listen; else REDIS_EXPORTER_WEB_LISTEN_ADDRESS, else 0.0.0.0:9121.
    #[arg(long = "web.listen-address")]
    listen: Option<String>,
    /// Whom to trust; else REDIS_EXPORTER_TLS_CA_CERT_FILE.
    #[arg(long)]
    tls_ca_cert_file: Option<PathBuf>,
    /// Our certificate; else REDIS_EXPORTER_TLS_CLIENT_CERT_FILE.
    #[arg(long)]
    tls_client_cert_file: Option<PathBuf>,
    /// Our key; else REDIS_EXPORTER_TLS_CLIENT_KEY_FILE.
    #[arg(long)]
    tls_client_key_file: Option<PathBuf>,
    /// Refused: this exporter always verifies.
    #[arg(long)]
    skip_tls_verification: bool,
    /// Accepted for compatibility; whether there is a cluster is asked of the server. Else REDIS_EXPORTER_IS_CLUSTER.
    #[arg(long)]
    is_cluster: bool,
}

struct Exporter {
    settings: RedisSettings,
    scrapes: AtomicU64,
}

/// Serves until TERM. Whether the server is there shows in `redis_up`, not in whether this runs.
///
/// # Errors
/// Bad settings, or a port that is taken.
pub async fn run(args: ExporterArgs) -> Result<()> {
    let listen = args.listen.clone().or_else(|| env("REDIS_EXPORTER_WEB_LISTEN_ADDRESS"));
    let address = listen_address(listen.as_deref().unwrap_or("0.0.0.0:9121"))?;
    let exporter = Arc::new(Exporter { settings: settings(args)?, scrapes: AtomicU64::new(0) });
    let router =
        Router::new().route("/metrics", get(scrape)).route("/health", get(|| async { "ok" })).with_state(exporter);
    let shutdown = lifecycle::shutdown_on_signal()?;
    http_server::serve(http_server::bind(address).await?, router, shutdown).await
}

/// `:9121` listens everywhere, as in Go.
fn listen_address(text: &str) -> Result<SocketAddr> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().with_context(|| format!("{text:?} is no address to listen on"))
}

fn settings(args: ExporterArgs) -> Result<RedisSettings> {
    let skip = env("REDIS_EXPORTER_SKIP_TLS_VERIFICATION").is_some_and(|text| text == "true" || text == "1");
    if args.skip_tls_verification || skip {
        bail!("going without TLS verification is not supported: name the CA (--tls-ca-cert-file)");
    }
    let path = |path: &Option<PathBuf>, name: &str| match path {
        Some(path) => Some(path.display().to_string()),
        None => env(name),
    };
    let tls = TlsFiles::from_env("REDIS", |name| match name {
        "REDIS_TLS_CA" => path(&args.tls_ca_cert_file, "REDIS_EXPORTER_TLS_CA_CERT_FILE"),
        "REDIS_TLS_CERT" => path(&args.tls_client_cert_file, "REDIS_EXPORTER_TLS_CLIENT_CERT_FILE"),
        "REDIS_TLS_KEY" => path(&args.tls_client_key_file, "REDIS_EXPORTER_TLS_CLIENT_KEY_FILE"),
        _ => None,
    })?;
    let address = args.addr.clone().or_else(|| env("REDIS_ADDR")).unwrap_or_else(|| "redis://localhost:6379".into());
    let url = if address.contains("://") { address } else { format!("redis://{address}") };
    let password = args.password.clone().or_else(|| env("REDIS_PASSWORD")).map(Secret);
    Ok(RedisSettings { url, cluster: vec![], password, tls })
}

async fn scrape(State(exporter): State<Arc<Exporter>>) -> impl IntoResponse {
    let scrapes = exporter.scrapes.fetch_add(1, Ordering::Relaxed) + 1;
    let asked = match tokio::time::timeout(TIMEOUT, ask(&exporter.settings)).await {
        Ok(asked) => asked,
        Err(_) => Err(anyhow::anyhow!("no answer within {TIMEOUT:?}")),
    };
    if let Err(error) = &asked {
        tracing::warn!("redis could not be asked: {error:#}");
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render(scrapes, asked.ok().as_ref()))
}

/// What the server says of itself.
struct Answer {
    info: String,
    /// Absent where it is not part of a cluster.
    cluster: Option<String>,
}

async fn ask(settings: &RedisSettings) -> Result<Answer> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
    let client = settings.client(settings.server()?)?;
    let mut connection =
        client.get_multiplexed_async_connection_with_config(&config).await.context("it cannot be connected to")?;
    let info: String = redis::cmd("INFO").arg("everything").query_async(&mut connection).await.context("INFO")?;
    let cluster = match fields(&info).get("cluster_enabled") {
        Some(&"1") => {
            Some(redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await.context("CLUSTER INFO")?)
        }
        _ => None,
    };
    Ok(Answer { info, cluster })
}

fn fields(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.trim().split_once(':')).collect()
}

/// Fields of `INFO` and the metrics they become, as redis_exporter calls them.
const GAUGES: [(&str, &str); 11] = [
    ("connected_clients", "redis_connected_clients"),
    ("blocked_clients", "redis_blocked_clients"),
    ("connected_slaves", "redis_connected_slaves"),
    ("used_memory", "redis_memory_used_bytes"),
    ("maxmemory", "redis_memory_max_bytes"),
    ("uptime_in_seconds", "redis_uptime_in_seconds"),
    ("loading", "redis_loading_dump_file"),
    ("aof_enabled", "redis_aof_enabled"),
    ("master_repl_offset", "redis_master_repl_offset"),
    ("slave_repl_offset", "redis_slave_repl_offset"),
    ("cluster_enabled", "redis_cluster_enabled"),
];
const COUNTERS: [(&str, &str); 6] = [
    ("total_connections_received", "redis_connections_received_total"),
    ("total_commands_processed", "redis_commands_processed_total"),
    ("keyspace_hits", "redis_keyspace_hits_total"),
    ("keyspace_misses", "redis_keyspace_misses_total"),
    ("evicted_keys", "redis_evicted_keys_total"),
    ("expired_keys", "redis_expired_keys_total"),
];
const CLUSTER: [&str; 8] = [
    "cluster_slots_assigned",
    "cluster_slots_ok",
    "cluster_slots_pfail",
    "cluster_slots_fail",
    "cluster_known_nodes",
    "cluster_size",
    "cluster_current_epoch",
    "cluster_my_epoch",
];

fn render(scrapes: u64, answer: Option<&Answer>) -> String {
    let mut out = String::new();
    let mut write = |kind: &str, name: &str, labels: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(out, "# TYPE {name} {kind}\n{name}{labels} {value}");
    };
    write("counter", "redis_exporter_scrapes_total", "", &scrapes.to_string());
    write("gauge", "redis_up", "", if answer.is_some() { "1" } else { "0" });
    let Some(answer) = answer else { return out };
    let info = fields(&answer.info);
    let text = |name: &str| info.get(name).copied().unwrap_or_default();
    let labels = format!(
        "{{redis_version=\"{}\",redis_mode=\"{}\",role=\"{}\"}}",
        text("redis_version"),
        text("redis_mode"),
        text("role")
    );
    write("gauge", "redis_instance_info", &labels, "1");
    for (kind, table) in [("gauge", &GAUGES[..]), ("counter", &COUNTERS[..])] {
        for (field, name) in table {
            if let Some(value) = info.get(field) {
                write(kind, name, "", value);
            }
        }
    }
    if let Some(status) = info.get("master_link_status") {
        write("gauge", "redis_master_link_up", "", if *status == "up" { "1" } else { "0" });
    }
    for (database, keys) in databases(&info) {
        write("gauge", "redis_db_keys", &format!("{{db=\"{database}\"}}"), keys);
    }
    if let Some(cluster) = &answer.cluster {
        let cluster = fields(cluster);
        let ok = cluster.get("cluster_state") == Some(&"ok");
        write("gauge", "redis_cluster_state", "", if ok { "1" } else { "0" });
        for field in CLUSTER {
            if let Some(value) = cluster.get(field) {
                write("gauge", &format!("redis_{field}"), "", value);
            }
        }
    }
    out
}

/// `db0:keys=3,expires=0,avg_ttl=0`
fn databases<'a>(info: &BTreeMap<&'a str, &'a str>) -> Vec<(&'a str, &'a str)> {
    info.iter()
        .filter(|(name, _)| name.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok()))
        .filter_map(|(name, value)| Some((*name, value.strip_prefix("keys=")?.split(',').next()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_that_does_not_answer_is_down_and_nothing_else_is_claimed() {
        let text = render(3, None);
        assert!(text.contains("redis_up 0\n") && text.contains("redis_exporter_scrapes_total 3\n"));
        assert!(!text.contains("redis_connected_clients"));
    }

    #[test]
    fn metrics_come_from_what_the_server_says() {
        let info = "redis_version:7.0.15\r\nredis_mode:cluster\r\nrole:slave\r\nconnected_clients:4\r\nmaster_link_status:down\r\ndb0:keys=3,expires=0,avg_ttl=0\r\n";
        let cluster = Some("cluster_state:fail\r\ncluster_slots_ok:10923\r\n".to_owned());
        let text = render(1, Some(&Answer { info: info.into(), cluster }));
        for line in [
            "redis_up 1",
            "redis_connected_clients 4",
            "redis_master_link_up 0",
            "redis_db_keys{db=\"db0\"} 3",
            "redis_cluster_state 0",
            "redis_cluster_slots_ok 10923",
            "redis_instance_info{redis_version=\"7.0.15\",redis_mode=\"cluster\",role=\"slave\"} 1",
        ] {
            assert!(text.lines().any(|given| given == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn address_without_host_listens_everywhere() {
        assert_eq!(listen_address(":9121").unwrap(), "0.0.0.0:9121".parse().unwrap());
        assert!(listen_address("nowhere").is_err());
    }
}
