//! The rules of the house that a test can check: which crate may depend on which, and that every module says what it is
//! for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Names of our own crates that a manifest, or a part of it, depends on.
fn own_dependencies(manifest: &str) -> Vec<String> {
    let ours = |name: &&str| {
        name.starts_with("gauntlet-") || name.starts_with("embedded-") || *name == "scenarios" || *name == "gauntlet"
    };
    let names = manifest.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(ours).map(str::to_owned).collect()
}

fn manifest(crate_folder: &str) -> String {
    let path = root().join(crate_folder).join("Cargo.toml");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn crates_depend_only_on_what_the_architecture_allows() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("harness/core", &[][..]),
        ("harness/report", &["gauntlet-core"]),
        ("harness/cluster", &["gauntlet-core", "gauntlet-embedded"]),
        ("harness/chaos", &["gauntlet-core", "gauntlet-cluster"]),
        ("harness/engine", &["gauntlet-core", "gauntlet-cluster", "gauntlet-chaos"]),
        ("harness/agent", &["gauntlet-core", "gauntlet-agent"]),
    ]);
    for (folder, allowed) in allowed {
        let manifest = manifest(folder);
        let (building, testing) = manifest.split_once("[dev-dependencies]").unwrap_or((&manifest, ""));
        for dependency in own_dependencies(building) {
            assert!(allowed.contains(&dependency.as_str()), "{folder} must not depend on {dependency}");
        }
        // The test program of a crate may be the agent in its own cluster; what the agent's tests run against is installed
        // as for a cluster.
        for dependency in own_dependencies(testing) {
            let for_tests = if folder == "harness/agent" { "gauntlet-cluster" } else { "gauntlet-agent" };
            let is_allowed = allowed.contains(&dependency.as_str()) || dependency == for_tests;
            assert!(is_allowed, "{folder} must not depend on {dependency} in its tests");
        }
    }
}

#[test]
fn the_embedded_kubernetes_knows_nothing_of_the_harness() {
    let embedded = root().join("harness/embedded");
    let parts = std::fs::read_dir(&embedded).unwrap().flatten().map(|entry| entry.path());
    let manifests =
        parts.chain([embedded.clone()]).map(|folder| folder.join("Cargo.toml")).filter(|path| path.is_file());
    for path in manifests {
        let text = std::fs::read_to_string(&path).unwrap();
        for dependency in own_dependencies(&text) {
            let is_embedded = dependency.starts_with("embedded-") || dependency == "gauntlet-embedded";
            assert!(is_embedded, "{} must not depend on {dependency}", path.display());
        }
    }
}

#[test]
fn core_does_no_input_or_output() {
    let manifest = manifest("harness/core");
    for forbidden in ["tokio", "kube", "k8s-openapi", "reqwest", "nix"] {
        let depends = manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(forbidden));
        assert!(!depends, "core must not depend on {forbidden}");
    }
}

#[test]
fn scenarios_name_no_provider_and_no_system() {
    let files = rust_files(&root().join("scenarios/src"));
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        // Tests may use the bundled systems.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_lowercase();
        for name in ["cordum", "kubeconfig", "provider::"] {
            assert!(!code.contains(name), "{} says `{name}`", file.display());
        }
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    let files: Vec<PathBuf> =
        ["harness", "scenarios"].iter().flat_map(|folder| rust_files(&root().join(folder))).collect();
    assert!(files.len() > 50, "the sources were not found");
    let silent: Vec<String> = files
        .iter()
        .filter(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let first = text.lines().next().unwrap_or_default();
            // A line that only repeats the crate's name says nothing.
            !first.starts_with("//! ") || first.split_whitespace().count() < 3
        })
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "no `//!` with a sentence at the top of:\n{}", silent.join("\n"));
}

/// All Rust sources below a folder, without what was built.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}
