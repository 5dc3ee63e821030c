//! `portforward` over a WebSocket with `v4.channel.k8s.io`: two channels per port, one for data and one for an error;
//! or as a tunnel of SPDY, see [`spdy`].
//!
//! Each channel begins with a frame that holds its port number, little endian.

use std::sync::Arc;

use bytes::Bytes;
use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::{Object, Result, Status, object};
use futures::StreamExt;
use http::Request;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::pump::{BACKLOG, FromPod, pump};
use super::spdy;
use super::websocket::{self, Frames, Handshake, Outgoing, Socket};
use crate::server::respond::Answer;
use crate::server::{Call, Server};

const PROTOCOLS: [&str; 2] = ["v4.channel.k8s.io", spdy::PROTOCOL];

pub fn forward(server: &Arc<Server>, call: &Call, request: Request<Incoming>) -> Result<Answer> {
    let name = call.info.name.as_str();
    let pod = server.api.find(&PODS, &call.info.namespace, name).ok_or_else(|| Status::not_found(&PODS, name))?;
    if object::str_at(&pod, "/spec/nodeName").is_empty() {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    let handshake = Handshake::new(request, &PROTOCOLS)?;
    let tunnelled = handshake.protocol == spdy::PROTOCOL;
    // In a tunnel, each stream names its own port.
    let ports = if tunnelled { Vec::new() } else { ports(call)? };
    let (answer, socket) = handshake.into_parts();
    let server = server.clone();
    tokio::spawn(async move {
        let Some(socket) = socket.await else { return };
        let ended = server.shutdown.clone().cancelled_owned();
        let forwarding = async {
            match tunnelled {
                true => spdy::run(&server, pod, socket).await,
                false => run(&server, pod, ports, socket).await,
            }
        };
        tokio::select! {
            () = forwarding => {}
            () = ended => {}
        }
    });
    Ok(answer)
}

/// `ports=80&ports=81` or `ports=80,81`.
fn ports(call: &Call) -> Result<Vec<u16>> {
    let stated: Vec<&str> = call.query.all("ports").flat_map(|p| p.split(',')).collect();
    if stated.is_empty() {
        return Err(Status::bad_request("query parameter \"ports\" is required"));
    }
    let parse = |text: &str| text.trim().parse().ok().filter(|port| *port > 0);
    stated
        .iter()
        .map(|text| parse(text).ok_or_else(|| Status::bad_request(format!("unable to parse {text:?} as a port"))))
        .collect()
}

async fn run(server: &Server, pod: Object, ports: Vec<u16>, socket: Socket) {
    let (mut outgoing, incoming) = socket.split();
    let (sender, frames) = mpsc::channel(BACKLOG);
    let mut inputs = Vec::new();
    let mut connections = JoinSet::new();
    for (index, port) in ports.into_iter().enumerate() {
        let data = u8::try_from(index * 2).unwrap_or(u8::MAX - 1);
        for channel in [data, data + 1] {
            if !websocket::send(&mut outgoing, channel, &port.to_le_bytes()).await {
                return;
            }
        }
        let (input, received) = mpsc::channel(BACKLOG);
        inputs.push(input);
        let connection = server.kubelet.port_forward(&pod, port).await;
        connections.spawn(pump(connection, data, received, sender.clone()));
    }
    drop(sender);
    let (outgoing, incoming) = exchange(outgoing, incoming, frames, inputs).await;
    websocket::close(outgoing, incoming).await;
}

/// Moves frames both ways until all ports are done or the client is gone.
async fn exchange(
    mut outgoing: Outgoing,
    mut incoming: Frames,
    mut frames: mpsc::Receiver<(u8, FromPod)>,
    inputs: Vec<mpsc::Sender<Bytes>>,
) -> (Outgoing, Frames) {
    let receive = async {
        while let Some((channel, bytes)) = websocket::receive(&mut incoming).await {
            if let Some(input) = inputs.get(usize::from(channel / 2)).filter(|_| channel % 2 == 0) {
                let _ = input.send(bytes).await;
            }
        }
    };
    let send = async {
        while let Some((channel, event)) = frames.recv().await {
            let (channel, bytes) = match event {
                FromPod::Data(bytes) => (channel, bytes),
                FromPod::Failed(why) => (channel + 1, Bytes::from(why)),
                FromPod::End => continue,
            };
            if !websocket::send(&mut outgoing, channel, &bytes).await {
                break;
            }
        }
    };
    tokio::select! {
        () = receive => {}
        () = send => {}
    }
    (outgoing, incoming)
}
