//! Where clusters come from, and those that outlive a run.

use super::SystemArgs;
use clap::{Args, Subcommand};
use gauntlet_core::span::Span;
use std::path::PathBuf;

/// Where clusters come from.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Where clusters come from: embedded, kind for real ones in Docker, or kubeconfig for one that exists already
    #[arg(long, default_value = "embedded", value_name = "PROVIDER")]
    pub cluster: String,

    /// Of an existing cluster: the context, which is never guessed
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// Of an existing cluster: the file with the context; by default where kubectl looks
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Of an existing cluster: do not ask whether to go on. Of clusters of kind, to `clean`: delete also those that look
    /// like ours and are on no record here
    #[arg(long)]
    pub yes: bool,
}

/// What clusters of kind are like.
#[derive(Debug, Default, Args)]
pub struct KindArgs {
    /// Of clusters of kind: a configuration in kind/ (cluster, three-control-planes), or a file with one; a file decides
    /// how many nodes there are
    #[arg(long, value_name = "NAME|FILE")]
    pub kind_config: Option<String>,

    /// Of clusters of kind: the version of Kubernetes, for example 1.35; kind/images.yaml lists them. On all nodes, also
    /// where a file of --kind-config names an image
    #[arg(long, value_name = "VERSION")]
    pub kubernetes: Option<String>,

    /// Of clusters of kind: the node image, as `kind build node-image` makes one. On all nodes, in the place of what
    /// --kubernetes would choose or a file of --kind-config names
    #[arg(long, conflicts_with = "kubernetes", value_parser = clap::builder::NonEmptyStringValueParser::new(), value_name = "IMAGE")]
    pub node_image: Option<String>,

    /// Of clusters of kind: load the images of this archive, as `docker save` writes it; may be given several times
    #[arg(long, value_name = "FILE")]
    pub image_archive: Vec<PathBuf>,

    /// Of clusters of kind: the image whose libraries the agent's image is built with; by default of the distribution
    /// that this runs on
    #[arg(long, value_name = "IMAGE")]
    pub agent_base: Option<String>,

    /// Of clusters of kind: how long the nodes may take to be ready, and then the agents on them, for example 10m; by
    /// default 5m
    #[arg(long, value_parser = span, value_name = "TIME")]
    pub ready_within: Option<Span>,
}

fn span(text: &str) -> Result<Span, String> {
    Span::parse(text).ok_or_else(|| "a length of time has a unit: 90s, 10m".to_owned())
}

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Start a cluster that outlives this command
    Up {
        /// Its name
        #[arg(default_value = "gauntlet")]
        name: String,
        /// Nodes for workloads
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50), value_name = "N")]
        nodes: u8,
        /// Port of the API on 127.0.0.1; the system chooses one otherwise
        #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "PORT")]
        port: u16,
        #[command(flatten)]
        system: SystemArgs,
        /// Install nothing; name the command that would
        #[arg(long)]
        no_install: bool,
    },
    /// Stop a cluster and remove everything of it
    Down {
        /// Its name
        #[arg(default_value = "gauntlet")]
        name: String,
        /// Forget what was kept on a cluster that is none of this machine's, and is gone there
        #[arg(long)]
        forget: bool,
    },
    /// List clusters
    List,
}
