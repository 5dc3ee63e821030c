//! Entries as people write them: YAML with a line for each key, and above it the object that it was guessed from.

use serde_json::Value;
use std::fmt::Write as _;

/// One entry of a list.
#[derive(Debug, Clone)]
pub struct Row {
    /// The object that it was guessed from.
    from: String,
    fields: Vec<(&'static str, Value)>,
    /// What a person should ask himself about it.
    question: Option<&'static str>,
    /// Why it is only a comment.
    off: Option<String>,
}

impl Row {
    pub fn new(from: impl Into<String>) -> Self {
        Self { from: from.into(), fields: vec![], question: None, off: None }
    }

    /// Adds a key; nothing where there is no value.
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.fields.push((key, value));
        }
        self
    }

    /// Adds what a person should ask himself about it.
    pub fn asking(self, question: Option<&'static str>) -> Self {
        Self { question, ..self }
    }

    /// Makes it a comment: it cannot be right as it is, and a person has to decide.
    pub fn off(self, why: impl Into<String>) -> Self {
        Self { off: Some(why.into()), ..self }
    }

    /// The same, where there is a reason.
    pub fn off_if(self, why: Option<String>) -> Self {
        match why {
            Some(why) => self.off(why),
            None => self,
        }
    }

    pub fn is_on(&self) -> bool {
        self.off.is_none()
    }

    fn write(&self, text: &mut String, indent: &str) {
        if !self.from.is_empty() {
            let _ = writeln!(text, "{indent}# guessed from {}", one_line(&self.from));
        }
        if let Some(question) = self.question {
            let _ = writeln!(text, "{indent}# {question}");
        }
        if let Some(why) = &self.off {
            let _ = writeln!(text, "{indent}# left out: {}", one_line(why));
        }
        let off = if self.is_on() { "" } else { "# " };
        for (place, (key, value)) in self.fields.iter().enumerate() {
            let lead = if place == 0 { "- " } else { "  " };
            let _ = writeln!(text, "{indent}{off}{lead}{key}: {}", flow(value));
        }
    }
}

/// Rows under their key; nothing where there are none. A key of which every row is a comment is one too.
pub fn section(text: &mut String, indent: &str, key: &str, comment: &str, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    for line in comment.lines() {
        let _ = writeln!(text, "{indent}# {line}");
    }
    let off = if rows.iter().any(Row::is_on) { "" } else { "# " };
    let _ = writeln!(text, "{indent}{off}{key}:");
    for row in rows {
        row.write(text, &format!("{indent}  "));
    }
}

/// A comment ends with its line, whatever names it repeats.
pub fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// A value in YAML's flow style, quoted only where it must be.
pub fn flow(value: &Value) -> String {
    match value {
        Value::String(string) => plain(string),
        Value::Array(values) => format!("[{}]", values.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}: {}", plain(key), flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// A string without quotes where YAML reads it back as the same string.
fn plain(string: &str) -> String {
    let is_plain_char = |c: char| c.is_ascii_alphanumeric() || "-_./ ".contains(c);
    let starts_plainly = string.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_word =
        ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&string.to_lowercase().as_str());
    let is_plain = starts_plainly && !is_word && !string.ends_with(' ') && string.chars().all(is_plain_char);
    if is_plain { string.to_owned() } else { Value::from(string).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back_the_same() {
        for value in [
            json!({"a b": ["c", "d, e", "f: g", "#h", "", "no", "Yes", "1", "1.5", "~", "x y ", " z", "../p", ".5"]}),
            json!({"app.kubernetes.io/name": "n", "port": 80, "deep": {"list": [{"x": true}]}, "quote\"s": "a\\b\n"}),
        ] {
            let text = flow(&value);
            let read: Value = crate::yaml::parse("f", &text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!(read, value, "{text}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_right_is_a_comment_that_says_why() {
        let row = |name: &str| Row::new("Service s\nin f").with("name", name).with("none", Value::Null);
        let mut text = String::new();
        section(&mut text, "", "rows", "first\nsecond", &[row("a").with("port", 80), row("b").off("it is not so")]);
        section(&mut text, "  ", "others", "", &[row("c").off("why")]);
        assert_eq!(
            text,
            "# first\n# second\nrows:\n  # guessed from Service s in f\n  - name: a\n    port: 80\n  \
             # guessed from Service s in f\n  # left out: it is not so\n  # - name: b\n  # others:\n    \
             # guessed from Service s in f\n    # left out: why\n    # - name: c\n"
        );
    }
}
