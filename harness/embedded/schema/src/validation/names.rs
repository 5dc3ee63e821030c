//! What names, keys and numbers may look like, worded as in k8s.io/apimachinery/pkg/util/validation.
//!
//! Every check answers with its complaints; none means that the text is fine.

type Complaints = Vec<String>;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_SAYS: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                          start and end with an alphanumeric character";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_SAYS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                              '.', and must start and end with an alphanumeric character";
const WILDCARD_SAYS: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which \
                             must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric \
                             character";
const NAME_PART: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const NAME_PART_SAYS: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const LABEL_VALUE_SAYS: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                                '.', and must start and end with an alphanumeric character";
const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";
const CONFIG_KEY_SAYS: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
const PERCENT: &str = "[0-9]+%";
const PERCENT_SAYS: &str = "a valid percent string must be a numeric string followed by an ending '%'";
const HEADER: &str = "[-A-Za-z0-9]+";
const HEADER_SAYS: &str = "a valid HTTP header must consist of alphanumeric characters or '-'";

fn regex(says: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{says} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

fn too_long(text: &str, max: usize) -> Option<String> {
    (text.len() > max).then(|| format!("must be no more than {max} characters"))
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|b| inner(*b))
        && bytes.last().is_some_and(|b| inner(*b))
        && bytes.iter().all(|b| inner(*b) || *b == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// Whether `text` is letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

pub fn dns_label(text: &str) -> Complaints {
    let form = (!is_label(text)).then(|| match is_subdomain(text) {
        true => "must not contain dots".to_owned(),
        false => regex(LABEL_SAYS, LABEL, &["my-name", "123-abc"]),
    });
    too_long(text, 63).into_iter().chain(form).collect()
}

pub fn dns_subdomain(text: &str) -> Complaints {
    let form = (!is_subdomain(text)).then(|| regex(SUBDOMAIN_SAYS, SUBDOMAIN, &["example.com"]));
    too_long(text, 253).into_iter().chain(form).collect()
}

/// `*.` and a subdomain.
pub fn wildcard_subdomain(text: &str) -> Complaints {
    let fits = text.strip_prefix("*.").is_some_and(is_subdomain);
    let form = (!fits).then(|| regex(WILDCARD_SAYS, &format!(r"\*\.{SUBDOMAIN}"), &["*.example.com"]));
    too_long(text, 253).into_iter().chain(form).collect()
}

/// Names of roles and the like become part of a path.
pub fn path_segment(text: &str) -> Complaints {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    let forbidden = ['/', '%'].into_iter().filter(|c| text.contains(*c));
    forbidden.map(|c| format!("may not contain '{c}'")).collect()
}

/// Keys of labels and annotations, names of resources and finalizers: `name` or `prefix/name`.
pub fn qualified_name(text: &str) -> Complaints {
    const EXAMPLES: [&str; 3] = ["MyName", "my.name", "123-abc"];
    let parts: Vec<&str> = text.split('/').collect();
    let (prefix, name) = match parts.as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            let says = format!("a qualified name {NAME_PART_SAYS}");
            let hint = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("{}{hint}", regex(&says, NAME_PART, &EXAMPLES))];
        }
    };
    let mut complaints = Vec::new();
    match prefix {
        Some("") => complaints.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => complaints.extend(dns_subdomain(prefix).iter().map(|c| format!("prefix part {c}"))),
        None => {}
    }
    if name.is_empty() {
        complaints.push("name part must be non-empty".to_owned());
    }
    complaints.extend(too_long(name, 63).map(|c| format!("name part {c}")));
    if !is_name_part(name) {
        complaints.push(format!("name part {}", regex(NAME_PART_SAYS, NAME_PART, &EXAMPLES)));
    }
    complaints
}

pub fn label_value(text: &str) -> Complaints {
    let fits = text.is_empty() || is_name_part(text);
    let form = (!fits).then(|| regex(LABEL_VALUE_SAYS, LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    too_long(text, 63).into_iter().chain(form).collect()
}

/// Names of ports in pods and Services' target ports.
pub fn port_name(text: &str) -> Complaints {
    let mut complaints: Complaints = too_long(text, 15).into_iter().collect();
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let mut unless = |fits: bool, complaint: &str| {
        if !fits {
            complaints.push(complaint.to_owned());
        }
    };
    unless(
        !text.is_empty() && text.bytes().all(allowed),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    unless(text.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    unless(!text.contains("--"), "must not contain consecutive hyphens");
    unless(!text.starts_with('-') && !text.ends_with('-'), "must not begin or end with a hyphen");
    complaints
}

pub fn port_number(number: i64) -> Complaints {
    in_range(number, 1, 65_535)
}

pub fn in_range(number: i64, low: i64, high: i64) -> Complaints {
    let fits = (low..=high).contains(&number);
    (!fits).then(|| format!("must be between {low} and {high}, inclusive")).into_iter().collect()
}

/// Names of environment variables: anything printable but `=`.
pub fn variable_name(text: &str) -> Complaints {
    if text.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    let printable = text.chars().all(|c| matches!(c, ' '..='~') && c != '=');
    let says = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    (!printable).then(|| says.to_owned()).into_iter().collect()
}

/// Keys of ConfigMaps and Secrets.
pub fn config_key(text: &str) -> Complaints {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let form = (!fits).then(|| regex(CONFIG_KEY_SAYS, CONFIG_KEY, &["key.name", "KEY_NAME", "key-name"]));
    let parent = match text {
        "." | ".." => Some(format!("must not be '{text}'")),
        _ if text.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    };
    too_long(text, 253).into_iter().chain(form).chain(parent).collect()
}

pub fn percent(text: &str) -> Complaints {
    let digits = text.strip_suffix('%').unwrap_or_default();
    let fits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (!fits).then(|| regex(PERCENT_SAYS, PERCENT, &["1%", "93%"])).into_iter().collect()
}

pub fn http_header(text: &str) -> Complaints {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (!fits).then(|| regex(HEADER_SAYS, HEADER, &["X-Header-Name"])).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_accepted_and_refused_as_in_kubernetes() {
        let long = "a".repeat(64);
        type Check = fn(&str) -> Complaints;
        let table: [(Check, &[&str], &[&str]); 8] = [
            (dns_label, &["a", "a-b", "1x"], &["", "A", "a.b", "-a", "a-", &long]),
            (dns_subdomain, &["a", "a.b-c", "1.2"], &["", "a..b", "A", "a_b", ".a"]),
            (wildcard_subdomain, &["*.a.b"], &["*", "a.b", "*.", "*.*.a"]),
            (qualified_name, &["a", "a.b/C_d", "A"], &["", "/a", "a/", "a/b/c", "-a", &long]),
            (label_value, &["", "a", "A_b.c"], &["a b", "-", &long]),
            (port_name, &["http", "p-1"], &["", "80", "HTTP", "a--b", "-a", "a-very-long-port-name"]),
            (config_key, &["a", ".x", "A_b"], &["", "a b", "..", "..a", "."]),
            (percent, &["1%", "100%"], &["1", "%", "-1%", "a%"]),
        ];
        for (check, good, bad) in table {
            for text in good {
                assert_eq!(check(text), Complaints::new(), "{text:?}");
            }
            for text in bad {
                assert!(!check(text).is_empty(), "{text:?}");
            }
        }
    }

    #[test]
    fn complaints_give_examples_and_the_pattern() {
        assert_eq!(
            dns_label("Bad"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
              end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(
            dns_subdomain("A_b"),
            [
                r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
    }
}
