//! `agent keep`: known data for a backup to save, and what of it is there.
//!
//! - [`redis`]: keys of every type on every shard; [`redis_read`]: reading them back
//! - [`nats`]: messages and consumers in streams; [`nats_read`]: reading them back
//! - [`files`]: what lies in a folder, and damage done to it on purpose
//! - [`bytes`]: contents that follow from names

mod bytes;
mod files;
mod nats;
mod nats_read;
mod redis;
mod redis_read;

use anyhow::Result;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum KeepCommand {
    /// Write keys of every type to every shard, as the environment names them, and print how many each took.
    RedisFill {
        /// All keys begin with it.
        #[arg(long)]
        prefix: String,
        /// A later round has other values under the same keys, further keys, and lacks some of the round before.
        #[arg(long)]
        round: u32,
    },
    /// Print every key below the prefixes with type, digest of its value, expiry and owner.
    RedisDump {
        #[arg(long, required = true)]
        prefix: Vec<String>,
    },
    /// Publish messages to each stream, and let consumers take and acknowledge some.
    NatsFill {
        #[arg(long, required = true)]
        stream: Vec<String>,
        #[arg(long)]
        round: u32,
    },
    /// Print every message of the streams and the consumers made here.
    NatsDump {
        #[arg(long, required = true)]
        stream: Vec<String>,
    },
    /// Delete streams.
    NatsWipe {
        #[arg(long, required = true)]
        stream: Vec<String>,
    },
    /// Whether a replicated stream can be made and takes a message.
    NatsProbe,
    /// Print what lies below a folder, with sizes.
    Files { folder: PathBuf },
    /// Cut a file to so many bytes.
    Truncate { file: PathBuf, bytes: u64 },
    /// Fill the file system of a folder until so many bytes are free.
    Fill {
        folder: PathBuf,
        #[arg(long)]
        leave: u64,
    },
}

/// Runs one command.
///
/// # Errors
/// The store or the folder does not do what is asked of it.
pub async fn run(command: KeepCommand) -> Result<()> {
    match command {
        KeepCommand::RedisFill { prefix, round } => redis::fill(&prefix, round).await,
        KeepCommand::RedisDump { prefix } => redis_read::dump(&prefix).await,
        KeepCommand::NatsFill { stream, round } => nats::fill(&stream, round).await,
        KeepCommand::NatsDump { stream } => nats_read::dump(&stream).await,
        KeepCommand::NatsWipe { stream } => nats::wipe(&stream).await,
        KeepCommand::NatsProbe => nats::probe().await,
        KeepCommand::Files { folder } => files::list(&folder),
        KeepCommand::Truncate { file, bytes } => files::truncate(&file, bytes),
        KeepCommand::Fill { folder, leave } => files::fill(&folder, leave),
    }
}
