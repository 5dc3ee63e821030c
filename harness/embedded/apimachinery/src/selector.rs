//! Label selectors (the string form of requests and the object form of specs) and field selectors.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::object;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
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
        Parser { tokens: tokens(text), at: 0 }.selector().map(|requirements| Self { requirements })
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

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Symbol(&'static str),
}

fn tokens(text: &str) -> Vec<Token> {
    const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", ",", "(", ")", ">", "<"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(symbol) = SYMBOLS.into_iter().find(|s| rest.starts_with(s)) {
            tokens.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "=!,()<>".contains(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn selector(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        if self.tokens.is_empty() {
            return Ok(requirements);
        }
        loop {
            requirements.push(self.requirement()?);
            match self.next() {
                None => return Ok(requirements),
                Some(Token::Symbol(",")) if self.peek().is_some() => {}
                Some(Token::Symbol(",")) => return Err("found '', expected: identifier after ','".into()),
                Some(other) => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        match self.next() {
            Some(Token::Symbol("!")) => Ok(Requirement::DoesNotExist(self.key()?)),
            Some(Token::Word(key)) => {
                check_key(&key)?;
                self.operation(key)
            }
            other => Err(format!("found '{}', expected: !, identifier, or 'end of string'", text(other.as_ref()))),
        }
    }

    fn key(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Word(key)) => check_key(&key).map(|()| key),
            other => Err(format!("found '{}', expected: identifier", text(other.as_ref()))),
        }
    }

    fn operation(&mut self, key: String) -> Result<Requirement, String> {
        match self.peek().cloned() {
            None | Some(Token::Symbol(",")) => Ok(Requirement::Exists(key)),
            Some(Token::Symbol("=" | "==")) => {
                self.at += 1;
                Ok(Requirement::In(key, vec![self.value()?]))
            }
            Some(Token::Symbol("!=")) => {
                self.at += 1;
                Ok(Requirement::NotIn(key, vec![self.value()?]))
            }
            Some(Token::Symbol(sign @ (">" | "<"))) => {
                self.at += 1;
                let value = self.value()?;
                let bound =
                    value.parse().map_err(|_| "for 'Gt', 'Lt' operators, the value must be an integer".to_owned())?;
                Ok(if sign == ">" { Requirement::GreaterThan(key, bound) } else { Requirement::LessThan(key, bound) })
            }
            Some(Token::Word(word)) if word == "in" || word == "notin" => {
                self.at += 1;
                let values = self.values()?;
                Ok(if word == "in" { Requirement::In(key, values) } else { Requirement::NotIn(key, values) })
            }
            Some(other) => Err(format!(
                "found '{}', expected: in, notin, =, ==, !=, gt, lt, or ',' or 'end of string'",
                other.text()
            )),
        }
    }

    /// The value of an equality, which may be empty.
    fn value(&mut self) -> Result<String, String> {
        match self.peek().cloned() {
            None | Some(Token::Symbol(",")) => Ok(String::new()),
            Some(Token::Word(value)) => {
                self.at += 1;
                check_value(&value).map(|()| value)
            }
            Some(other) => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Some(Token::Symbol("(")) => {}
            other => return Err(format!("found '{}' expected: '('", text(other.as_ref()))),
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Some(Token::Word(value)) => {
                    check_value(&value)?;
                    values.push(value);
                    match self.next() {
                        Some(Token::Symbol(")")) => return Ok(values),
                        Some(Token::Symbol(",")) => {}
                        other => return Err(format!("found '{}', expected: ',' or ')'", text(other.as_ref()))),
                    }
                }
                Some(Token::Symbol(",")) => values.push(String::new()),
                Some(Token::Symbol(")")) => {
                    values.push(String::new());
                    return Ok(values);
                }
                other => return Err(format!("found '{}', expected: ',', ')' or identifier", text(other.as_ref()))),
            }
        }
    }
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
        }
    }
}

fn text(token: Option<&Token>) -> &str {
    token.map_or("", Token::text)
}

fn check_key(key: &str) -> Result<(), String> {
    let name = key.rsplit('/').next().unwrap_or(key);
    check_label_text(name).filter(|()| !name.is_empty()).ok_or_else(|| {
        format!(
            "unable to parse requirement: key: Invalid value: \"{key}\": name part must consist of alphanumeric \
             characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or \
             'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        )
    })
}

fn check_value(value: &str) -> Result<(), String> {
    check_label_text(value).ok_or_else(|| {
        format!(
            "unable to parse requirement: values[0][value]: Invalid value: \"{value}\": a valid label must be an empty \
             string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
             character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        )
    })
}

fn check_label_text(text: &str) -> Option<()> {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let inner = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    (inner && text.len() <= 63 && ends(text.chars().next()) && ends(text.chars().last())).then_some(())
}

/// `fieldSelector=`: conjunction of `path=value` and `path!=value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// Path, value, and whether it must be equal.
    pub terms: Vec<(String, String, bool)>,
}

impl FieldSelector {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for term in text.split(',').filter(|t| !t.is_empty()) {
            let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (path, value, true)
            } else {
                return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
            };
            terms.push((path.trim().to_owned(), value.trim().to_owned(), equal));
        }
        Ok(Self { terms })
    }

    /// Compares the field at each path (dots as separators) as text; a missing field is the empty string.
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|(path, value, equal)| {
            let pointer = format!("/{}", path.replace('.', "/"));
            let found = match object.pointer(&pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (found == *value) == *equal
        })
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

    #[test]
    fn field_selectors_compare_text() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {}});
        assert!(FieldSelector::parse("metadata.name=p,spec.nodeName=").unwrap().matches(&pod));
        assert!(!FieldSelector::parse("metadata.name!=p").unwrap().matches(&pod));
    }
}
