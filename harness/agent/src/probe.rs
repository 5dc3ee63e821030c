//! `agent probe`: whether targets can be reached, told apart finely enough to believe a denial.
//!
//! | outcome | means |
//! |---|---|
//! | `open` | somebody there answered |
//! | `refused` | the host answered that nobody listens: the way there is open |
//! | `timeout` | nothing came back: dropped on the way, or a host that is gone |
//! | `unresolved` | the name has no address |
//! | `probe_failed` | the trouble is ours (no route from here, no socket): nothing is known of the target |
//!
//! Every probe is a new connection. UDP has no connections, so a DNS question is asked: `open` needs an answer.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use clap::Args;
use futures::future::join_all;
use serde::Serialize;
use tokio::net::{TcpStream, UdpSocket, lookup_host};

#[derive(Args)]
pub struct ProbeArgs {
    /// TCP targets, host:port.
    #[arg(long, value_delimiter = ',')]
    tcp: Vec<String>,
    /// UDP targets that speak DNS, host:port.
    #[arg(long, value_delimiter = ',')]
    udp: Vec<String>,
    /// How long one target may take, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    timeout_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Open,
    Refused,
    Timeout,
    Unresolved,
    ProbeFailed,
}

/// What one probe came to.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub protocol: &'static str,
    pub target: String,
    pub outcome: Outcome,
    pub detail: String,
    pub took_ms: u64,
}

/// Probes all targets at once, in the order given.
pub async fn probe(args: &ProbeArgs) -> Vec<Finding> {
    let timeout = Duration::from_millis(args.timeout_ms);
    let names = look_up(args.tcp.iter().chain(&args.udp), timeout).await;
    let tcp = args.tcp.iter().map(|target| one("tcp", target, timeout, &names));
    let udp = args.udp.iter().map(|target| one("udp", target, timeout, &names));
    join_all(tcp.chain(udp)).await
}

/// What names of hosts stand for. Each is asked for once, however many of its ports are probed.
type Names = HashMap<String, Result<IpAddr, (Outcome, String)>>;

async fn look_up(targets: impl Iterator<Item = &String>, timeout: Duration) -> Names {
    let hosts = targets.filter(|target| target.parse::<SocketAddr>().is_err()).filter_map(|target| split(target));
    let hosts: BTreeSet<&str> = hosts.map(|(host, _)| host).collect();
    let asked = hosts.into_iter().map(async |host| (host.to_owned(), address_of(host, timeout).await));
    join_all(asked).await.into_iter().collect()
}

/// Host and port; without a port there is nothing to probe, whatever the name means.
fn split(target: &str) -> Option<(&str, u16)> {
    let (host, port) = target.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

async fn one(protocol: &'static str, target: &str, timeout: Duration, names: &Names) -> Finding {
    let began = Instant::now();
    let (outcome, detail) = match resolve(target, names) {
        Err(found) => found,
        Ok(address) => {
            let asked = async {
                if protocol == "tcp" { TcpStream::connect(address).await.map(drop) } else { ask_dns(address).await }
            };
            match tokio::time::timeout(timeout, asked).await {
                Ok(Ok(())) => (Outcome::Open, format!("{address} answered")),
                Ok(Err(error)) => (judge(error.kind()), format!("{address}: {error}")),
                Err(_) => (Outcome::Timeout, format!("{address} gave no answer in {timeout:?}")),
            }
        }
    };
    Finding { protocol, target: target.into(), outcome, detail, took_ms: began.elapsed().as_millis() as u64 }
}

fn resolve(target: &str, names: &Names) -> Result<SocketAddr, (Outcome, String)> {
    if let Ok(address) = target.parse() {
        return Ok(address);
    }
    let failed = || (Outcome::ProbeFailed, format!("{target:?} is not host:port"));
    let (host, port) = split(target).ok_or_else(failed)?;
    let address = names.get(host).cloned().ok_or_else(failed)??;
    Ok(SocketAddr::new(address, port))
}

async fn address_of(host: &str, timeout: Duration) -> Result<IpAddr, (Outcome, String)> {
    let unresolved = |why: String| Err((Outcome::Unresolved, why));
    match tokio::time::timeout(timeout, lookup_host((host, 0))).await {
        Ok(Ok(mut addresses)) => match addresses.next() {
            Some(address) => Ok(address.ip()),
            None => unresolved("the name has no address".to_owned()),
        },
        Ok(Err(error)) => unresolved(error.to_string()),
        Err(_) => unresolved(format!("no answer about the name in {timeout:?}")),
    }
}

/// An unreachable network is our own trouble; an unreachable host did not answer its neighbours.
fn judge(kind: ErrorKind) -> Outcome {
    match kind {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Outcome::Refused,
        ErrorKind::TimedOut | ErrorKind::HostUnreachable => Outcome::Timeout,
        _ => Outcome::ProbeFailed,
    }
}

/// Asks for the root's name servers; any answer will do.
async fn ask_dns(address: SocketAddr) -> std::io::Result<()> {
    let from: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(from).await?;
    socket.connect(address).await?;
    // Id 0x6761, recursion desired, one question: the root, type NS, class IN.
    let question = [0x67, 0x61, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    socket.send(&question).await?;
    let mut answer = [0; 512];
    loop {
        let length = socket.recv(&mut answer).await?;
        if length >= 12 && answer[..2] == question[..2] {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(protocol: &'static str, target: &str, timeout_ms: u64) -> Outcome {
        let timeout = Duration::from_millis(timeout_ms);
        let names = look_up([target.to_owned()].iter(), timeout).await;
        one(protocol, target, timeout, &names).await.outcome
    }

    async fn tcp(target: &str) -> Outcome {
        asked("tcp", target, 500).await
    }

    #[tokio::test]
    async fn listener_is_open_and_its_absence_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(tcp(&address).await, Outcome::Open);
        drop(listener);
        assert_eq!(tcp(&address).await, Outcome::Refused);
    }

    #[tokio::test]
    async fn silent_udp_port_is_a_timeout_and_a_closed_one_refused() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let udp = || asked("udp", &address, 300);
        assert_eq!(udp().await, Outcome::Timeout);
        drop(silent);
        assert_eq!(udp().await, Outcome::Refused);
    }

    #[tokio::test]
    async fn target_without_port_says_nothing_of_the_target() {
        assert_eq!(tcp("localhost").await, Outcome::ProbeFailed);
        assert_eq!(tcp("does-not-exist.invalid:80").await, Outcome::Unresolved);
    }
}
