//! Names that are told alike in every run, though each run gives them anew.

/// A text in which names of pods are what they are in every run: a Deployment gives its pods new ones.
pub(super) fn lasting(text: &str) -> String {
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut lasting = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(in_name) {
        let end = rest[start..].find(|c| !in_name(c)).map_or(rest.len(), |length| start + length);
        lasting.push_str(&rest[..start]);
        lasting.push_str(&lasting_name(&rest[start..end]));
        rest = &rest[end..];
    }
    lasting + rest
}

fn lasting_name(name: &str) -> String {
    // What Kubernetes makes names of, so that they are no words.
    let random = |part: &str| part.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c));
    let Some((owner, _)) = name.rsplit_once('-').filter(|(_, last)| last.len() == 5 && random(last)) else {
        return name.to_owned();
    };
    let hash = |part: &str| (6..=10).contains(&part.len()) && random(part);
    let owner = owner.rsplit_once('-').filter(|(_, part)| hash(part)).map_or(owner, |(owner, _)| owner);
    format!("{owner}-*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_run_gives_anew_are_what_they_are_in_every_run() {
        for (text, expected) in [
            ("evict cordum/cordum-scheduler-7d88d5d97-6tbtl: 429", "evict cordum/cordum-scheduler-*: 429"),
            ("pod cordum-redis-cluster-init-wtzxl", "pod cordum-redis-cluster-init-*"),
            ("cordum-redis-0, cordum-redis-proxy", "cordum-redis-0, cordum-redis-proxy"),
            ("überall", "überall"),
        ] {
            assert_eq!(lasting(text), expected);
        }
    }
}
