//! Which form of an answer a client accepts.

use embedded_apimachinery::{Result, Status};
use serde_json::json;

use crate::protobuf;

/// How objects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Object,
    Table,
    /// `PartialObjectMetadata`, or a list of them.
    Metadata,
}

const SUPPORTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// One element of an `Accept` header.
struct Clause<'a> {
    media: &'a str,
    form: Option<&'a str>,
    version: Option<&'a str>,
    group: Option<&'a str>,
}

fn clauses(accept: &str) -> impl Iterator<Item = Clause<'_>> {
    accept.split(',').map(str::trim).filter(|c| !c.is_empty()).map(|clause| {
        let mut parts = clause.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parameters: Vec<_> = parts.filter_map(|p| p.split_once('=')).collect();
        let parameter = |key: &str| parameters.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        Clause { media, form: parameter("as"), version: parameter("v"), group: parameter("g") }
    })
}

fn is_json(media: &str) -> bool {
    matches!(media, "application/json" | "*/*" | "application/*")
}

/// The first clause that can be met wins. Nothing is said in YAML or protobuf: clients that prefer those fall back.
pub fn negotiate(accept: Option<&str>) -> Result<Form> {
    let accept = accept.unwrap_or("*/*");
    if accept.trim().is_empty() {
        return Ok(Form::Object);
    }
    let mut known_media = false;
    for clause in clauses(accept).filter(|c| is_json(c.media)) {
        known_media = true;
        let meta = clause.group == Some("meta.k8s.io") && clause.version == Some("v1");
        match clause.form {
            None => return Ok(Form::Object),
            Some("Table") if meta => return Ok(Form::Table),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") if meta => return Ok(Form::Metadata),
            Some(_) => {}
        }
    }
    Err(if known_media { unknown_form() } else { not_acceptable() })
}

/// Whether the client asks for aggregated discovery, and in which version.
pub fn wants_aggregated_discovery(accept: Option<&str>) -> Option<&'static str> {
    for clause in clauses(accept.unwrap_or_default()).filter(|c| is_json(c.media)) {
        match (clause.form, clause.version) {
            (Some("APIGroupDiscoveryList"), Some("v2")) => return Some("v2"),
            (Some("APIGroupDiscoveryList"), Some("v2beta1")) => return Some("v2beta1"),
            (None, _) => return None,
            _ => {}
        }
    }
    None
}

pub fn not_acceptable() -> Status {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {SUPPORTED}");
    Status::new(406, "NotAcceptable", message).with_details(json!({}))
}

fn unknown_form() -> Status {
    Status::new(406, "NotAcceptable", format!("only the following media types are accepted: {SUPPORTED}"))
}

/// The encodings of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    Json,
    Yaml,
    Protobuf,
}

pub fn body_format(content_type: Option<&str>) -> Result<BodyFormat> {
    match media_type(content_type) {
        "" | "application/json" => Ok(BodyFormat::Json),
        "application/yaml" => Ok(BodyFormat::Yaml),
        protobuf::MEDIA_TYPE => Ok(BodyFormat::Protobuf),
        _ => Err(Status::new(
            415,
            "UnsupportedMediaType",
            format!("the body of the request was in an unknown format - accepted media types include: {SUPPORTED}"),
        )),
    }
}

/// The media type without its parameters.
pub fn media_type(content_type: Option<&str>) -> &str {
    content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_can_be_met_is_taken() {
        for (accept, expected) in [
            (None, Ok(Form::Object)),
            (Some("*/*"), Ok(Form::Object)),
            (Some("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Ok(Form::Table)),
            (Some("application/vnd.kubernetes.protobuf, application/json"), Ok(Form::Object)),
            (Some("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"), Ok(Form::Metadata)),
            (Some("application/json;as=Nope;v=v1;g=meta.k8s.io"), Err(unknown_form())),
            (Some("text/html"), Err(not_acceptable())),
            (Some("application/vnd.kubernetes.protobuf"), Err(not_acceptable())),
        ] {
            assert_eq!(negotiate(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn aggregated_discovery_is_asked_for_by_version() {
        let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        assert_eq!(wants_aggregated_discovery(Some(kubectl)), Some("v2"));
        assert_eq!(wants_aggregated_discovery(Some("application/json")), None);
    }
}
