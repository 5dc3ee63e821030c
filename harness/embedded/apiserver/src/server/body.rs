//! Request bodies.

use bytes::Bytes;
use embedded_apimachinery::{Result, Status};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use crate::protobuf;

/// Larger bodies are refused (k8s.io/apiserver, `MaxRequestBodyBytes`).
const LIMIT: usize = 3 * 1024 * 1024;

pub async fn read(body: Incoming) -> Result<Bytes> {
    match Limited::new(body, LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {LIMIT}")))
        }
        Err(error) => Err(Status::bad_request(format!("reading the body failed: {error}"))),
    }
}

/// An object in whatever encoding: protobuf tells itself by its first bytes, and JSON is YAML.
pub fn parse(body: &[u8]) -> Result<Value> {
    if protobuf::is(body) { protobuf::decode(body) } else { yaml(body).map_err(Status::bad_request) }
}

/// YAML (of which JSON is a part) to a value. The words that YAML 1.1 takes for booleans are booleans, as in Kubernetes.
pub fn yaml(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    serde_saphyr::from_str(text).map_err(|error| format!("error converting YAML to JSON: yaml: {error}"))
}
