//! What the schema of a custom resource demands of a value beyond its shape, and the problems of values that fall short.

use regex::Regex;
use serde_json::Value;

use crate::cause;
use crate::model::{KindSchema, ListKind, Shape, Text, Type};

/// Value validations of a structural schema. Bounds are inclusive unless said otherwise.
#[derive(Debug, Default)]
pub struct Constraints {
    pub nullable: bool,
    pub allowed: Vec<Value>,
    pub minimum: Option<(f64, bool)>,
    pub maximum: Option<(f64, bool)>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub pattern: Option<Regex>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
}

impl Constraints {
    /// Reads the keywords of an openAPIV3Schema node; `None` when there are none. Fails on a pattern that is no regular
    /// expression.
    pub fn compile(schema: &Value) -> Result<Option<Box<Self>>, String> {
        let number = |key: &str| schema[key].as_u64();
        let bound = |key: &str, exclusive: &str| {
            schema[key].as_f64().map(|bound| (bound, schema[exclusive].as_bool().unwrap_or(false)))
        };
        let pattern = match schema["pattern"].as_str() {
            Some(pattern) => Some(Regex::new(pattern).map_err(|error| format!("pattern {pattern:?}: {error}"))?),
            None => None,
        };
        let constraints = Self {
            nullable: schema["nullable"].as_bool().unwrap_or(false),
            allowed: schema["enum"].as_array().cloned().unwrap_or_default(),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            min_length: number("minLength"),
            max_length: number("maxLength"),
            pattern,
            min_items: number("minItems"),
            max_items: number("maxItems"),
            min_properties: number("minProperties"),
            max_properties: number("maxProperties"),
        };
        Ok(constraints.says_something().then(|| Box::new(constraints)))
    }

    fn says_something(&self) -> bool {
        let counts = [self.min_length, self.max_length, self.min_items, self.max_items];
        let sizes = [self.min_properties, self.max_properties];
        self.nullable
            || !self.allowed.is_empty()
            || self.minimum.is_some()
            || self.maximum.is_some()
            || self.pattern.is_some()
            || counts.iter().chain(&sizes).any(Option::is_some)
    }
}

/// The problems of a custom resource, as causes of a 422. Metadata is judged with the rules of all objects instead.
pub fn validate(schema: &KindSchema, object: &Value) -> Vec<Value> {
    let mut causes = Vec::new();
    let (Some(fields), Some(entries)) = (schema.root.get().fields(), object.as_object()) else { return causes };
    for (name, field) in &fields.by_name {
        match entries.get(&**name) {
            _ if matches!(&**name, "apiVersion" | "kind" | "metadata") => {}
            Some(found) => walk(name, found, field.ty.get(), &mut causes),
            None if field.required => causes.push(cause::required(name, "")),
            None => {}
        }
    }
    causes
}

fn walk(path: &str, value: &Value, ty: &Type, causes: &mut Vec<Value>) {
    let nullable = ty.constraints.as_ref().is_some_and(|c| c.nullable);
    if value.is_null() && (nullable || matches!(ty.shape, Shape::Any)) {
        return;
    }
    match (&ty.shape, value) {
        (Shape::Struct(fields), Value::Object(entries)) => {
            for (name, field) in &fields.by_name {
                let path = format!("{path}.{name}");
                match entries.get(&**name) {
                    Some(found) => walk(&path, found, field.ty.get(), causes),
                    None if field.required => causes.push(cause::required(&path, "")),
                    None => {}
                }
            }
        }
        (Shape::Map(map), Value::Object(entries)) => {
            for (key, entry) in entries {
                walk(&format!("{path}.{key}"), entry, map.values.get(), causes);
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                walk(&format!("{path}[{index}]"), item, list.items.get(), causes);
            }
            duplicates(path, items, &list.kind, causes);
        }
        (Shape::Any, _)
        | (Shape::Boolean, Value::Bool(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Text(_) | Shape::Quantity, Value::String(_))
        | (Shape::IntOrString, Value::String(_)) => {}
        (Shape::Integer { .. } | Shape::IntOrString, Value::Number(number)) if number.is_i64() || number.is_u64() => {}
        _ => {
            let expected = type_name(ty);
            let found = kind(value);
            let detail = format!("{path} in body must be of type {expected}: {found:?}");
            return causes.push(cause::type_invalid(path, found, &detail));
        }
    }
    if let Some(constraints) = &ty.constraints {
        bounds(path, value, constraints, causes);
    }
}

fn duplicates(path: &str, items: &[Value], kind: &ListKind, causes: &mut Vec<Value>) {
    let identity = |item: &Value| match kind {
        ListKind::Atomic => None,
        ListKind::Set => Some(item.clone()),
        ListKind::Map(keys) => {
            let named = keys.iter().filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())));
            Some(Value::Object(named.collect()))
        }
    };
    let mut seen: Vec<Value> = Vec::new();
    for (index, identity) in items.iter().enumerate().filter_map(|(index, item)| Some((index, identity(item)?))) {
        if seen.contains(&identity) {
            causes.push(cause::duplicate(&format!("{path}[{index}]"), identity));
        } else {
            seen.push(identity);
        }
    }
}

fn bounds(path: &str, value: &Value, constraints: &Constraints, causes: &mut Vec<Value>) {
    let mut invalid =
        |detail: String| causes.push(cause::invalid(path, value.clone(), &format!("{path} in body {detail}")));
    if let Some(number) = value.as_f64() {
        if let Some((minimum, exclusive)) = constraints.minimum
            && (number < minimum || (exclusive && number == minimum))
        {
            invalid(format!("should be greater than {}{minimum}", if exclusive { "" } else { "or equal to " }));
        }
        if let Some((maximum, exclusive)) = constraints.maximum
            && (number > maximum || (exclusive && number == maximum))
        {
            invalid(format!("should be less than {}{maximum}", if exclusive { "" } else { "or equal to " }));
        }
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as u64;
        if let Some(min) = constraints.min_length.filter(|min| length < *min) {
            invalid(format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = constraints.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            invalid(format!("should match '{}'", pattern.as_str()));
        }
        if let Some(max) = constraints.max_length.filter(|max| length > *max) {
            causes.push(cause::too_long(path, max as usize));
        }
    }
    sizes(path, value, constraints, causes);
    if !constraints.allowed.is_empty() && !constraints.allowed.contains(value) {
        let supported: Vec<String> = constraints.allowed.iter().map(plain).collect();
        let supported: Vec<&str> = supported.iter().map(String::as_str).collect();
        causes.push(cause::not_supported(path, value.clone(), &supported));
    }
}

fn sizes(path: &str, value: &Value, constraints: &Constraints, causes: &mut Vec<Value>) {
    let (size, min, max, what) = match value {
        Value::Array(items) => (items.len(), constraints.min_items, constraints.max_items, "items"),
        Value::Object(map) => (map.len(), constraints.min_properties, constraints.max_properties, "properties"),
        _ => return,
    };
    if let Some(min) = min.filter(|min| (size as u64) < *min) {
        causes.push(cause::invalid(path, size, &format!("{path} in body should have at least {min} {what}")));
    }
    if let Some(max) = max.filter(|max| size as u64 > *max) {
        causes.push(cause::too_many(path, size, max as usize));
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn type_name(ty: &Type) -> &'static str {
    match ty.shape {
        Shape::Boolean => "boolean",
        Shape::Integer { .. } => "integer",
        Shape::Number => "number",
        Shape::Text(Text::Plain | Text::Bytes | Text::Time | Text::MicroTime) | Shape::Quantity => "string",
        Shape::IntOrString => "integer,string",
        Shape::List(_) => "array",
        Shape::Map(_) | Shape::Struct(_) => "object",
        Shape::Any => "any",
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
