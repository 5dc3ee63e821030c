//! Servers in pods, and what one sees who talks to them.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use embedded_network::PodAttachment;
use embedded_network::netns::NetNs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Open,
    Refused,
    Timeout,
}

/// Servers that repeat what they are told.
pub async fn serve(pod: &PodAttachment, tcp: &[u16], udp: &[u16]) {
    let namespace = NetNs::open(&pod.netns).unwrap();
    for port in tcp {
        let listener = namespace.listen((Ipv4Addr::UNSPECIFIED, *port).into()).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
    }
    for port in udp {
        let socket = namespace.bind_udp((Ipv4Addr::UNSPECIFIED, *port).into()).await.unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let _ = socket.send_to(&buffer[..length], from).await;
            }
        });
    }
}

/// A new connection, and a word over it and back.
pub async fn tcp(from: &PodAttachment, to: SocketAddr, within: Duration) -> Seen {
    let namespace = NetNs::open(&from.netns).unwrap();
    let talk = async {
        match namespace.connect(to).await {
            Ok(_) => Seen::Open,
            Err(error) if error.source.kind() == ErrorKind::ConnectionRefused => Seen::Refused,
            Err(error) => panic!("{to}: {error}"),
        }
    };
    timeout(within, talk).await.unwrap_or(Seen::Timeout)
}

/// A datagram and its answer, repeated since datagrams may be lost.
pub async fn udp(from: &PodAttachment, to: SocketAddr, within: Duration) -> Seen {
    let namespace = NetNs::open(&from.netns).unwrap();
    let socket = namespace.bind_udp((Ipv4Addr::UNSPECIFIED, 0).into()).await.unwrap();
    socket.connect(to).await.unwrap();
    let talk = async {
        loop {
            let mut buffer = [0; 8];
            let answer = match socket.send(b"x").await {
                Ok(_) => timeout(Duration::from_millis(100), socket.recv(&mut buffer)).await,
                Err(error) => Ok(Err(error)),
            };
            match answer {
                Ok(Ok(_)) => return Seen::Open,
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => return Seen::Refused,
                Ok(Err(error)) => panic!("{to}: {error}"),
                Err(_) => {}
            }
        }
    };
    timeout(within, talk).await.unwrap_or(Seen::Timeout)
}

/// A connection that stays, to a server that repeats.
pub struct Standing(tokio::net::TcpStream);

impl Standing {
    pub async fn open(from: &PodAttachment, to: SocketAddr) -> Self {
        Self(NetNs::open(&from.netns).unwrap().connect(to).await.unwrap())
    }

    /// Whether a word gets there and back.
    pub async fn works(&mut self, within: Duration) -> bool {
        let mut buffer = [0; 1];
        let talk = async {
            self.0.write_all(b"x").await?;
            self.0.read_exact(&mut buffer).await
        };
        timeout(within, talk).await.is_ok_and(|said| said.is_ok())
    }
}
