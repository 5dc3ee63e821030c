//! The string form of label selectors. Errors are worded as in k8s.io/apimachinery/pkg/labels.

use super::label::Requirement;

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

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    pub fn of(text: &str) -> Self {
        Self { tokens: tokens(text), at: 0 }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub fn selector(mut self) -> Result<Vec<Requirement>, String> {
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
