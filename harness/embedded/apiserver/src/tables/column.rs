//! Columns, and cells that many kinds have.

use chrono::{DateTime, Utc};
use embedded_apimachinery::{object, timestamp};
use serde_json::{Value, json};

pub const NONE: &str = "<none>";
const UNKNOWN: &str = "<unknown>";

/// Definition of one column. Those with priority 1 are shown with `-o wide` only.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    kind: &'static str,
    format: &'static str,
    description: &'static str,
    priority: u8,
}

impl Column {
    pub const fn text(name: &'static str, description: &'static str) -> Self {
        Self { name, kind: "string", format: "", description, priority: 0 }
    }

    pub const fn number(name: &'static str, description: &'static str) -> Self {
        Self { name, kind: "integer", format: "", description, priority: 0 }
    }

    pub const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }

    pub fn definition(&self) -> Value {
        json!({"name": self.name, "type": self.kind, "format": self.format, "description": self.description,
            "priority": self.priority})
    }
}

pub const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    description: "Name must be unique within a namespace. Is required when creating resources, although some resources \
                  may allow a client to request the generation of an appropriate name automatically. Name is primarily \
                  intended for creation idempotence and configuration definition. Cannot be updated. More info: \
                  https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
    priority: 0,
};

const CREATION: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It \
                        is not guaranteed to be set in happens-before order across separate operations. Clients may \
                        not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the \
                        system. Read-only. Null for lists. More info: \
                        https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

pub const AGE: Column = Column::text("Age", CREATION);
pub const CREATED_AT: Column = Column { format: "date-time", ..Column::text("Created At", CREATION) };
pub const CONTAINERS: Column = Column::text("Containers", "Names of each container in the template.").wide();
pub const IMAGES: Column = Column::text("Images", "Images referenced by each container in the template.").wide();

pub fn name(object: &Value) -> Value {
    object::name(object).into()
}

pub fn age(object: &Value, now: DateTime<Utc>) -> Value {
    since(object::str_at(object, "/metadata/creationTimestamp"), now).into()
}

/// How long ago a time was.
pub fn since(time: &str, now: DateTime<Utc>) -> String {
    timestamp::parse(time).map_or_else(|| UNKNOWN.to_owned(), |time| duration((now - time).num_seconds()))
}

/// A duration for people: two units at most (k8s.io/apimachinery/pkg/util/duration, `HumanDuration`).
pub fn duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

pub fn text_or<'a>(object: &'a Value, pointer: &str, default: &'a str) -> &'a str {
    match object::str_at(object, pointer) {
        "" => default,
        text => text,
    }
}

pub fn int(object: &Value, pointer: &str) -> i64 {
    object::int_at(object, pointer).unwrap_or(0)
}

pub fn len(object: &Value, pointer: &str) -> usize {
    match object.pointer(pointer) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    }
}

/// Names and images of containers, comma separated.
pub fn containers(object: &Value, pointer: &str) -> [Value; 2] {
    let join = |field: &str| -> Value {
        let texts: Vec<&str> = object::list_at(object, pointer).iter().map(|c| object::str_at(c, field)).collect();
        texts.join(",").into()
    };
    [join("/name"), join("/image")]
}

/// A map as `a=b,c=d`.
pub fn map_text(map: Option<&Value>) -> String {
    let pairs: Vec<String> = object::string_map(map).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
    if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") }
}

/// A label selector in its object form.
pub fn selector_text(selector: Option<&Value>) -> String {
    use embedded_apimachinery::selector::LabelSelector;
    let text = LabelSelector::from_object(selector).map(|s| s.to_string()).unwrap_or_default();
    if text.is_empty() { NONE.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (601, "10m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 300, "3h5m"),
            (9 * 3600, "9h"),
            (3 * 86400 + 3600, "3d1h"),
            (400 * 86400, "400d"),
            (3 * 365 * 86400, "3y"),
            (-5, "<invalid>"),
        ] {
            assert_eq!(duration(seconds), expected, "{seconds}");
        }
    }
}
