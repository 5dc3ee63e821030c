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

use std::io::ErrorKind;
use std::net::SocketAddr;
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
    let tcp = args.tcp.iter().map(|target| one("tcp", target, timeout));
    let udp = args.udp.iter().map(|target| one("udp", target, timeout));
    join_all(tcp.chain(udp)).await
}

async fn one(protocol: &'static str, target: &str, timeout: Duration) -> Finding {
    let began = Instant::now();
    let (outcome, detail) = match resolve(target, timeout).await {
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

async fn resolve(target: &str, timeout: Duration) -> Result<SocketAddr, (Outcome, String)> {
    if let Ok(address) = target.parse() {
        return Ok(address);
    }
    // Without a port there is nothing to probe, whatever the name means.
    if target.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        return Err((Outcome::ProbeFailed, format!("{target:?} is not host:port")));
    }
    match tokio::time::timeout(timeout, lookup_host(target)).await {
        Ok(Ok(mut addresses)) => addresses.next().ok_or((Outcome::Unresolved, "the name has no address".into())),
        Ok(Err(error)) => Err((Outcome::Unresolved, error.to_string())),
        Err(_) => Err((Outcome::Unresolved, format!("no answer about the name in {timeout:?}"))),
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

    async fn tcp(target: &str) -> Outcome {
        one("tcp", target, Duration::from_millis(500)).await.outcome
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
        let udp = || one("udp", &address, Duration::from_millis(300));
        assert_eq!(udp().await.outcome, Outcome::Timeout);
        drop(silent);
        assert_eq!(udp().await.outcome, Outcome::Refused);
    }

    #[tokio::test]
    async fn target_without_port_says_nothing_of_the_target() {
        assert_eq!(tcp("localhost").await, Outcome::ProbeFailed);
        assert_eq!(tcp("does-not-exist.invalid:80").await, Outcome::Unresolved);
    }
}
