//! Questions over HTTP to a port of a pod. The pod's node forwards them from inside the pod, so no policy stands in their
//! way, and the pod needs no program for them.

use crate::access::Access;
use crate::retry::{self, Interrupted};
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A port of a pod.
#[derive(Debug, Clone, Copy)]
pub struct Port<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    pub number: u16,
}

impl fmt::Display for Port<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {} of {}/{}", self.number, self.namespace, self.pod)
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Gets what is at a path, which begins with a slash. Where the stream breaks it is asked again, a few times before the
/// deadline.
///
/// # Errors
/// Nothing listens there, or there was no answer before the deadline.
pub async fn get(access: &Access, port: Port<'_>, path: &str, deadline: Duration) -> Result<Answer, Trouble> {
    let asking = retry::over_broken_streams(&access.hitches, || once(access, port, path));
    let asked = tokio::time::timeout(deadline, asking).await;
    let asked = asked.unwrap_or_else(|_| Err(format!("no answer within {}", gauntlet_core::span::Span(deadline))));
    asked.or_trouble(|| format!("cannot get {path} from {port}"))
}

async fn once(access: &Access, port: Port<'_>, path: &str) -> Result<Answer, Interrupted> {
    let pods: Api<Pod> = Api::namespaced(access.client.clone(), port.namespace);
    let forwarder = pods.portforward(port.pod, &[port.number]).await;
    let mut forwarder = forwarder.map_err(|error| Interrupted::not_begun(&error))?;
    let (Some(stream), Some(refusal)) = (forwarder.take_stream(port.number), forwarder.take_error(port.number)) else {
        return Err(Interrupted::Refused("the port was not forwarded".to_owned()));
    };
    tokio::select! {
        biased;
        Some(why) = refusal => Err(Interrupted::Refused(why.trim().to_owned())),
        answer = exchange(stream, path) => answer.map_err(|error| Interrupted::StreamBroke(error.to_string())),
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    path: &str,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(header::HOST, "localhost").body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    };
    tokio::select! {
        answer = answer => answer,
        Err(error) = connection => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn answered_with(bytes: &str) -> Result<Answer, String> {
        let (ours, mut server) = tokio::io::duplex(4096);
        let serving = async {
            let mut asked = vec![0; 1024];
            let length = server.read(&mut asked).await.unwrap();
            server.write_all(bytes.as_bytes()).await.unwrap();
            drop(server);
            String::from_utf8_lossy(&asked[..length]).into_owned()
        };
        let (answer, asked) = tokio::join!(exchange(ours, "/varz?a=1"), serving);
        assert!(asked.starts_with("GET /varz?a=1 HTTP/1.1\r\n"), "{asked}");
        answer.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn an_answer_is_whole_or_an_error() {
        let answer = |status, body: &str| Answer { status, body: body.to_owned() };
        let told = answered_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(told, Ok(answer(200, "ok")));
        let told = answered_with("HTTP/1.1 503 Service Unavailable\r\n\r\nJetStream is off").await;
        assert_eq!(told, Ok(answer(503, "JetStream is off")));
        for broken in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"] {
            assert!(answered_with(broken).await.is_err(), "{broken:?}");
        }
    }
}
