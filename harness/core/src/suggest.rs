//! What somebody probably meant by a name that does not exist.

/// The candidate that resembles `wrong` enough to be worth proposing.
pub fn closest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lowered = wrong.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lowered, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A sentence for the person: the likely name, else all the names there are.
pub fn sentence<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = candidates.into_iter().collect();
    match closest(wrong, names.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if names.is_empty() => None,
        None => Some(format!("known here: {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        assert_eq!(closest("replcas", ["replicas", "name"]), Some("replicas"));
    }

    #[test]
    fn an_unrelated_name_gets_the_list_instead() {
        assert_eq!(sentence("zebra", ["cordum", "gorax"]).as_deref(), Some("known here: cordum, gorax"));
    }

    #[test]
    fn nothing_is_suggested_when_there_is_nothing() {
        assert_eq!(sentence("zebra", []), None);
    }
}
