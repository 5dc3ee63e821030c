//! How to reach NATS: a list of servers, with or without TLS.

use std::future::{Ready, ready};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::{Client, ConnectOptions, Event, ReconnectToServer, Server, ServerAddr, ServerInfo};

use crate::tls::TlsFiles;

/// An acknowledgement without a sequence is none: an earlier message of the same id is on its way, and may never be stored.
/// nats-server 2.10 answers so to whoever asks again while there is no quorum (nats-server, pull request 5827).
///
/// # Errors
/// It is such a one.
pub fn stored(ack: PublishAck) -> Result<PublishAck> {
    ensure!(ack.sequence > 0, "an earlier message of the same id is known, but not stored");
    Ok(ack)
}

/// Where NATS is and how to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSettings {
    /// `nats://host:port` or `tls://host:port`, in any number.
    pub servers: Vec<String>,
    pub tls: Option<TlsFiles>,
    /// Replicas of each JetStream stream.
    pub replicas: usize,
}

impl NatsSettings {
    /// From `NATS_URL`, `NATS_TLS_*` and `NATS_JS_REPLICAS`, as `get` gives them.
    ///
    /// # Errors
    /// As [`TlsFiles::from_env`], or a number of replicas that is none.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let replicas = match get("NATS_JS_REPLICAS") {
            Some(text) => text.trim().parse().with_context(|| format!("NATS_JS_REPLICAS is {text:?}, not a number"))?,
            None => 1,
        };
        let servers = get("NATS_URL").unwrap_or_else(|| "nats://nats:4222".into());
        Ok(Self {
            servers: servers.split(',').map(|server| server.trim().to_owned()).filter(|s| !s.is_empty()).collect(),
            tls: TlsFiles::from_env("NATS", get)?,
            replicas,
        })
    }

    /// Connects to the first server that answers, in the order in which they are given: nobody but who gave them chooses.
    /// The connection heals itself and keeps to the servers given here: those that servers tell of are addresses, which no
    /// certificate names.
    ///
    /// # Errors
    /// Bad settings, or nobody there who answers.
    pub async fn connect(&self, name: &str) -> Result<Client> {
        let servers = self
            .servers
            .iter()
            .map(|server| server.parse::<ServerAddr>().with_context(|| format!("{server:?} is no NATS address")))
            .collect::<Result<Vec<_>>>()?;
        let mut options = ConnectOptions::new()
            .name(name)
            .connection_timeout(Duration::from_secs(5))
            .ping_interval(Duration::from_secs(2))
            .request_timeout(Some(Duration::from_secs(5)))
            .ignore_discovered_servers()
            .retain_servers_order()
            .reconnect_to_server_callback(in_turn())
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| Duration::from_millis((attempts as u64 * 50).min(500)))
            .event_callback(|event| async move { log(&event) });
        if let Some(tls) = &self.tls {
            options = options.require_tls(true).tls_client_config(tls.client_config()?);
        }
        let client = options.connect(servers).await.context("nats does not answer")?;
        tracing::info!(server = client.server_info().server_name, "connected to nats");
        Ok(client)
    }

    /// The name that the server at one of the addresses goes by among its peers.
    ///
    /// # Errors
    /// Bad settings, or nobody there who answers.
    pub async fn name_of(&self, server: &str) -> Result<String> {
        let one = Self { servers: vec![server.to_owned()], ..self.clone() };
        Ok(one.connect("gauntlet-peers").await?.server_info().server_name)
    }

    /// A stream as the systems under test want it: on disk, replicated, nothing discarded that was acknowledged.
    pub fn stream(&self, name: &str, subject: &str) -> Config {
        Config {
            name: name.into(),
            subjects: vec![subject.into()],
            num_replicas: self.replicas,
            storage: StorageType::File,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            duplicate_window: Duration::from_secs(120),
            ..Config::default()
        }
    }
}

/// Whom a connection that is lost is made to: the server after the one that was tried last. It is not the one that was just
/// lost, which may let us wait for nothing.
fn in_turn() -> impl Fn(Vec<Server>, ServerInfo) -> Ready<Option<ReconnectToServer>> + Send + Sync + 'static {
    let tried: Mutex<Option<usize>> = Mutex::default();
    move |servers, _| {
        let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
        let connected: Vec<bool> = servers.iter().map(|server| server.did_connect).collect();
        *tried = next(&connected, *tried);
        let server = tried.and_then(|place| servers.get(place));
        ready(server.map(|server| ReconnectToServer { addr: server.addr.clone(), delay: None }))
    }
}

/// The place of the server that comes next; `None` as long as there was no connection: then each is tried.
fn next(connected: &[bool], tried: Option<usize>) -> Option<usize> {
    let last = tried.or_else(|| connected.iter().position(|connected| *connected))?;
    Some((last + 1) % connected.len())
}

fn log(event: &Event) {
    match event {
        Event::Connected => tracing::debug!("the connection to nats stands"),
        event => tracing::warn!("nats: {event}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_without_a_sequence_is_none() {
        let ack = |text: &str| serde_json::from_str::<PublishAck>(text).unwrap();
        for (text, is_stored) in [
            (r#"{"stream":"S","seq":7}"#, true),
            (r#"{"stream":"S","seq":7,"duplicate":true}"#, true),
            (r#"{"stream":"S","seq":0,"duplicate":true}"#, false),
        ] {
            assert_eq!(stored(ack(text)).is_ok(), is_stored, "{text}");
        }
    }

    #[test]
    fn after_a_loss_the_servers_come_in_turn() {
        for (connected, tried, expected) in [
            (&[false, false, false][..], None, None),
            (&[true, false, false], None, Some(1)),
            (&[false, false, true], None, Some(0)),
            (&[true, false, false], Some(1), Some(2)),
            (&[true, false, true], Some(2), Some(0)),
            (&[true], None, Some(0)),
        ] {
            assert_eq!(next(connected, tried), expected, "{connected:?} {tried:?}");
        }
    }

    #[test]
    fn servers_are_a_list() {
        let get = |name: &str| match name {
            "NATS_URL" => Some("tls://a:4222, tls://b:4222".to_owned()),
            "NATS_JS_REPLICAS" => Some("3".to_owned()),
            _ => None,
        };
        let settings = NatsSettings::from_env(get).unwrap();
        assert_eq!(settings.servers, ["tls://a:4222", "tls://b:4222"]);
        assert_eq!(settings.stream("S", "s.>").num_replicas, 3);
    }

    #[test]
    fn replicas_that_are_no_number_are_named() {
        let error = NatsSettings::from_env(|name| (name == "NATS_JS_REPLICAS").then(|| "three".into())).unwrap_err();
        assert!(error.to_string().contains("\"three\""));
    }
}
