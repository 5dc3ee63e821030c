//! Releases of programs by their major and minor numbers: what programs say of themselves, and what images ask for.

use super::programs::{NATS, REDIS};
use crate::images;
use serde_json::Value;
use std::collections::BTreeMap;

/// The programs that images of these names are run with, where a cluster runs programs of the machine.
const PROGRAMS: [(&str, &str); 2] = [("redis", REDIS[0].name), ("nats", NATS[0].name)];

/// Major and minor of the first version in a text.
pub(crate) fn numbers(text: &str) -> Option<(u32, u32)> {
    let mut numbers = version(text)?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// The first version in a text.
fn version(text: &str) -> Option<&str> {
    let is_number = |number: &str| number.parse::<u32>().is_ok();
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.').map(|word| word.trim_end_matches('.'));
    words.into_iter().find(|word| word.contains('.') && word.split('.').take(2).all(is_number))
}

/// Images that name one release while a program of another runs in their place, and which that is.
/// `versions` are those of the programs that run: of a cluster that pulls its images none is known, nor told.
pub fn others(objects: &[Value], versions: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let wanted = objects.iter().flat_map(images::containers).filter_map(|container| container["image"].as_str());
    wanted.filter_map(|image| Some((image.to_owned(), other(image, versions)?))).collect()
}

fn other(image: &str, versions: &BTreeMap<String, String>) -> Option<String> {
    let name = images::without_tag(image);
    let short = name.rsplit('/').next().unwrap_or(name);
    let (_, program) = PROGRAMS.iter().find(|(known, _)| *known == short)?;
    let tag = image.strip_prefix(name)?.split('@').next()?;
    let (said, wanted) = (versions.get(*program)?, numbers(tag)?);
    (numbers(said)? != wanted).then(|| version(said).map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_are_found_in_what_programs_and_tags_say() {
        for (text, found) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64", Some((7, 0))),
            ("nats-server: v2.14.1-RC.1", Some((2, 14))),
            (":7.2-alpine", Some((7, 2))),
            (":7", None),
            (":latest", None),
            ("", None),
        ] {
            assert_eq!(numbers(text), found, "{text}");
        }
    }

    #[test]
    fn only_an_image_whose_program_is_of_another_release_is_told() {
        let versions: BTreeMap<String, String> =
            [("redis-server", "Redis server v=7.0.15"), ("nats-server", "nats-server: v2.12.8")]
                .map(|(program, said)| (program.to_owned(), said.to_owned()))
                .into();
        let pod = |image: &str| json!({"kind": "Pod", "spec": {"containers": [{"image": image}]}});
        for (image, told) in [
            ("redis:7.2", Some("7.0.15")),
            ("registry.example:5000/library/redis:7.2-alpine@sha256:abc", Some("7.0.15")),
            ("redis:7.0.11", None),
            ("redis:7", None),
            ("redis", None),
            ("nats:2.12-alpine", None),
            ("nats:2.10", Some("2.12.8")),
            ("natsio/nats-box:0.14", None),
        ] {
            assert_eq!(others(&[pod(image)], &versions).get(image).map(String::as_str), told, "{image}");
            assert!(others(&[pod(image)], &BTreeMap::new()).is_empty(), "{image}");
        }
    }
}
