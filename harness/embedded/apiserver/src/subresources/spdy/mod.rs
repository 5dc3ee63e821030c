//! `kubectl port-forward`: SPDY/3.1 inside a WebSocket.
//!
//! For every connection the client opens two streams with the same `requestid`: one of type `error`, one of type
//! `data`, both naming the port.
//!
//! - [`frame`]: frames; [`headers`]: their compressed headers

mod frame;
mod headers;

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use embedded_apimachinery::Object;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::pump::{BACKLOG, FromPod, pump};
use super::websocket::{self, Frames, Outgoing, Socket};
use crate::server::Server;
use frame::Frame;

pub const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// The two streams of one connection.
type Pair = (u32, u32);

/// A connection of which one stream is still to come.
#[derive(Default)]
struct Request {
    error: Option<u32>,
    data: Option<u32>,
}

/// What is known of the streams of one client.
#[derive(Default)]
struct Streams {
    decoder: headers::Decoder,
    replied: bool,
    requests: HashMap<String, Request>,
    /// Where the bytes of data streams go.
    inputs: HashMap<u32, mpsc::Sender<Bytes>>,
}

/// Serves a tunnel until the client is gone.
pub async fn run(server: &Server, pod: Object, socket: Socket) {
    let (mut outgoing, mut incoming) = socket.split();
    let (replies, pending) = mpsc::channel(BACKLOG);
    let (sender, events) = mpsc::channel(BACKLOG);
    // Reading and writing do not wait for each other: a pod that answers before it reads on would stop both.
    tokio::select! {
        () = listen(server, pod, &mut incoming, replies, sender) => {}
        () = speak(&mut outgoing, pending, events) => {}
    }
    websocket::close(outgoing, incoming).await;
}

async fn listen(
    server: &Server,
    pod: Object,
    incoming: &mut Frames,
    replies: mpsc::Sender<Bytes>,
    sender: mpsc::Sender<(Pair, FromPod)>,
) {
    let mut connections = JoinSet::new();
    let mut streams = Streams::default();
    let mut buffer = BytesMut::new();
    while let Some(bytes) = websocket::receive_plain(incoming).await {
        buffer.extend_from_slice(&bytes);
        while let Some(frame) = frame::take(&mut buffer) {
            let Some(opened) = streams.handle(frame, &replies).await else { return };
            if let Some((pair, port)) = opened {
                let (input, received) = mpsc::channel(BACKLOG);
                streams.inputs.insert(pair.1, input);
                let connection = server.kubelet.port_forward(&pod, port).await;
                connections.spawn(pump(connection, pair, received, sender.clone()));
            }
        }
    }
}

async fn speak(
    outgoing: &mut Outgoing,
    mut pending: mpsc::Receiver<Bytes>,
    mut events: mpsc::Receiver<(Pair, FromPod)>,
) {
    loop {
        let frames = tokio::select! {
            Some(reply) = pending.recv() => vec![reply],
            Some((pair, event)) = events.recv() => frames(pair, event),
            else => return,
        };
        for frame in frames {
            if !websocket::send_plain(outgoing, frame).await {
                return;
            }
        }
    }
}

impl Streams {
    /// Takes in one frame. A connection that is complete now is returned with its port; `None` ends the tunnel.
    async fn handle(&mut self, frame: Frame, replies: &mpsc::Sender<Bytes>) -> Option<Option<(Pair, u16)>> {
        match frame {
            Frame::Open { stream, headers, .. } => {
                let headers = self.decoder.decode(&headers)?;
                let block = headers::empty_block(!std::mem::replace(&mut self.replied, true));
                replies.send(frame::reply(stream, &block)).await.ok()?;
                return Some(self.opened(stream, &headers));
            }
            Frame::Data { stream, bytes, fin } => {
                if let Some(input) = self.inputs.get(&stream).filter(|_| !bytes.is_empty()) {
                    let _ = input.send(bytes).await;
                }
                if fin {
                    self.inputs.remove(&stream);
                }
            }
            Frame::Reset { stream } => {
                self.inputs.remove(&stream);
            }
            Frame::Ping { id } => replies.send(frame::ping(id)).await.ok()?,
            Frame::GoAway => return None,
            Frame::Other => {}
        }
        Some(None)
    }

    fn opened(&mut self, stream: u32, headers: &HashMap<String, String>) -> Option<(Pair, u16)> {
        let id = headers.get("requestid").cloned().unwrap_or_default();
        let request = self.requests.entry(id.clone()).or_default();
        match headers.get("streamtype").map(String::as_str) {
            Some("error") => request.error = Some(stream),
            Some("data") => request.data = Some(stream),
            _ => {}
        }
        let pair = (request.error?, request.data?);
        self.requests.remove(&id);
        Some((pair, headers.get("port")?.parse().ok()?))
    }
}

/// What a pod says, for the client. Both streams are closed when it has said everything.
fn frames((error, data): Pair, event: FromPod) -> Vec<Bytes> {
    match event {
        FromPod::Data(bytes) => vec![frame::data(data, &bytes, false)],
        FromPod::Failed(why) => vec![frame::data(error, why.as_bytes(), true), frame::data(data, b"", true)],
        FromPod::End => vec![frame::data(data, b"", true), frame::data(error, b"", true)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_begins_with_its_second_stream() {
        let headers = |kind: &str| -> HashMap<String, String> {
            [("streamtype", kind), ("port", "80"), ("requestid", "0")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        };
        let mut streams = Streams::default();
        assert_eq!(streams.opened(1, &headers("error")), None);
        assert_eq!(streams.opened(3, &headers("data")), Some(((1, 3), 80)));
    }
}
