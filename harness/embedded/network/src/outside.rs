//! Hosts that are not the cluster's, for what may or may not leave it: sockets in the cluster's own namespace, so that
//! no packet leaves the machine.
//!
//! | host | address | answers |
//! |---|---|---|
//! | `outside` | `192.0.2.10` | HTTP on 80/tcp; what it is told on 53/tcp, 443/tcp, 53/udp, 443/udp |
//! | `metadata` | `169.254.169.254` | HTTP on 80/tcp, like a cloud's metadata service |

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::address::{METADATA, OUTSIDE};
use crate::error::Result;
use crate::netns::NetNs;

/// Web servers answer here; other ports repeat what they are told.
const HTTP: u16 = 80;

/// No request that is worth an answer is longer.
const LONGEST: usize = 4096;

/// A host outside the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: &'static str,
    pub address: Ipv4Addr,
    pub tcp: &'static [u16],
    pub udp: &'static [u16],
}

pub const HOSTS: [Host; 2] = [
    Host { name: "outside", address: OUTSIDE, tcp: &[53, HTTP, 443], udp: &[53, 443] },
    Host { name: "metadata", address: METADATA, tcp: &[HTTP], udp: &[] },
];

/// Plays the hosts until `shutdown`. Their sockets are bound when this returns; the returned future does the work.
pub(crate) async fn serve(namespace: &NetNs, shutdown: CancellationToken) -> Result<impl Future<Output = ()> + use<>> {
    let mut servers = JoinSet::new();
    for host in HOSTS {
        for port in host.tcp {
            let listener = namespace.listen(SocketAddr::from((host.address, *port))).await?;
            servers.spawn(listen(listener, host.name, *port));
        }
        for port in host.udp {
            let socket = namespace.bind_udp(SocketAddr::from((host.address, *port))).await?;
            servers.spawn(repeat_datagrams(socket));
        }
    }
    Ok(async move {
        shutdown.cancelled().await;
        servers.shutdown().await;
    })
}

async fn listen(listener: TcpListener, name: &'static str, port: u16) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if port == HTTP => drop(connections.spawn(answer(stream, name))),
                Ok((stream, _)) => drop(connections.spawn(repeat(stream))),
                Err(error) => tracing::debug!(%error, "a host outside could not accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One answer to whatever is asked.
async fn answer(mut stream: TcpStream, name: &'static str) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") && request.len() < LONGEST {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close";
    let text = format!("{head}\r\nContent-Length: {}\r\n\r\n{name}\n", name.len() + 1);
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

async fn repeat(mut stream: TcpStream) -> io::Result<()> {
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await.map(drop)
}

async fn repeat_datagrams(socket: UdpSocket) {
    let mut buffer = [0; LONGEST];
    loop {
        // What cannot be answered is lost, as datagrams are.
        if let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], from).await;
        }
    }
}
