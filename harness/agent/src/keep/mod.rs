//! `agent keep`: known data for a backup to save, and what of it is there.
//!
//! - [`redis`]: keys of every type on every shard; [`redis_read`]: reading them back
//! - [`nats`]: messages and consumers in streams; [`nats_read`]: reading them back
//! - [`files`]: what lies in a folder; [`cut`]: files with their second half missing; [`room`]: how much fits
//! - [`bytes`]: contents that follow from names

mod bytes;
mod cut;
mod files;
mod nats;
mod nats_read;
mod redis;
mod redis_read;
mod room;

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
    /// Cut a file below a folder in half; of a folder there, the largest file in it.
    Cut { root: PathBuf, path: PathBuf },
    /// Make whole what was cut.
    Mend { root: PathBuf, path: PathBuf },
    /// Print size and digest of what would be cut.
    Digest { root: PathBuf, path: PathBuf },
    /// Print how many bytes fit into a volume.
    Measure {
        folder: PathBuf,
        /// Write no more than that.
        #[arg(long)]
        at_most: u64,
    },
    /// Stay until told to end; then print what lies below a folder, with sizes.
    Watch { folder: PathBuf },
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
        KeepCommand::Cut { root, path } => cut::cut(&root, &path),
        KeepCommand::Mend { root, path } => cut::mend(&root, &path),
        KeepCommand::Digest { root, path } => cut::digest(&root, &path),
        KeepCommand::Measure { folder, at_most } => room::measure(&folder, at_most),
        KeepCommand::Watch { folder } => room::watch(&folder).await,
    }
}
