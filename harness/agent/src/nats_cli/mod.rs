//! `agent nats`: the part of the `nats` command that backups and restores of a deployment need, with its names for
//! commands, options and environment variables.
//!
//! There are: `stream backup` (also called `snapshot`), `stream restore`, `stream ls`, `stream info`, `stream rm`,
//! `account backup`, `account restore`, `pub`. Everything else of the real command is absent: contexts, credentials,
//! consumers, key-value and object stores, streams made or edited by hand, tables in colour, progress.
//!
//! # Where compatibility ends
//! A backup is a folder with `backup.json` and `stream.tar.s2`. The first holds what the server answered to the request
//! for a snapshot (its `config` and `state`; everything else in it is passed over), the second the server's own archive,
//! byte for byte, so what one program wrote the other can send back. Tests and scenarios try this against real servers
//! (2.9), never against the real command, which they do not have.
//!
//! Not done: checking the archive on the server before it is sent (`jsck`), another window of chunks than the server's
//! default, taking up a transfer that broke off, restoring under another name, into another cluster or with other tags,
//! and archives within one file as the command made them before 2021. A restore sends `config` and `state` as they were
//! saved, with `--replicas` and `--config` as the only changes. Neither program keeps a checksum: what was damaged on
//! disk only the server may notice.

mod restore;
mod snapshot;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_nats::Client;
use async_nats::jetstream::{self, stream};
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::nats_link::NatsSettings;
use crate::output;
use crate::standin::env;
use crate::tls::TlsFiles;

/// The two files of a backup.
const META: &str = "backup.json";
const DATA: &str = "stream.tar.s2";

#[derive(Args)]
pub struct NatsArgs {
    /// Servers to connect to, comma-separated; else NATS_URL.
    #[arg(short, long, global = true)]
    server: Option<String>,
    /// Whom to trust; else NATS_CA.
    #[arg(long, global = true)]
    tlscacert: Option<PathBuf>,
    /// Our certificate; else NATS_CERT.
    #[arg(long, global = true)]
    tlscert: Option<PathBuf>,
    /// Our key; else NATS_KEY.
    #[arg(long, global = true)]
    tlskey: Option<PathBuf>,
    /// How long to wait for each answer, in seconds, with or without an "s".
    #[arg(long, global = true, default_value = "5s", value_parser = seconds)]
    timeout: Duration,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Streams.
    #[command(subcommand, alias = "str")]
    Stream(StreamCommand),
    /// All streams of the account.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Publish a message.
    Pub { subject: String, body: String },
}

#[derive(Subcommand)]
enum StreamCommand {
    /// Save a stream, with its consumers, into a folder.
    #[command(alias = "snapshot")]
    Backup {
        stream: String,
        folder: PathBuf,
        /// Without the consumers.
        #[arg(long)]
        no_consumers: bool,
    },
    /// Make a stream from a folder: `restore FOLDER` or `restore STREAM FOLDER`.
    Restore {
        #[arg(required = true, num_args = 1..=2)]
        what: Vec<String>,
        /// Another number of replicas than it had.
        #[arg(long)]
        replicas: Option<usize>,
        /// Another configuration than it had, as a JSON file.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// List streams.
    #[command(alias = "list")]
    Ls {
        /// As JSON.
        #[arg(short, long)]
        json: bool,
        /// Names alone, as without it.
        #[arg(short, long)]
        names: bool,
    },
    /// Print a stream's configuration and state as JSON.
    Info {
        stream: String,
        /// As JSON, as without it.
        #[arg(short, long)]
        json: bool,
    },
    /// Remove a stream and its messages.
    Rm {
        stream: String,
        /// Without it, nothing is removed: nobody is asked here.
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Subcommand)]
enum AccountCommand {
    /// Save every stream into a folder of its own within `folder`.
    Backup { folder: PathBuf },
    /// Make every stream that is saved within `folder`.
    Restore { folder: PathBuf },
}

/// What `backup.json` holds.
#[derive(Serialize, Deserialize)]
struct Meta {
    config: Value,
    state: Value,
}

/// Runs one command.
///
/// # Errors
/// No server answers, JetStream refuses, or a file cannot be read or written.
pub async fn run(args: NatsArgs) -> Result<()> {
    let client = connect(&args).await?;
    let js = jetstream::ContextBuilder::new().timeout(args.timeout).build(client.clone());
    match args.command {
        Command::Stream(command) => stream_command(&client, &js, args.timeout, command).await,
        Command::Account(AccountCommand::Backup { folder }) => {
            let names: Vec<String> = js.stream_names().try_collect().await.context("streams could not be listed")?;
            for name in names {
                snapshot::save(&client, &name, &folder.join(&name), false, args.timeout).await?;
            }
            Ok(())
        }
        Command::Account(AccountCommand::Restore { folder }) => {
            for folder in saved_streams(&folder)? {
                restore::make(&client, &restore::Request::of(folder), args.timeout).await?;
            }
            Ok(())
        }
        Command::Pub { subject, body } => {
            client.publish(subject, body.into()).await.context("the message could not be sent")?;
            client.flush().await.context("the message may not have been sent")
        }
    }
}

async fn stream_command(
    client: &Client,
    js: &jetstream::Context,
    timeout: Duration,
    command: StreamCommand,
) -> Result<()> {
    match command {
        StreamCommand::Backup { stream, folder, no_consumers } => {
            snapshot::save(client, &stream, &folder, no_consumers, timeout).await
        }
        StreamCommand::Restore { what, replicas, config } => {
            let (stream, folder) = match &what[..] {
                [stream, folder] => (Some(stream.clone()), folder),
                [folder] => (None, folder),
                _ => bail!("say which folder to restore from"),
            };
            let request = restore::Request { stream, replicas, config, ..restore::Request::of(folder.into()) };
            restore::make(client, &request, timeout).await
        }
        StreamCommand::Ls { json, names: _ } => {
            let names: Vec<String> = js.stream_names().try_collect().await.context("streams could not be listed")?;
            if json { output::json(&names) } else { names.iter().try_for_each(output::line) }
        }
        StreamCommand::Info { stream, json: _ } => {
            let info: jetstream::response::Response<Value> =
                js.request(format!("STREAM.INFO.{stream}"), &()).await.context("JetStream does not answer")?;
            output::json(&accepted(info)?)
        }
        StreamCommand::Rm { stream, force } => {
            if !force {
                bail!("stream {stream} is not removed: say --force");
            }
            js.delete_stream(&stream).await.with_context(|| format!("stream {stream} could not be removed"))?;
            Ok(())
        }
    }
}

async fn connect(args: &NatsArgs) -> Result<Client> {
    let get = |name: &str| {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        match name {
            "NATS_URL" => args.server.clone().or_else(|| env("NATS_URL")).or(Some("nats://127.0.0.1:4222".into())),
            "NATS_TLS_CA" => path(&args.tlscacert).or_else(|| env("NATS_CA")),
            "NATS_TLS_CERT" => path(&args.tlscert).or_else(|| env("NATS_CERT")),
            "NATS_TLS_KEY" => path(&args.tlskey).or_else(|| env("NATS_KEY")),
            _ => None,
        }
    };
    // The options are not the variables that a complaint would name.
    if args.tlscert.is_some() != args.tlskey.is_some() {
        bail!("--tlscert and --tlskey must be given together");
    }
    let settings = NatsSettings { tls: TlsFiles::from_env("NATS", get)?, ..NatsSettings::from_env(get)? };
    settings.connect("nats").await
}

fn saved_streams(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("{} could not be read", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.join(META).is_file() {
            found.push(path);
        }
    }
    if found.is_empty() {
        bail!("{} holds no saved streams", folder.display());
    }
    found.sort();
    Ok(found)
}

/// What JetStream answered, unless it refused.
fn accepted<T>(response: jetstream::response::Response<T>) -> Result<T> {
    match response {
        jetstream::response::Response::Ok(answer) => Ok(answer),
        jetstream::response::Response::Err { error } => bail!("JetStream refuses: {error}"),
    }
}

/// The refusal in an answer of JetStream, if it is one.
fn refusal(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let error = answer.get("error")?;
    let description = error.get("description").and_then(Value::as_str).unwrap_or("no reason given");
    Some(format!("{description} (code {}, {})", error["code"], error["err_code"]))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.trim_end_matches('s').parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

/// A stream's configuration as the server wants it in a request.
fn typed(config: &Value) -> Result<stream::Config> {
    serde_json::from_value(config.clone()).context("the saved configuration is not that of a stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_is_read_with_its_reason_and_codes() {
        let answer = br#"{"type":"x","error":{"code":400,"err_code":10130,"description":"stream name in use"}}"#;
        assert_eq!(refusal(answer).unwrap(), "stream name in use (code 400, 10130)");
        assert_eq!(refusal(br#"{"deliver_subject":"x"}"#), None);
        assert_eq!(refusal(b""), None);
    }

    #[test]
    fn timeouts_are_seconds() {
        assert_eq!(seconds("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("soon").is_err() && seconds("-1").is_err());
    }
}
