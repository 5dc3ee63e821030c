//! Compares an answer with an expectation in which placeholders stand for what differs from run to run.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// Placeholders and the form of what they stand for.
const KINDS: [(&str, &str); 18] = [
    ("uid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ("hash", "[a-z0-9]{1,12}"),
    ("suffix", "[a-z0-9]{5}"),
    ("ip", r"(?:\d{1,3}\.){3}\d{1,3}"),
    ("rv", r"\d+"),
    ("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    ("microtime", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
    ("nanotime", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"),
    ("node", "[a-z0-9][-a-z0-9.]*"),
    ("hex", "[0-9a-f]+"),
    ("containerid", r"\S+://\S+"),
    ("imageid", r"\S+"),
    ("image", r"\S+"),
    ("nodeport", r"3[0-2]\d{3}"),
    ("continue", r"\S+"),
    ("unixminutes", r"\d{8}"),
    ("duration", "[0-9.]+(?:ms|m|s|h|µs)[0-9.ms]*"),
    ("any", r"[\s\S]*"),
];
/// Equal placeholders of these stand for equal values throughout a file.
const FILE_WIDE: [&str; 3] = ["uid", "hash", "suffix"];
/// Equal placeholders of these stand for equal values within an object.
const OBJECT_WIDE: [&str; 1] = ["ip"];
/// Lists whose order is not part of the contract.
const UNORDERED: [&str; 3] = ["conditions", "endpoints", "hostIPs"];

/// What placeholders were found to stand for, by kind and number.
type Bindings = BTreeMap<(String, String), String>;

/// Compares the answers of one file, remembering what its placeholders stand for.
pub struct Matcher {
    placeholder: Regex,
    file: Bindings,
}

impl Matcher {
    pub fn new() -> Result<Self, regex::Error> {
        let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let placeholder = Regex::new(&format!("<({})(?::([0-9]+))?>", kinds.join("|")))?;
        Ok(Self { placeholder, file: Bindings::new() })
    }

    /// All differences, each as `/pointer: expected X, got Y`; none when the answer is as expected.
    pub fn differences(&mut self, wanted: &Value, found: &Value) -> Vec<String> {
        self.compare(wanted, found, "", &mut Bindings::new())
    }

    /// Compares watch events: all of them in order, or, for a subsequence, the expected ones in order among others.
    pub fn events(&mut self, wanted: &[Value], found: &[Value], subsequence: bool) -> Vec<String> {
        if !subsequence {
            return self.lists(wanted, found, "/events", &mut Bindings::new(), false, true);
        }
        let mut rest = found.iter();
        for (index, event) in wanted.iter().enumerate() {
            if !rest.any(|candidate| self.attempt(event, candidate, "", &mut Bindings::new()).is_empty()) {
                return vec![format!("/events/{index}: not seen in order: {}; got {}", short(event), join(found))];
            }
        }
        Vec::new()
    }

    fn compare(&mut self, wanted: &Value, found: &Value, path: &str, object: &mut Bindings) -> Vec<String> {
        match (wanted, found) {
            (Value::String(text), _) if text == "<any>" => Vec::new(),
            (Value::Object(wanted), Value::Object(found)) => {
                let mut differences = Vec::new();
                for (key, value) in wanted {
                    let path = format!("{path}/{key}");
                    match found.get(key) {
                        Some(found) => differences.extend(self.compare(value, found, &path, object)),
                        None => differences.push(format!("{path}: missing, expected {}", short(value))),
                    }
                }
                let unexpected = found.iter().filter(|(key, _)| !wanted.contains_key(*key));
                differences.extend(unexpected.map(|(key, value)| format!("{path}/{key}: unexpected {}", short(value))));
                differences
            }
            (Value::Array(wanted), Value::Array(found)) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                let free = UNORDERED.contains(&name) || (name == "items" && sorted_by_generated_names(wanted));
                self.lists(wanted, found, path, object, free, name == "items")
            }
            (Value::String(text), _) if self.texts(text, found, object) => Vec::new(),
            _ if wanted == found => Vec::new(),
            _ => vec![format!("{path}: expected {}, got {}", short(wanted), short(found))],
        }
    }

    /// Compares element by element; where the order is free, each with the one that fits best. `own_objects` are told
    /// apart when placeholders are bound.
    fn lists(
        &mut self,
        wanted: &[Value],
        found: &[Value],
        path: &str,
        object: &mut Bindings,
        free: bool,
        own_objects: bool,
    ) -> Vec<String> {
        let mut differences = Vec::new();
        if wanted.len() != found.len() {
            differences.push(format!("{path}: expected {} elements, got {}", wanted.len(), found.len()));
        }
        let mut rest: Vec<usize> = (0..found.len()).collect();
        for (index, element) in wanted.iter().enumerate() {
            let mut candidates: Vec<usize> = rest.iter().copied().filter(|at| free || *at == index).collect();
            candidates.sort_by_key(|at| *at != index);
            let mut best: Option<(usize, Vec<String>)> = None;
            for at in candidates {
                let mut fresh = Bindings::new();
                let scope = if own_objects { &mut fresh } else { &mut *object };
                let attempt = self.attempt(element, &found[at], &format!("{path}/{index}"), scope);
                let fits = attempt.is_empty();
                if best.as_ref().is_none_or(|(_, best)| attempt.len() < best.len()) {
                    best = Some((at, attempt));
                }
                if fits {
                    break;
                }
            }
            if let Some((at, attempt)) = best {
                rest.retain(|other| *other != at);
                differences.extend(attempt);
            }
        }
        differences
    }

    /// Compares, and forgets what was bound on the way unless everything fits.
    fn attempt(&mut self, wanted: &Value, found: &Value, path: &str, object: &mut Bindings) -> Vec<String> {
        let (file, mut scope) = (self.file.clone(), object.clone());
        let differences = self.compare(wanted, found, path, &mut scope);
        if differences.is_empty() {
            *object = scope;
        } else {
            self.file = file;
        }
        differences
    }

    fn texts(&mut self, wanted: &str, found: &Value, object: &mut Bindings) -> bool {
        let mut pattern = String::from("^");
        let mut placeholders = Vec::new();
        let mut end = 0;
        for capture in self.placeholder.captures_iter(wanted) {
            let Some(whole) = capture.get(0) else { continue };
            let form = KINDS.iter().find(|(kind, _)| *kind == &capture[1]).map_or("", |(_, form)| form);
            pattern.push_str(&regex::escape(&wanted[end..whole.start()]));
            pattern.push_str(&format!("({form})"));
            let number = capture.get(2).map_or("", |number| number.as_str());
            placeholders.push((capture[1].to_owned(), number.to_owned()));
            end = whole.end();
        }
        let found = match found {
            Value::String(found) => found.clone(),
            Value::Number(number) if placeholders.len() == 1 && pattern.starts_with("^(") && end == wanted.len() => {
                number.to_string()
            }
            _ => return false,
        };
        if placeholders.is_empty() {
            return wanted == found;
        }
        pattern.push_str(&regex::escape(&wanted[end..]));
        pattern.push('$');
        let Ok(pattern) = Regex::new(&pattern) else { return false };
        let Some(captures) = pattern.captures(&found) else { return false };
        let values = captures.iter().skip(1).flatten().map(|value| value.as_str().to_owned());
        placeholders.into_iter().zip(values).all(|(placeholder, value)| self.bind(placeholder, value, object))
    }

    /// Whether a placeholder may stand for a value, given what it and its like stand for already.
    fn bind(&mut self, placeholder: (String, String), value: String, object: &mut Bindings) -> bool {
        let kind = placeholder.0.as_str();
        let scope = if FILE_WIDE.contains(&kind) {
            &mut self.file
        } else if OBJECT_WIDE.contains(&kind) {
            object
        } else {
            return true;
        };
        if let Some(bound) = scope.get(&placeholder) {
            return *bound == value;
        }
        if scope.iter().any(|((other, _), bound)| *other == placeholder.0 && *bound == value) {
            return false;
        }
        scope.insert(placeholder, value);
        true
    }
}

fn sorted_by_generated_names(items: &[Value]) -> bool {
    let generated = |item: &Value| {
        item.get("metadata").is_some_and(|meta| meta["name"].as_str().is_none_or(|name| name.contains('<')))
    };
    items.iter().any(generated)
}

fn short(value: &Value) -> String {
    cut(value.to_string(), 300)
}

fn join(events: &[Value]) -> String {
    cut(events.iter().map(Value::to_string).collect::<Vec<_>>().join(", "), 3000)
}

/// At most `limit` characters.
pub fn cut(text: String, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
