//! `exec` and `attach` over WebSockets: `v5.channel.k8s.io` and `v4.channel.k8s.io`.
//!
//! Channel 0 is standard input, 1 and 2 are the outputs, 3 carries one `Status` at the end, 4 the size of the terminal.
//! Version 5 adds the frame `255, n` with which the client closes channel n.

use std::sync::Arc;

use bytes::Bytes;
use embedded_apimachinery::kubelet::{ExecOptions, ExecOutput, ExecSession, LogOptions};
use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::{Object, Result, Status, object};
use futures::StreamExt;
use http::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::container;
use super::websocket::{self, Frames, Handshake, Outgoing};
use crate::server::respond::{self, Answer};
use crate::server::{Call, Server};

const V5: &str = "v5.channel.k8s.io";
const PROTOCOLS: [&str; 2] = [V5, "v4.channel.k8s.io"];
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

pub fn exec(server: &Arc<Server>, call: &Call, request: Request<Incoming>) -> Result<Answer> {
    let (pod, options) = match prepare(server, call)? {
        Ok(prepared) => prepared,
        Err(refusal) => return Ok(refusal),
    };
    let handshake = Handshake::new(request, &PROTOCOLS)?;
    let protocol = handshake.protocol;
    let (answer, socket) = handshake.into_parts();
    let server = server.clone();
    tokio::spawn(async move {
        let Some(socket) = socket.await else { return };
        let (outgoing, incoming) = socket.split();
        let session = server.kubelet.exec(&pod, options.clone()).await;
        let ended = server.shutdown.clone().cancelled_owned();
        tokio::select! {
            () = run(session, outgoing, incoming, &options.command, protocol) => {}
            () = ended => {}
        }
    });
    Ok(answer)
}

/// Shows what a running container writes from now on. Its standard input is out of reach.
pub fn attach(server: &Arc<Server>, call: &Call, request: Request<Incoming>) -> Result<Answer> {
    let (pod, options) = match prepare(server, call)? {
        Ok(prepared) => prepared,
        Err(refusal) => return Ok(refusal),
    };
    let (answer, socket) = Handshake::new(request, &PROTOCOLS)?.into_parts();
    let server = server.clone();
    tokio::spawn(async move {
        let Some(socket) = socket.await else { return };
        let (mut outgoing, incoming) = socket.split();
        let logs =
            LogOptions { container: options.container, follow: true, tail_lines: Some(0), ..LogOptions::default() };
        let status = match server.kubelet.logs(&pod, logs).await {
            Err(status) => failure(&status),
            Ok(mut stream) => {
                let ended = server.shutdown.clone().cancelled_owned();
                tokio::pin!(ended);
                while let Some(Ok(chunk)) = tokio::select! { chunk = stream.next() => chunk, () = &mut ended => None } {
                    if !websocket::send(&mut outgoing, STDOUT, &chunk).await {
                        return;
                    }
                }
                success()
            }
        };
        websocket::send(&mut outgoing, ERROR, status.to_string().as_bytes()).await;
        websocket::close(outgoing, incoming).await;
    });
    Ok(answer)
}

/// Checks the request before the connection is upgraded. The inner error is an answer that is no `Status`.
fn prepare(server: &Server, call: &Call) -> Result<std::result::Result<(Object, ExecOptions), Answer>> {
    let name = call.info.name.as_str();
    let pod = server.api.find(&PODS, &call.info.namespace, name).ok_or_else(|| Status::not_found(&PODS, name))?;
    let options = ExecOptions {
        container: container::choose(&pod, call.query.get("container").unwrap_or_default())?,
        command: call.query.all("command").map(str::to_owned).collect(),
        stdin: call.query.flag("stdin"),
        stdout: call.query.flag("stdout"),
        stderr: call.query.flag("stderr"),
        tty: call.query.flag("tty"),
    };
    if object::str_at(&pod, "/spec/nodeName").is_empty() {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    if !(options.stdin || options.stdout || options.stderr) {
        return Ok(Err(respond::text(400, "you must specify at least 1 of stdin, stdout, stderr")));
    }
    Ok(Ok((pod, options)))
}

async fn run(
    session: Result<ExecSession>,
    mut outgoing: Outgoing,
    mut incoming: Frames,
    command: &[String],
    protocol: &str,
) {
    let status = match session {
        Err(status) => failure(&status),
        Ok(ExecSession { stdin, mut output, resize, exit }) => {
            let client = feed(&mut incoming, stdin, resize);
            tokio::pin!(client);
            loop {
                tokio::select! {
                    chunk = output.recv() => {
                        let Some(chunk) = chunk else { break };
                        let (channel, bytes) = match &chunk {
                            ExecOutput::Stdout(bytes) => (STDOUT, bytes),
                            ExecOutput::Stderr(bytes) => (STDERR, bytes),
                        };
                        if !websocket::send(&mut outgoing, channel, bytes).await {
                            return;
                        }
                    }
                    // A client that went away takes its command along.
                    () = &mut client => return,
                }
            }
            match exit.await {
                Ok(Ok(code)) => exited(code, command, protocol),
                Ok(Err(status)) => failure(&status),
                Err(_) => failure(&Status::internal("the command's end was not reported")),
            }
        }
    };
    websocket::send(&mut outgoing, ERROR, status.to_string().as_bytes()).await;
    websocket::close(outgoing, incoming).await;
}

/// Passes on what the client sends until it goes away.
async fn feed(incoming: &mut Frames, mut stdin: Option<mpsc::Sender<Bytes>>, resize: Option<mpsc::Sender<(u16, u16)>>) {
    while let Some((channel, bytes)) = websocket::receive(incoming).await {
        match channel {
            STDIN => {
                let gone = match &stdin {
                    Some(sender) => sender.send(bytes).await.is_err(),
                    None => false,
                };
                if gone {
                    stdin = None;
                }
            }
            CLOSE if bytes.first() == Some(&STDIN) => stdin = None,
            RESIZE => {
                if let (Some(sender), Some(size)) = (&resize, terminal_size(&bytes)) {
                    let _ = sender.send(size).await;
                }
            }
            _ => {}
        }
    }
}

/// Columns and rows.
fn terminal_size(bytes: &[u8]) -> Option<(u16, u16)> {
    let size: Value = serde_json::from_slice(bytes).ok()?;
    let number = |key: &str| size.get(key)?.as_u64()?.try_into().ok();
    Some((number("Width")?, number("Height")?))
}

fn success() -> Value {
    json!({"metadata": {}, "status": "Success"})
}

fn exited(code: i32, command: &[String], protocol: &str) -> Value {
    if code == 0 {
        return success();
    }
    let how = match protocol {
        V5 => format!("command terminated with exit code {code}"),
        _ => format!("error executing command [{}], exit code {code}", command.join(" ")),
    };
    json!({"metadata": {}, "status": "Failure",
        "message": format!("command terminated with non-zero exit code: {how}"), "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}})
}

fn failure(status: &Status) -> Value {
    json!({"metadata": {}, "status": "Failure", "message": status.message, "reason": "InternalError",
        "details": {"causes": [{"message": status.message}]}, "code": 500})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_reported_as_each_protocol_words_them() {
        let command = ["sh".to_owned(), "-c".to_owned(), "exit 2".to_owned()];
        assert_eq!(exited(0, &command, V5), success());
        let v5 = "command terminated with non-zero exit code: command terminated with exit code 2";
        assert_eq!(exited(2, &command, V5)["message"], json!(v5));
        let v4 = "command terminated with non-zero exit code: error executing command [sh -c exit 2], exit code 2";
        assert_eq!(exited(2, &command, PROTOCOLS[1])["message"], json!(v4));
    }

    #[test]
    fn terminal_sizes_are_read() {
        assert_eq!(terminal_size(br#"{"Width":80,"Height":24}"#), Some((80, 24)));
        assert_eq!(terminal_size(b"{}"), None);
    }
}
