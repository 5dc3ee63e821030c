//! The `log` subresource: what containers wrote.

use embedded_apimachinery::kubelet::LogOptions;
use embedded_apimachinery::resource::PODS;
use embedded_apimachinery::{Result, Status, object};
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::container;
use crate::server::respond::{self, Answer, Body};
use crate::server::{Call, Server};

const TEXT: &str = "text/plain";

pub async fn logs(server: &Server, call: &Call) -> Result<Answer> {
    let name = call.info.name.as_str();
    let pod = server.api.find(&PODS, &call.info.namespace, name).ok_or_else(|| Status::not_found(&PODS, name))?;
    let options = options(call, &pod)?;
    if object::str_at(&pod, "/spec/nodeName").is_empty() {
        // Nothing runs yet, so nothing was written.
        let mut answer = respond::with_type(204, respond::full(""), TEXT);
        answer.headers_mut().remove(http::header::CONTENT_TYPE);
        return Ok(answer);
    }
    let end = server.shutdown.clone().cancelled_owned();
    let stream = server.kubelet.logs(&pod, options).await?;
    let body: Body = StreamBody::new(stream.take_until(end).map(|chunk| chunk.map(Frame::data))).boxed_unsync();
    Ok(respond::with_type(200, body, TEXT))
}

fn options(call: &Call, pod: &Value) -> Result<LogOptions> {
    let mut causes = Vec::new();
    let mut number = |field: &str, least: i64| -> Result<Option<u64>> {
        let Some(value) = call.query.int(field)? else { return Ok(None) };
        if value < least {
            let bound = if least == 0 { "or equal to 0" } else { "or equal to 1" };
            let message = format!("Invalid value: {value}: must be greater than {bound}");
            causes.push(json!({"reason": "FieldValueInvalid", "message": message, "field": field}));
        }
        Ok(u64::try_from(value).ok())
    };
    let tail_lines = number("tailLines", 0)?;
    let limit_bytes = number("limitBytes", 1)?;
    let since_seconds = number("sinceSeconds", 1)?;
    if !causes.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", object::name(pod), causes));
    }
    let since_time = match since_seconds.and_then(|s| i64::try_from(s).ok()) {
        Some(seconds) => Some((chrono::Utc::now() - chrono::Duration::seconds(seconds)).to_rfc3339()),
        None => call.query.get("sinceTime").map(str::to_owned),
    };
    Ok(LogOptions {
        container: container::choose(pod, call.query.get("container").unwrap_or_default())?,
        follow: call.query.flag("follow"),
        previous: call.query.flag("previous"),
        timestamps: call.query.flag("timestamps"),
        tail_lines,
        limit_bytes,
        since_time,
    })
}
