//! Namespaces, configuration, identities and events.

use chrono::{DateTime, Utc};
use embedded_apimachinery::object;
use serde_json::Value;

use super::Printer;
use super::column::{AGE, Column, NAME, age, int, len, name, since, text_or};

const DATA: Column = Column::number("Data", "Number of keys.");

pub const NAMESPACES: Printer = Printer {
    columns: &[NAME, Column::text("Status", "The status of the namespace."), AGE],
    cells: |o, now| vec![name(o), object::str_at(o, "/status/phase").into(), age(o, now)],
};

pub const CONFIG_MAPS: Printer = Printer {
    columns: &[NAME, DATA, AGE],
    cells: |o, now| vec![name(o), (len(o, "/data") + len(o, "/binaryData")).into(), age(o, now)],
};

pub const SECRETS: Printer = Printer {
    columns: &[NAME, Column::text("Type", "What the secret is for."), DATA, AGE],
    cells: |o, now| vec![name(o), object::str_at(o, "/type").into(), len(o, "/data").into(), age(o, now)],
};

pub const SERVICE_ACCOUNTS: Printer = Printer {
    columns: &[NAME, Column::text("Secrets", "Number of secrets that its pods may use."), AGE],
    cells: |o, now| vec![name(o), len(o, "/secrets").into(), age(o, now)],
};

pub const EVENTS: Printer = Printer {
    columns: &[
        Column::text("Last Seen", "When this was last observed."),
        Column::text("Type", "Normal or Warning."),
        Column::text("Reason", "Why it happened, in one word."),
        Column::text("Object", "What it is about."),
        Column::text("Subobject", "The part of the object it is about.").wide(),
        Column::text("Source", "Who observed it.").wide(),
        Column::text("Message", "What happened."),
        Column::text("First Seen", "When this was first observed.").wide(),
        Column::number("Count", "How often it happened.").wide(),
        NAME.wide(),
    ],
    cells: event,
};

fn event(o: &Value, now: DateTime<Utc>) -> Vec<Value> {
    let at = |pointer: &str| object::str_at(o, pointer).to_owned();
    let or = |first: String, second: String| if first.is_empty() { second } else { first };
    let event_time = at("/eventTime");
    let first = or(at("/firstTimestamp"), event_time.clone());
    let last = or(at("/series/lastObservedTime"), or(at("/lastTimestamp"), event_time));
    let ago = |time: &str| if time.is_empty() { "<unknown>".to_owned() } else { since(time, now) };
    let about = format!(
        "{}/{}",
        object::str_at(o, "/involvedObject/kind").to_lowercase(),
        object::str_at(o, "/involvedObject/name")
    );
    let component = or(at("/source/component"), at("/reportingComponent"));
    let host = text_or(o, "/source/host", "");
    let source = if host.is_empty() { component } else { format!("{component}, {host}") };
    let count = int(o, "/series/count").max(int(o, "/count")).max(1);
    vec![
        ago(&last).into(),
        at("/type").into(),
        at("/reason").into(),
        about.into(),
        at("/involvedObject/fieldPath").into(),
        source.into(),
        at("/message").trim().into(),
        ago(&first).into(),
        count.into(),
        name(o),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_say_what_they_are_about() {
        let event = json!({"involvedObject": {"kind": "Pod", "name": "p"}, "source": {"component": "kubelet",
            "host": "n1"}, "count": 3, "message": "text\n"});
        let cells = super::event(&event, Utc::now());
        assert_eq!((&cells[3], &cells[5], &cells[8]), (&json!("pod/p"), &json!("kubelet, n1"), &json!(3)));
        assert_eq!(cells[6], json!("text"));
    }
}
