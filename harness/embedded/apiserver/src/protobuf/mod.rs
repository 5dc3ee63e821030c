//! Protobuf request bodies, which Go clients send unless told otherwise. Answers are JSON always: those clients accept
//! it.
//!
//! - [`messages`]: which field has which number
//! - [`wire`]: the encoding
//!
//! A body is the magic `k8s\0` and an `Unknown` message that names the kind and holds the object.

mod messages;
mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use embedded_apimachinery::{Status, timestamp};
use serde_json::{Map, Value, json};

use crate::catalog::split_api_version;
use messages::{Cardinality, Message, Messages, Scalar, Type};
use wire::{Reader, Wire};

pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
/// Deeper nesting is no object of ours.
const MAX_DEPTH: usize = 64;

pub fn is(body: &[u8]) -> bool {
    body.starts_with(MAGIC)
}

/// The object of a body, as JSON with its `kind` and `apiVersion`.
///
/// # Errors
/// 400 for what is no such body, or an object of a kind that is not served.
pub fn decode(body: &[u8]) -> Result<Value, Status> {
    let refused = |why: &str| Status::bad_request(format!("the body of the request is no valid protobuf: {why}"));
    let body = body.strip_prefix(MAGIC).ok_or_else(|| refused("it does not begin with \"k8s\\0\""))?;
    let messages = Messages::get();
    let unknown = messages.find("runtime.Unknown").ok_or_else(|| refused("its envelope is not known"))?;
    let envelope = message(messages, unknown, body, 0).map_err(refused)?;
    let text = |pointer: &str| envelope.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("/typeMeta/apiVersion"), text("/typeMeta/kind"));
    let raw = STANDARD.decode(text("/raw")).unwrap_or_default();
    let found = messages.of_kind(split_api_version(api_version), kind);
    let found = found.ok_or_else(|| refused(&format!("{api_version} {kind} is not known in this encoding")))?;
    let object = message(messages, found, &raw, 0).map_err(refused)?;
    let mut typed = Map::new();
    typed.insert("kind".into(), kind.into());
    typed.insert("apiVersion".into(), api_version.into());
    if let Value::Object(fields) = object {
        typed.extend(fields);
    }
    Ok(Value::Object(typed))
}

fn message(messages: &Messages, message: &Message, bytes: &[u8], depth: usize) -> Result<Value, &'static str> {
    if depth > MAX_DEPTH {
        return Err("it is nested too deeply");
    }
    let mut object = Map::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        let Some(field) = message.field(number) else { continue };
        match field.cardinality {
            Cardinality::One if field.inline() => {
                if let Value::Object(fields) = value(messages, &field.ty, &wire, depth)? {
                    object.extend(fields);
                }
            }
            Cardinality::One => {
                object.insert(field.name.into(), value(messages, &field.ty, &wire, depth)?);
            }
            Cardinality::Many => {
                let item = value(messages, &field.ty, &wire, depth)?;
                if let Value::Array(list) = object.entry(field.name).or_insert_with(|| json!([])) {
                    list.push(item);
                }
            }
            Cardinality::Map => {
                let (key, item) = entry(messages, &field.ty, wire.bytes()?, depth)?;
                if let Value::Object(map) = object.entry(field.name).or_insert_with(|| json!({})) {
                    map.insert(key, item);
                }
            }
        }
    }
    // Lists that have a type of their own are lists in JSON.
    if message.is_bare_list() {
        return Ok(object.shift_remove("items").unwrap_or_else(|| json!([])));
    }
    Ok(Value::Object(object))
}

/// Maps are lists of pairs: the key is field 1, the value field 2.
fn entry(messages: &Messages, ty: &Type, bytes: &[u8], depth: usize) -> Result<(String, Value), &'static str> {
    let (mut key, mut item) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => key = wire.text()?.to_owned(),
            2 => item = Some(value(messages, ty, &wire, depth)?),
            _ => {}
        }
    }
    let item = match item {
        Some(item) => item,
        None => value(messages, ty, &Wire::Bytes(&[]), depth)?,
    };
    Ok((key, item))
}

fn value(messages: &Messages, ty: &Type, wire: &Wire<'_>, depth: usize) -> Result<Value, &'static str> {
    Ok(match ty {
        Type::Scalar(Scalar::Text) => wire.text()?.into(),
        Type::Scalar(Scalar::Bytes) => STANDARD.encode(wire.bytes()?).into(),
        Type::Scalar(Scalar::Bool) => (wire.number()? != 0).into(),
        // Negative numbers are sign-extended to 64 bits, whatever their type.
        Type::Scalar(Scalar::Number) => (wire.number()?.cast_signed()).into(),
        Type::Scalar(Scalar::Quantity) => first(wire, 1)?.map_or(Ok("0"), |w| w.text())?.into(),
        Type::Scalar(Scalar::IntOrString) => int_or_string(wire)?,
        Type::Scalar(Scalar::Time) => time(wire, SecondsFormat::Secs)?,
        Type::Scalar(Scalar::MicroTime) => time(wire, SecondsFormat::Micros)?,
        Type::Scalar(Scalar::Raw) => {
            let json = first(wire, 1)?.map_or(Ok(&b""[..]), |w| w.bytes())?;
            serde_json::from_slice(json).unwrap_or(Value::Null)
        }
        Type::Message(name) => match messages.find(name) {
            Some(found) => message(messages, found, wire.bytes()?, depth + 1)?,
            None => Value::Null,
        },
    })
}

/// A field of a small message.
fn first<'a>(wire: &Wire<'a>, wanted: u32) -> Result<Option<Wire<'a>>, &'static str> {
    let mut reader = Reader::new(wire.bytes()?);
    let mut found = None;
    while let Some((number, wire)) = reader.next()? {
        if number == wanted {
            found = Some(wire);
        }
    }
    Ok(found)
}

fn int_or_string(wire: &Wire<'_>) -> Result<Value, &'static str> {
    let is_text = first(wire, 1)?.map_or(Ok(0), |w| w.number())? == 1;
    if is_text {
        return Ok(first(wire, 3)?.map_or(Ok(""), |w| w.text())?.into());
    }
    Ok(first(wire, 2)?.map_or(Ok(0), |w| w.number())?.cast_signed().into())
}

/// An empty message is no time at all.
fn time(wire: &Wire<'_>, precision: SecondsFormat) -> Result<Value, &'static str> {
    let Some(seconds) = first(wire, 1)? else { return Ok(Value::Null) };
    let nanos = first(wire, 2)?.map_or(Ok(0), |w| w.number())?;
    let time = DateTime::from_timestamp(seconds.number()?.cast_signed(), u32::try_from(nanos).unwrap_or(0));
    Ok(match (time, precision) {
        (Some(time), SecondsFormat::Secs) => timestamp::format(time).into(),
        (Some(time), precision) => time.to_rfc3339_opts(precision, true).into(),
        (None, _) => Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with a length and its bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend(bytes);
        out
    }

    fn body(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
        let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &meta), field(2, object)].concat()
    }

    #[test]
    fn an_eviction_is_read() {
        let metadata = [field(1, b"web-0"), field(3, b"ns")].concat();
        let grace = [8, 5];
        let object = [field(1, &metadata), field(2, &grace)].concat();
        assert_eq!(
            decode(&body("policy/v1", "Eviction", &object)).unwrap(),
            json!({"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "web-0", "namespace": "ns"},
                "deleteOptions": {"gracePeriodSeconds": 5}})
        );
    }

    #[test]
    fn maps_lists_and_embedded_messages_become_json() {
        let data = [field(1, b"k"), field(2, b"v")].concat();
        let map = decode(&body("v1", "ConfigMap", &field(2, &data))).unwrap();
        assert_eq!(map["data"], json!({"k": "v"}));
        // Pod.spec.volumes[0]: its source stands in the volume itself.
        let empty_dir = field(2, &field(2, b""));
        let volume = [field(1, b"vol"), empty_dir].concat();
        let pod = decode(&body("v1", "Pod", &field(2, &field(1, &volume)))).unwrap();
        assert_eq!(pod["spec"]["volumes"], json!([{"name": "vol", "emptyDir": {}}]));
    }

    #[test]
    fn what_is_no_protobuf_is_refused() {
        for bad in [b"{}".to_vec(), b"k8s\0\xff".to_vec(), body("v1", "Nothing", b"")] {
            assert_eq!(decode(&bad).unwrap_err().code, 400);
        }
    }
}
