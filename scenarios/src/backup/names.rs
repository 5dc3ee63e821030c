//! Names of artefacts: the contract's pattern with `{time}` and `{stream}`, and the time that a name tells.

/// The time in a path that fits the pattern: `YYYYMMDDTHHMMSSZ`, the same wherever the pattern has it.
pub fn time_in<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let (before, after) = pattern.split_once("{time}")?;
    let rest = path.strip_prefix(before)?;
    let time = rest.get(..TIME.len()).filter(|text| is_time(text))?;
    (fill(after, time) == rest[TIME.len()..]).then_some(time)
}

/// The pattern with its time.
pub fn fill(pattern: &str, time: &str) -> String {
    pattern.replace("{time}", time)
}

/// The patterns of all artefacts of one backup: one for each stream, where the pattern has a place for it.
pub fn of_streams(pattern: &str, streams: &[String]) -> Vec<String> {
    if pattern.contains("{stream}") {
        streams.iter().map(|stream| pattern.replace("{stream}", stream)).collect()
    } else {
        vec![pattern.to_owned()]
    }
}

const TIME: &str = "00000000T000000Z";

fn is_time(text: &str) -> bool {
    text.bytes().zip(TIME.bytes()).all(|(is, wanted)| if wanted == b'0' { is.is_ascii_digit() } else { is == wanted })
}

/// `2026-02-13T12:00:00Z`, as Kubernetes writes times, as names of artefacts do. Times in this form are in order when
/// their texts are.
pub fn compact(time: &str) -> String {
    let whole = time.split('.').next().unwrap_or_default().trim_end_matches('Z');
    format!("{}Z", whole.replace(['-', ':'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_time_when_it_fits() {
        for (pattern, path, time) in [
            ("redis-{time}.rdb", "redis-20260213T120000Z.rdb", Some("20260213T120000Z")),
            ("redis-{time}.rdb", "redis-20260213T120000Z.shard-1.rdb", None),
            ("redis-{time}.rdb", "redis-20260213T120000.rdb", None),
            ("redis-{time}.rdb", "redis-1770984000.rdb", None),
            ("redis-{time}.rdb", ".redis-20260213T120000Z.rdb", None),
            ("n-{time}/A.snapshot", "n-20260213T120000Z/A.snapshot", Some("20260213T120000Z")),
            ("n-{time}/A.snapshot", "n-20260213T120000Z/B.snapshot", None),
            ("{time}/{time}.x", "20260213T120000Z/20260213T120000Z.x", Some("20260213T120000Z")),
            ("{time}/{time}.x", "20260213T120000Z/20260213T120001Z.x", None),
        ] {
            assert_eq!(time_in(pattern, path), time, "{pattern} {path}");
        }
    }

    #[test]
    fn every_stream_has_an_artefact_of_its_own() {
        let streams = ["A".to_owned(), "B".to_owned()];
        assert_eq!(of_streams("n-{time}/{stream}.s", &streams), ["n-{time}/A.s", "n-{time}/B.s"]);
        assert_eq!(of_streams("r-{time}", &streams), ["r-{time}"]);
    }

    #[test]
    fn times_of_the_cluster_compare_with_those_of_names() {
        assert_eq!(compact("2026-02-13T12:00:00Z"), "20260213T120000Z");
        assert_eq!(compact("2026-02-13T12:00:00.123456Z"), "20260213T120000Z");
    }
}
