//! Runs a command over a WebSocket, as exec and attach do.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt, StreamExt};
use libtest_mimic::Failed;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::client::Client;

/// What came back, in the form in which it was recorded: `status`, `protocol`, `stdout`, `stderr`, `error` and `close`,
/// or `status` and `body` when the server refused.
pub async fn run(client: &Client, path: &str, protocols: &str, stdin: Option<&str>) -> Result<Value, Failed> {
    let host = client.address.split(':').next().unwrap_or_default().to_owned();
    let tcp = TcpStream::connect(&client.address).await?;
    let tls = TlsConnector::from(client.tls.clone()).connect(ServerName::try_from(host)?, tcp).await?;
    let mut stream = BufReader::new(tls);
    let url = reqwest::Url::parse(&format!("https://{}{path}", client.address))?;
    let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    let key = STANDARD.encode(uuid::Uuid::new_v4().as_bytes());
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUser-Agent: golden/1\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {protocols}\r\n\r\n",
        client.address
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let (status, headers) = read_head(&mut stream).await?;
    if status != 101 {
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        return Ok(json!({"status": status, "body": parse(text)}));
    }
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    if let Some(stdin) = stdin {
        socket.send(Message::Binary([&[0], stdin.as_bytes()].concat().into())).await?;
        // Closes channel 0.
        socket.send(Message::Binary(vec![255, 0].into())).await?;
    }
    let mut channels: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    let mut close = Value::Null;
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Close(frame)) => {
                close = frame.map_or(Value::Null, |frame| u16::from(frame.code).into());
                break;
            }
            Ok(message @ (Message::Binary(_) | Message::Text(_))) => {
                if let Some((channel, data)) = message.into_data().split_first() {
                    channels.entry(*channel).or_default().extend_from_slice(data);
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let text = |channel: u8| String::from_utf8_lossy(channels.get(&channel).map_or(&[], Vec::as_slice)).into_owned();
    Ok(json!({
        "status": status,
        "protocol": headers.get("sec-websocket-protocol"),
        "stdout": text(1),
        "stderr": text(2),
        "error": parse(text(3)),
        "close": close,
    }))
}

/// JSON where it is an object, else the text.
fn parse(text: String) -> Value {
    if text.starts_with('{') { serde_json::from_str(&text).unwrap_or(Value::String(text)) } else { text.into() }
}

/// The status and the headers, their names in lower case.
async fn read_head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Result<(u16, BTreeMap<String, String>), Failed> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| format!("{line:?} is no HTTP answer"))?;
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => return Ok((status, headers)),
        };
    }
}
