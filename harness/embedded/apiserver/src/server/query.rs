//! Query parameters of requests, checked as Kubernetes checks them.

use embedded_apimachinery::selector::{FieldSelector, LabelSelector};
use embedded_apimachinery::{Result, Status};
use embedded_schema::FieldValidation;
use serde_json::{Value, json};

use super::request::{form_pairs, is_true};

/// The parameters as they came; the last of a name counts.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(query: &str) -> Self {
        Self(form_pairs(query).collect())
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(is_true)
    }

    /// A number in Go's terms.
    pub fn int(&self, key: &str) -> Result<Option<i64>> {
        let Some(text) = self.get(key).filter(|t| !t.is_empty()) else { return Ok(None) };
        let parsed = text.parse();
        parsed
            .map(Some)
            .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")))
    }
}

/// Parameters of writes.
#[derive(Clone, Debug)]
pub struct WriteQuery {
    pub dry_run: bool,
    pub field_validation: FieldValidation,
    pub manager: Option<String>,
    pub force: bool,
}

impl WriteQuery {
    /// `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`, for error texts.
    pub fn parse(query: &Query, kind: &str) -> Result<Self> {
        let mut causes = Vec::new();
        let stated = query.get("fieldValidation").unwrap_or_default();
        let field_validation = FieldValidation::parse(stated).unwrap_or_else(|| {
            let supported = "\"\", \"Ignore\", \"Strict\", \"Warn\"";
            causes.push(unsupported("fieldValidation", &json!(stated), supported));
            FieldValidation::Warn
        });
        let dry_run = dry_run(query.all("dryRun"), &mut causes);
        if !causes.is_empty() {
            return Err(invalid_options(kind, causes));
        }
        let manager = query.get("fieldManager").filter(|m| !m.is_empty()).map(str::to_owned);
        Ok(Self { dry_run, field_validation, manager, force: query.flag("force") })
    }
}

/// Whether `dryRun` asks for one; anything but `All` is a cause.
pub fn dry_run<'a>(values: impl Iterator<Item = &'a str>, causes: &mut Vec<Value>) -> bool {
    let values: Vec<&str> = values.filter(|v| !v.is_empty()).collect();
    if values.iter().any(|v| *v != "All") {
        causes.push(unsupported("dryRun", &json!(values), "\"All\""));
    }
    !values.is_empty()
}

pub fn unsupported(field: &str, value: &Value, supported: &str) -> Value {
    let message = format!("Unsupported value: {value}: supported values: {supported}");
    json!({"reason": "FieldValueNotSupported", "message": message, "field": field})
}

pub fn invalid_options(kind: &str, causes: Vec<Value>) -> Status {
    Status::invalid("meta.k8s.io", kind, "", causes)
}

/// Parameters of lists and watches.
#[derive(Clone, Debug)]
pub struct ListQuery {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
    pub limit: usize,
    pub continue_token: Option<String>,
    /// Empty when none was given.
    pub version: String,
    pub version_match: String,
    pub send_initial_events: Option<bool>,
    pub bookmarks: bool,
    pub timeout_seconds: Option<u64>,
}

impl ListQuery {
    pub fn parse(query: &Query, watch: bool) -> Result<Self> {
        let text = |key: &str| query.get(key).unwrap_or_default().to_owned();
        let limit = query.int("limit")?.unwrap_or(0);
        let timeout = query.int("timeoutSeconds")?;
        let parsed = Self {
            labels: LabelSelector::parse(&text("labelSelector")).map_err(selector_error)?,
            fields: FieldSelector::parse(&text("fieldSelector")).map_err(Status::bad_request)?,
            limit: usize::try_from(limit).unwrap_or(0),
            continue_token: query.get("continue").filter(|c| !c.is_empty()).map(str::to_owned),
            version: text("resourceVersion"),
            version_match: text("resourceVersionMatch"),
            send_initial_events: query.get("sendInitialEvents").map(is_true),
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout_seconds: timeout.and_then(|t| u64::try_from(t).ok()).filter(|t| *t > 0),
        };
        let causes = if watch { parsed.watch_causes() } else { parsed.list_causes() };
        if causes.is_empty() { Ok(parsed) } else { Err(invalid_options("ListOptions", causes)) }
    }

    /// Rules of k8s.io/apimachinery/pkg/apis/meta/internalversion/validation.
    fn list_causes(&self) -> Vec<Value> {
        let mut causes = Vec::new();
        let matching = self.version_match.as_str();
        if !matching.is_empty() {
            if self.version.is_empty() {
                causes.push(forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"));
            }
            if self.continue_token.is_some() {
                causes.push(forbidden("resourceVersionMatch is forbidden when continue is provided"));
            }
            if !["Exact", "NotOlderThan"].contains(&matching) {
                let supported = "\"Exact\", \"NotOlderThan\", \"\"";
                causes.push(unsupported("resourceVersionMatch", &json!(matching), supported));
            }
            if matching == "Exact" && self.version == "0" {
                causes.push(forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
            }
        }
        if self.send_initial_events.is_some() {
            causes.push(cause("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        causes
    }

    fn watch_causes(&self) -> Vec<Value> {
        let mut causes = Vec::new();
        let matching = self.version_match.as_str();
        if self.send_initial_events.is_some() {
            if matching != "NotOlderThan" {
                causes.push(forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
            }
            if !["", "NotOlderThan"].contains(&matching) {
                causes.push(unsupported("resourceVersionMatch", &json!(matching), "\"NotOlderThan\""));
            }
        } else if !matching.is_empty() {
            causes.push(forbidden("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
        }
        causes
    }
}

fn forbidden(message: &str) -> Value {
    cause("resourceVersionMatch", message)
}

fn cause(field: &str, message: &str) -> Value {
    json!({"reason": "FieldValueForbidden", "message": format!("Forbidden: {message}"), "field": field})
}

fn selector_error(message: String) -> Status {
    let prefix = "unable to parse requirement: ";
    Status::bad_request(if message.starts_with(prefix) { message } else { format!("{prefix}{message}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_options_are_named() {
        let error = WriteQuery::parse(&Query::parse("dryRun=Some"), "CreateOptions").unwrap_err();
        assert_eq!(
            error.message,
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\""
        );
        assert!(WriteQuery::parse(&Query::parse("dryRun=All"), "CreateOptions").unwrap().dry_run);
    }

    #[test]
    fn initial_events_demand_a_match() {
        let error = ListQuery::parse(&Query::parse("sendInitialEvents=true"), true).unwrap_err();
        assert_eq!((error.code, error.details["causes"].as_array().map(Vec::len)), (422, Some(1)));
        assert!(ListQuery::parse(&Query::parse("sendInitialEvents=true"), false).is_err());
    }

    #[test]
    fn limits_are_numbers() {
        let error = ListQuery::parse(&Query::parse("limit=x"), false).unwrap_err();
        assert_eq!(error.message, "strconv.ParseInt: parsing \"x\": invalid syntax");
    }
}
