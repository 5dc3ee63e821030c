//! Collects the problems of an object, with the checks that many fields share.

use embedded_apimachinery::quantity::Quantity;
use serde_json::Value;

use super::names;
use crate::cause;

pub const IMMUTABLE: &str = "field is immutable";

/// The causes found so far, in the order in which Kubernetes finds them.
#[derive(Default)]
pub struct Problems {
    pub causes: Vec<Value>,
}

impl Problems {
    pub fn required(&mut self, field: &str, detail: &str) {
        self.causes.push(cause::required(field, detail));
    }

    pub fn invalid(&mut self, field: &str, found: impl Into<Value>, detail: &str) {
        self.causes.push(cause::invalid(field, found, detail));
    }

    pub fn forbidden(&mut self, field: &str, detail: &str) {
        self.causes.push(cause::forbidden(field, detail));
    }

    pub fn duplicate(&mut self, field: &str, found: impl Into<Value>) {
        self.causes.push(cause::duplicate(field, found));
    }

    pub fn not_found(&mut self, field: &str, found: impl Into<Value>) {
        self.causes.push(cause::not_found(field, found));
    }

    pub fn too_long(&mut self, field: &str, max: usize) {
        self.causes.push(cause::too_long(field, max));
    }

    /// One cause per complaint about `found`.
    pub fn complaints(&mut self, field: &str, found: impl Into<Value>, complaints: Vec<String>) {
        let found = found.into();
        for complaint in complaints {
            self.invalid(field, found.clone(), &complaint);
        }
    }

    /// A name in `found`, checked if it is there.
    pub fn name(&mut self, field: &str, found: &Value, check: fn(&str) -> Vec<String>) {
        if let Some(text) = found.as_str() {
            self.complaints(field, text, check(text));
        }
    }

    /// A text that must be there and must be one of `allowed`.
    pub fn one_of(&mut self, field: &str, found: &Value, allowed: &[&str]) {
        match text(found) {
            "" => self.required(field, ""),
            _ => self.one_of_if_set(field, found, allowed),
        }
    }

    /// A text that, if there, must be one of `allowed`.
    pub fn one_of_if_set(&mut self, field: &str, found: &Value, allowed: &[&str]) {
        let text = text(found);
        if !text.is_empty() && !allowed.contains(&text) {
            self.causes.push(cause::not_supported(field, text, allowed));
        }
    }

    pub fn not_supported(&mut self, field: &str, found: &str, allowed: &[&str]) {
        self.causes.push(cause::not_supported(field, found, allowed));
    }

    /// A number that, if there, must not be negative.
    pub fn not_negative(&mut self, field: &str, found: &Value) {
        self.at_least(field, found, 0);
    }

    pub fn at_least(&mut self, field: &str, found: &Value, minimum: i64) {
        if let Some(number) = found.as_i64().filter(|number| *number < minimum) {
            self.invalid(field, number, &format!("must be greater than or equal to {minimum}"));
        }
    }

    pub fn positive(&mut self, field: &str, found: &Value) {
        if let Some(number) = found.as_i64().filter(|number| *number <= 0) {
            self.invalid(field, number, "must be greater than 0");
        }
    }

    pub fn port(&mut self, field: &str, number: i64) {
        self.complaints(field, number, names::port_number(number));
    }

    /// A port by number or by name.
    pub fn port_or_name(&mut self, field: &str, found: &Value) {
        match found {
            Value::String(name) => self.complaints(field, name.as_str(), names::port_name(name)),
            other => self.port(field, other.as_i64().unwrap_or(0)),
        }
    }

    /// A count that is not negative, or a percentage.
    pub fn count_or_percent(&mut self, field: &str, found: &Value) {
        match found {
            Value::String(text) => self.complaints(field, text.as_str(), names::percent(text)),
            other => self.not_negative(field, other),
        }
    }

    pub fn not_above_hundred_percent(&mut self, field: &str, found: &Value) {
        let percent = found.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<i64>().ok());
        if percent.is_some_and(|percent| percent > 100) {
            self.invalid(field, found.clone(), "must not be greater than 100%");
        }
    }

    pub fn immutable(&mut self, field: &str, new: &Value, old: &Value) {
        if new != old {
            self.invalid(field, new.clone(), IMMUTABLE);
        }
    }

    /// An amount of something that must not be negative.
    pub fn quantity(&mut self, field: &str, found: &Value) {
        if found.as_str().and_then(Quantity::parse).is_some_and(|quantity| quantity.milli() < 0) {
            self.invalid(field, found.clone(), "must be greater than or equal to 0");
        }
    }
}

/// The text in a value, or the empty text.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The elements of a list; of anything else, none.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The entries of an object; of anything else, none.
pub fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

pub fn is_set(value: &Value) -> bool {
    !value.is_null()
}
