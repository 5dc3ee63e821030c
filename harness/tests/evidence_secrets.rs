//! Secrets planted wherever a system can tell them (its Secret objects, ConfigMaps, environments, command lines,
//! annotations, logs, bare and encoded) are in no file of the run and were never said aloud; what stands beside them is
//! there.

#[allow(dead_code)] // not every test uses all of it
mod support;

use std::path::{Path, PathBuf};
use support::Place;

/// What no file may contain: the planted texts begin so, plain, in the three alignments of base64, in base64 of base64 and
/// in hex; and the middle of the long one, plain and in base64, wherever it is broken.
const PLANTED: [&str; 10] = [
    "plnt-",
    "plntprivate",
    "cGxudC",
    "BsbnQt",
    "wbG50L",
    "plnt%2D",
    "Y0d4dWRD",
    "706c6e742d",
    "eeeeeeeeee",
    "ZWVlZWVl",
];

/// Where each of these has to stand, or nothing was looked at.
const MARKERS: [(&str, &str); 12] = [
    ("objects/planted.configmaps.json", "marker-annotation"),
    ("objects/planted.configmaps.json", "marker-config"),
    ("objects/planted.pods.json", "marker-environment"),
    ("objects/planted.pods.json", "--requirepass"),
    ("logs/planted.talker-", "marker-log REDACTED"),
    ("logs/planted.talker-", "marker-bare REDACTED"),
    ("logs/planted.talker-", "marker-hex REDACTED"),
    ("logs/planted.talker-", "twice REDACTED"),
    ("missing.txt", "SHORT of planted/planted-secret"),
    ("stores/planted.cache-", "redis_version"),
    ("stores/planted.bus-", "\"server_name\": \"marker-bus\""),
    ("network/planted.talker-", "cache.planted.svc: "),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn no_planted_secret_is_in_the_run_folder_or_was_said() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: not root");
        return;
    }
    let place = Place::new();
    let system = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted");
    let system = system.to_str().expect("a path of ours is text");
    let ended = place.gauntlet(&["run", "--system", system, "--exact", "network.matrix", "--verbose"]);
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("last words of planted/talker"), "{}{}", ended.stdout, ended.stderr);
    let all = files(&place.path("reports"));
    let read = |path: &PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let mut told: Vec<(String, String)> = all.iter().map(|path| (path.display().to_string(), read(path))).collect();
    for (file, marker) in MARKERS {
        let has_it = |(path, text): &(String, String)| path.contains(file) && text.contains(marker);
        assert!(told.iter().any(has_it), "{marker:?} is in no file {file}: {:?}\n{}", all, ended.stderr);
    }
    for file in [
        "index.html",
        "events.jsonl",
        "junit.xml",
        "summary.txt",
        "events.txt",
        "network/cluster.txt",
        "versions.txt",
        "system/system.yaml",
    ] {
        assert!(told.iter().any(|(path, text)| path.ends_with(file) && !text.is_empty()), "there is no {file}");
    }
    told.push(("standard output".to_owned(), ended.stdout));
    told.push(("standard error".to_owned(), ended.stderr));
    for (path, text) in told {
        // The system's own script holds what it echoes; it is a part of the objects, so it has to be clean too.
        for planted in PLANTED {
            let at = text.find(planted).map(|at| text[..at].chars().rev().take(60).collect::<String>());
            let around: Option<String> = at.map(|before| before.chars().rev().collect());
            assert_eq!(around, None, "{path} tells {planted}…");
        }
    }
}
