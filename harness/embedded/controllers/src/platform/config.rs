//! What the platform controllers are told about the cluster they run in.

use std::path::PathBuf;
use std::time::Duration;

/// Start from [`Config::default`] and fill in what differs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The certificate authority of the API server, in PEM; published in every namespace.
    pub ca_certificate: String,
    /// Where the data of dynamically provisioned volumes lives; one directory per volume.
    pub volumes_root: PathBuf,
    /// How long a node may be silent before it counts as lost. Kubernetes: 50 s.
    pub node_grace: Duration,
    /// Nodes get a /24 of this /16 each, as `10.244.3.0/24`: the first two numbers.
    pub pod_network: [u8; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ca_certificate: String::new(),
            volumes_root: std::env::temp_dir().join("gauntlet-volumes"),
            node_grace: Duration::from_secs(50),
            pod_network: [10, 244],
        }
    }
}
