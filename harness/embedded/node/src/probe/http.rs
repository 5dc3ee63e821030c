//! Asking by an HTTP request: it succeeds with a status from 200 to 399. Certificates are not verified, as Kubernetes
//! does not.

use std::time::Duration;

use bytes::Bytes;
use embedded_apimachinery::object::{list_at, str_at};
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::check::{Address, Asking, Dialer, Outcome, within};
use super::tls;

const AGENT: &str = "kube-probe/1.36";

pub fn check<'a>(action: &'a Value, to: Address, network: &'a dyn Dialer, limit: Option<Duration>) -> Asking<'a> {
    Box::pin(async move {
        let url = url(action, &to);
        let failure = |why: &str| Outcome::Failure(format!("Get \"{url}\": {why}"));
        let request = match request(action, &to, &url) {
            Ok(request) => request,
            Err(error) => return Outcome::Errored(error.to_string()),
        };
        let attempt = async {
            let stream = to.dial(network).await?;
            match url.starts_with("https:") {
                true => send(tls::connect(stream, &to.host).await?, request).await,
                false => send(stream, request).await,
            }
        };
        match within(limit, attempt).await {
            None => failure("context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
            Some(Err(why)) => failure(&why),
            Some(Ok(200..=399)) => Outcome::Success,
            Some(Ok(status)) => Outcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
        }
    })
}

/// The status of the answer.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: http::Request<Empty<Bytes>>,
) -> Result<u16, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| reason(&error))?;
    tokio::pin!(connection);
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // The connection's end may come with the answer.
        _ = &mut connection => answer.await,
    };
    answer.map(|answer| answer.status().as_u16()).map_err(|error| reason(&error))
}

fn reason(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        "EOF".into()
    } else {
        error.to_string()
    }
}

fn url(action: &Value, to: &Address) -> String {
    let scheme = match str_at(action, "/scheme") {
        "" => "http".to_owned(),
        scheme => scheme.to_ascii_lowercase(),
    };
    let path = str_at(action, "/path");
    format!("{scheme}://{to}/{}", path.strip_prefix('/').unwrap_or(path))
}

fn request(action: &Value, to: &Address, url: &str) -> Result<http::Request<Empty<Bytes>>, http::Error> {
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let mut request = http::Request::get(format!("/{path}")).header(CONNECTION, "close");
    let headers = list_at(action, "/httpHeaders");
    let has = |name: &str| headers.iter().any(|header| str_at(header, "/name").eq_ignore_ascii_case(name));
    for (name, value) in [(HOST, to.to_string()), (USER_AGENT, AGENT.to_owned()), (ACCEPT, "*/*".to_owned())] {
        if !has(name.as_str()) {
            request = request.header(name, value);
        }
    }
    for header in headers {
        request = request.header(str_at(header, "/name"), str_at(header, "/value"));
    }
    request.body(Empty::new())
}
