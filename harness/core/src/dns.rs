//! Names as Kubernetes takes them (RFC 1123): labels for namespaces and hosts, subdomains for objects.

/// The longest label.
const LABEL: usize = 63;
/// The longest subdomain.
const SUBDOMAIN: usize = 253;

/// Whether it is one word of lower-case letters, digits and inner dashes.
pub fn is_label(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty()
        && name.len() <= LABEL
        && name.chars().all(is_part)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Whether it is labels with dots between them, as most objects may be called.
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= SUBDOMAIN && name.split('.').all(is_label)
}

/// The label that resembles a text most; nothing where no letter or digit of it can be kept.
pub fn label_of(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let label = words.collect::<Vec<&str>>().join("-").to_ascii_lowercase();
    let label = label.get(..LABEL).unwrap_or(&label).trim_end_matches('-');
    (!label.is_empty()).then(|| label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains_are_told_from_other_names() {
        let long = "a".repeat(64);
        for (name, label, subdomain) in [
            ("web", true, true),
            ("1e3", true, true),
            ("a-b", true, true),
            ("web.v1", false, true),
            ("", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("a..b", false, false),
            ("My_App.v1", false, false),
            ("{{ .Release.Name }}", false, false),
            (long.as_str(), false, false),
        ] {
            assert_eq!((is_label(name), is_subdomain(name)), (label, subdomain), "{name}");
        }
    }

    #[test]
    fn any_text_with_letters_or_digits_becomes_a_label() {
        for (text, label) in [
            ("ext-My_App.v1", Some("ext-my-app-v1")),
            ("__a  b--", Some("a-b")),
            ("größe", Some("gr-e")),
            ("_._", None),
            ("", None),
        ] {
            assert_eq!(label_of(text).as_deref(), label, "{text}");
        }
        let long = label_of(&format!("{}-b", "a".repeat(62))).unwrap();
        assert_eq!(long, "a".repeat(62));
        assert!(is_label(&long));
    }
}
