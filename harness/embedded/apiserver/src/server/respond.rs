//! Answers: JSON, `Status` errors and plain text.

use bytes::Bytes;
use embedded_apimachinery::Status;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;
pub type Answer = Response<Body>;

pub const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// JSON is written with a final newline, as Go's encoder does.
pub fn json(code: u16, value: &impl serde::Serialize) -> Answer {
    json_as(code, value, JSON)
}

pub fn json_as(code: u16, value: &impl serde::Serialize, content_type: &str) -> Answer {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    with_type(code, full(text), content_type)
}

pub fn text(code: u16, text: impl Into<String>) -> Answer {
    with_type(code, full(text.into()), TEXT)
}

/// What Go's server says about paths that nobody handles.
pub fn page_not_found() -> Answer {
    text(404, "404 page not found\n")
}

pub fn with_type(code: u16, body: Body, content_type: &str) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

pub fn status(status: &Status) -> Answer {
    let mut value = status.to_value();
    if status.reason.is_empty()
        && let Value::Object(fields) = &mut value
    {
        fields.shift_remove("reason");
    }
    let mut answer = json(status.code, &value);
    if let Some(seconds) = status.details.get("retryAfterSeconds").and_then(Value::as_i64)
        && let Ok(seconds) = HeaderValue::from_str(&seconds.to_string())
    {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    answer
}

/// Texts that the generic server uses for what it does not serve.
pub fn no_such_resource() -> Status {
    Status::new(404, "NotFound", "the server could not find the requested resource").with_details(json!({}))
}

pub fn no_such_method() -> Status {
    Status::method_not_allowed("the server does not allow this method on the requested resource")
        .with_details(json!({}))
}

/// A value on its way out that is no failure, as for a deletion.
pub fn success(details: Value) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

pub fn add_warnings(answer: &mut Answer, warnings: &[String]) {
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            answer.headers_mut().append(header::WARNING, value);
        }
    }
}
