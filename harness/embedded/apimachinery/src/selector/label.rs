//! Label selectors: what they are, and whether labels match.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::parser::Parser;
use crate::object;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
    GreaterThan(String, i64),
    LessThan(String, i64),
}

/// A conjunction of requirements on labels. The empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// The object form: `matchLabels` and `matchExpressions`. `None` for a missing selector, which selects nothing.
    pub fn from_object(selector: Option<&Value>) -> Option<Self> {
        let selector = selector.filter(|s| s.is_object())?;
        let mut requirements = equalities(selector.get("matchLabels"));
        for expression in object::list_at(selector, "/matchExpressions") {
            let key = object::str_at(expression, "/key").to_owned();
            let values = || object::list_at(expression, "/values").iter().filter_map(Value::as_str).map(str::to_owned);
            requirements.push(match object::str_at(expression, "/operator") {
                "In" => Requirement::In(key, values().collect()),
                "NotIn" => Requirement::NotIn(key, values().collect()),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::DoesNotExist(key),
                "Gt" => Requirement::GreaterThan(key, values().next()?.parse().ok()?),
                "Lt" => Requirement::LessThan(key, values().next()?.parse().ok()?),
                _ => return None,
            });
        }
        Some(Self { requirements })
    }

    /// The map form: `spec.selector` of Services and `nodeSelector`.
    pub fn from_map(map: Option<&Value>) -> Self {
        Self { requirements: equalities(map) }
    }

    /// The string form of `labelSelector=`. Errors are worded as in k8s.io/apimachinery/pkg/labels.
    pub fn parse(text: &str) -> Result<Self, String> {
        Parser::of(text).selector().map(|requirements| Self { requirements })
    }

    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|r| r.matches(|key| labels.get(key).map(String::as_str)))
    }

    /// Matches the labels of an object.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.requirements.iter().all(|r| r.matches(|key| object::label(object, key)))
    }
}

fn equalities(map: Option<&Value>) -> Vec<Requirement> {
    object::string_map(map).into_iter().map(|(k, v)| Requirement::In(k, vec![v])).collect()
}

/// The string form, sorted by key, as status fields and tables show it.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted: Vec<_> = self.requirements.iter().collect();
        sorted.sort_by_key(|r| r.key());
        for (n, requirement) in sorted.into_iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Requirement::In(key, values) => write!(f, "{key} in ({})", values.join(","))?,
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(","))?,
                Requirement::Exists(key) => write!(f, "{key}")?,
                Requirement::DoesNotExist(key) => write!(f, "!{key}")?,
                Requirement::GreaterThan(key, bound) => write!(f, "{key}>{bound}")?,
                Requirement::LessThan(key, bound) => write!(f, "{key}<{bound}")?,
            }
        }
        Ok(())
    }
}

impl Requirement {
    fn key(&self) -> &str {
        match self {
            Self::In(key, _)
            | Self::NotIn(key, _)
            | Self::Exists(key)
            | Self::DoesNotExist(key)
            | Self::GreaterThan(key, _)
            | Self::LessThan(key, _) => key,
        }
    }

    fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let number = |key: &str| label(key).and_then(|v| v.parse::<i64>().ok());
        match self {
            Self::In(key, values) => label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(key, values) => !label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Self::Exists(key) => label(key).is_some(),
            Self::DoesNotExist(key) => label(key).is_none(),
            Self::GreaterThan(key, bound) => number(key).is_some_and(|v| v > *bound),
            Self::LessThan(key, bound) => number(key).is_some_and(|v| v < *bound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn string_selectors_match_as_in_kubernetes() {
        let web = labels(&[("app", "web"), ("n", "5")]);
        for (selector, expected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("app=web", true),
            ("app==web,n", true),
            ("app!=web", false),
            ("missing!=x", true),
            ("app in (api, web)", true),
            ("app notin (api)", true),
            ("missing notin (api)", true),
            ("n>4,n<6", true),
            ("missing=", false),
        ] {
            assert_eq!(LabelSelector::parse(selector).unwrap().matches(&web), expected, "{selector}");
        }
    }

    #[test]
    fn malformed_selectors_are_refused() {
        for selector in ["a in", "a in (", "a,", "=b", "a=b=c", "-a"] {
            assert!(LabelSelector::parse(selector).is_err(), "{selector}");
        }
    }

    #[test]
    fn selectors_are_written_in_order_of_their_keys() {
        let object = json!({"matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["x", "y"]}]});
        assert_eq!(LabelSelector::from_object(Some(&object)).unwrap().to_string(), "a=1,b=2,c notin (x,y)");
    }

    #[test]
    fn missing_object_selector_selects_nothing_and_empty_selects_all() {
        assert_eq!(LabelSelector::from_object(None), None);
        assert!(LabelSelector::from_object(Some(&json!({}))).unwrap().matches(&labels(&[])));
    }
}
