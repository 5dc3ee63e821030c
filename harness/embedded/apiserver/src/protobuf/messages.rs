//! Messages and their fields, read from a table once, on first use.

use std::collections::HashMap;
use std::sync::OnceLock;

const TABLE: &str = include_str!("../../protobuf/fields.txt");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Text,
    Bytes,
    Bool,
    Number,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// JSON in a message of its own.
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Scalar(Scalar),
    Message(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    One,
    Many,
    Map,
}

#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub cardinality: Cardinality,
    pub ty: Type,
}

impl Field {
    /// Whether the fields of this message stand in its parent.
    pub fn inline(&self) -> bool {
        self.name == "~"
    }
}

#[derive(Debug, Default)]
pub struct Message {
    name: &'static str,
    fields: HashMap<u32, Field>,
}

impl Message {
    pub fn field(&self, number: u32) -> Option<&Field> {
        self.fields.get(&number)
    }

    pub fn is_bare_list(&self) -> bool {
        self.name.ends_with(".ExtraValue")
    }
}

#[derive(Debug)]
pub struct Messages(HashMap<&'static str, Message>);

impl Messages {
    pub fn get() -> &'static Self {
        static MESSAGES: OnceLock<Messages> = OnceLock::new();
        MESSAGES.get_or_init(|| {
            let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
            Self(lines.filter_map(parse).map(|message| (message.name, message)).collect())
        })
    }

    pub fn find(&self, name: &str) -> Option<&Message> {
        self.0.get(name)
    }

    /// The message of a kind: packages are named by the first part of the group.
    pub fn of_kind(&self, (group, version): (&str, &str), kind: &str) -> Option<&Message> {
        if kind == "DeleteOptions" {
            return self.find("meta.DeleteOptions");
        }
        let package = match group.split('.').next().unwrap_or_default() {
            "" => "core",
            first => first,
        };
        self.find(&format!("{package}.{version}.{kind}"))
    }
}

/// `core.v1.ConfigMap: 1 metadata meta.ObjectMeta, 2 data {}string`
fn parse(line: &'static str) -> Option<Message> {
    let (name, fields) = line.split_once(':')?;
    let fields = fields.split(',').filter_map(|field| {
        let mut words = field.split_whitespace();
        let (number, name, ty) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let (cardinality, ty) = match (ty.strip_prefix("[]"), ty.strip_prefix("{}")) {
            (Some(item), _) => (Cardinality::Many, item),
            (_, Some(item)) => (Cardinality::Map, item),
            _ => (Cardinality::One, ty),
        };
        Some((number, Field { name, cardinality, ty: parse_type(ty) }))
    });
    Some(Message { name, fields: fields.collect() })
}

fn parse_type(text: &'static str) -> Type {
    Type::Scalar(match text {
        "string" => Scalar::Text,
        "bytes" => Scalar::Bytes,
        "bool" => Scalar::Bool,
        "int32" | "int64" | "uint32" | "uint64" => Scalar::Number,
        "quantity" => Scalar::Quantity,
        "intorstring" => Scalar::IntOrString,
        "time" => Scalar::Time,
        "microtime" => Scalar::MicroTime,
        "raw" => Scalar::Raw,
        message => return Type::Message(message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_messages_that_fields_refer_to_are_there() {
        let messages = Messages::get();
        assert!(messages.0.len() > 300);
        for message in messages.0.values() {
            for field in message.fields.values() {
                if let Type::Message(name) = field.ty {
                    assert!(messages.find(name).is_some(), "{}.{}: {name}", message.name, field.name);
                }
            }
        }
    }

    #[test]
    fn kinds_are_found_by_group_and_version() {
        let messages = Messages::get();
        assert!(messages.of_kind(("rbac.authorization.k8s.io", "v1"), "Role").is_some());
        assert!(messages.of_kind(("", "v1"), "Pod").is_some());
        assert!(messages.of_kind(("", "v2"), "Pod").is_none());
    }
}
