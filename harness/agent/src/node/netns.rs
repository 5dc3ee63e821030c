//! The network namespaces of pods, and what is done within them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use gauntlet_core::node_agent::Dialled;
use nix::sched::{CloneFlags, setns};

use super::processes;

/// A pod's network, there as long as this is held, whatever becomes of the pod.
#[derive(Clone)]
pub struct Network(Arc<File>);

/// The network of a pod, by the processes of its containers.
///
/// # Errors
/// None of them is on this node.
pub fn of_pod(proc: &Path, pod: &str) -> Result<Network> {
    let all = processes::all(proc);
    let mut own = all.iter().filter(|process| process.container.pod == pod && !process.is_dead());
    // One that dies while it is looked at leaves the way to the next.
    let opened = own.find_map(|process| open(proc, process.pid).ok());
    opened.map(|file| Network(Arc::new(file))).ok_or_else(|| anyhow!("no process of pod {pod} is on this node"))
}

/// The networks of all containers.
pub fn all(proc: &Path) -> Vec<Network> {
    let files = processes::all(proc).into_iter().filter_map(|process| open(proc, process.pid).ok());
    let by_inode = files.filter_map(|file| Some((file.metadata().ok()?.ino(), file)));
    by_inode.collect::<BTreeMap<_, _>>().into_values().map(|file| Network(Arc::new(file))).collect()
}

/// The rules and routes of the node's own network.
///
/// # Errors
/// It cannot be looked into.
pub fn told_of_node(proc: &Path) -> Result<String> {
    // The first of the node's processes is in it.
    let network = open(proc, 1).context("the node's network cannot be opened")?;
    let rules = Network(Arc::new(network)).nft(&["list", "ruleset"], "")?;
    let routes = ["route", "ipv6_route"].map(|table| {
        let table = proc.join("1/net").join(table);
        std::fs::read_to_string(&table).unwrap_or_else(|error| format!("{}: {error}\n", table.display()))
    });
    Ok(format!("# rules\n{rules}\n# routes\n{}", routes.concat()))
}

fn open(proc: &Path, pid: i32) -> std::io::Result<File> {
    File::open(proc.join(pid.to_string()).join("ns/net"))
}

impl Network {
    /// Runs `nft` with this text, and returns what it prints.
    ///
    /// # Errors
    /// What `nft` says.
    pub fn nft(&self, arguments: &[&str], text: &str) -> Result<String> {
        let mut command = Command::new("nft");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let text = text.to_owned();
        self.within(move || {
            let mut child = command.spawn().context("`nft` cannot be started")?;
            if let Some(mut input) = child.stdin.take() {
                input.write_all(text.as_bytes()).context("`nft` does not listen")?;
            }
            let output = child.wait_with_output().context("`nft` did not end")?;
            if !output.status.success() {
                bail!("`nft` says: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        })
    }

    /// Tries a connection.
    ///
    /// # Errors
    /// It could not be tried.
    pub fn dial(&self, to: SocketAddr, within: Duration) -> Result<Dialled> {
        self.within(move || match TcpStream::connect_timeout(&to, within) {
            Ok(_) => Ok(Dialled::Open),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Ok(Dialled::Refused),
                // A host that is gone is not answered for either.
                ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::HostUnreachable => Ok(Dialled::Timeout),
                _ => Err(error).with_context(|| format!("{to} could not be tried")),
            },
        })
    }

    /// On a thread of its own, which belongs to the namespace and passes it on to what it starts.
    fn within<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let namespace = self.0.clone();
        let entered = std::thread::spawn(move || {
            setns(&*namespace, CloneFlags::CLONE_NEWNET).context("the pod's network cannot be entered")?;
            work()
        });
        entered.join().map_err(|_| anyhow!("what was done in the pod's network broke"))?
    }
}
