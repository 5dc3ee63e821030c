//! WebSockets: the handshake on a request, and binary frames whose first byte is a channel.

use bytes::{BufMut, Bytes, BytesMut};
use embedded_apimachinery::{Result, Status};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode};

use crate::server::respond::{self, Answer};

pub type Socket = WebSocketStream<TokioIo<Upgraded>>;
pub type Outgoing = SplitSink<Socket, Message>;
pub type Frames = SplitStream<Socket>;

/// How long the client may take to answer our closing frame.
const CLOSE: std::time::Duration = std::time::Duration::from_secs(2);

/// The handshake, answered with 101; the socket comes once that answer is sent.
pub struct Handshake {
    pub answer: Answer,
    /// The protocol that was agreed on, one of those that the server speaks.
    pub protocol: &'static str,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// Agrees on the first of the server's protocols that the client offers.
    ///
    /// # Errors
    /// 400 for requests that ask for no upgrade to a WebSocket or for protocols that are not spoken here.
    pub fn new(mut request: Request<Incoming>, spoken: &[&'static str]) -> Result<Self> {
        let text = |name: header::HeaderName| {
            request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        let websocket = text(header::UPGRADE).eq_ignore_ascii_case("websocket");
        let key = text(header::SEC_WEBSOCKET_KEY);
        if !websocket || key.is_empty() {
            return Err(Status::bad_request("Upgrade request required"));
        }
        let offers: Vec<String> = request
            .headers()
            .get_all(header::SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(',').map(|p| p.trim().to_owned()))
            .collect();
        let agreed = spoken.iter().find(|s| offers.iter().any(|o| o == *s));
        let Some(protocol) = agreed.copied() else {
            return Err(Status::bad_request(format!(
                "unable to negotiate protocol: client offered {offers:?}, server speaks {spoken:?}"
            )));
        };
        let mut answer = Response::new(respond::full(""));
        *answer.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        Ok(Self { answer, protocol, upgrade: hyper::upgrade::on(&mut request) })
    }

    /// Splits off the part that waits for the connection.
    pub fn into_parts(self) -> (Answer, impl Future<Output = Option<Socket>> + Send) {
        let upgrade = self.upgrade;
        let socket = async move {
            let upgraded = upgrade.await.ok()?;
            Some(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await)
        };
        (self.answer, socket)
    }
}

/// Sends bytes on a channel. `false` when the client is gone.
pub async fn send(outgoing: &mut Outgoing, channel: u8, bytes: &[u8]) -> bool {
    let mut frame = BytesMut::with_capacity(bytes.len() + 1);
    frame.put_u8(channel);
    frame.put_slice(bytes);
    outgoing.send(Message::Binary(frame.freeze())).await.is_ok()
}

/// Sends bytes as they are. `false` when the client is gone.
pub async fn send_plain(outgoing: &mut Outgoing, bytes: Bytes) -> bool {
    outgoing.send(Message::Binary(bytes)).await.is_ok()
}

/// The next message of the client as it is; `None` at the end.
pub async fn receive_plain(incoming: &mut Frames) -> Option<Bytes> {
    loop {
        match incoming.next().await?.ok()? {
            Message::Binary(bytes) => return Some(bytes),
            Message::Close(_) => return None,
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// The next frame of the client: channel and bytes. Text frames count as binary ones. `None` at the end.
pub async fn receive(incoming: &mut Frames) -> Option<(u8, Bytes)> {
    loop {
        let bytes = match incoming.next().await?.ok()? {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::from(text),
            Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        if !bytes.is_empty() {
            return Some((bytes[0], bytes.slice(1..)));
        }
    }
}

/// Says goodbye and waits for the client to do the same, so that nothing that was sent is lost.
pub async fn close(mut outgoing: Outgoing, mut incoming: Frames) {
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let _ = outgoing.send(Message::Close(Some(frame))).await;
    let drained = async { while let Some(Ok(_)) = incoming.next().await {} };
    let _ = tokio::time::timeout(CLOSE, drained).await;
}
