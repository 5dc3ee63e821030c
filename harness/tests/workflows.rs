//! The workflows of continuous integration hold together: with what the README says, with each other, and with the
//! versions of Kubernetes that are known.

use gauntlet_core::yaml;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const ACTION: &str = ".github/actions/run/action.yml";
const QUALIFY: &str = ".github/workflows/qualify.yml";
const NIGHTLY: &str = ".github/workflows/nightly.yml";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn parsed(file: &str) -> Value {
    yaml::parse(file, &text(file)).unwrap_or_else(|problem| panic!("{problem}"))
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

fn without(mut names: BTreeSet<String>, left_out: &[&str]) -> BTreeSet<String> {
    for name in left_out {
        assert!(names.remove(*name), "there is no `{name}`");
    }
    names
}

/// All steps of all jobs.
fn steps(workflow: &Value) -> Vec<Value> {
    let jobs = workflow["jobs"].as_object().expect("a workflow has jobs");
    jobs.values().flat_map(|job| job["steps"].as_array().expect("a job has steps")).cloned().collect()
}

/// What a workflow gives to the action that runs a system.
fn given(workflow: &Value) -> Value {
    let runs = |step: &&Value| step["uses"].as_str().is_some_and(|uses| uses.ends_with(".github/actions/run"));
    let all = steps(workflow);
    let step = all.iter().find(runs).expect("a step runs the system");
    step["with"].clone()
}

fn inputs_of_the_action() -> BTreeSet<String> {
    keys(&parsed(ACTION)["inputs"])
}

#[test]
fn every_workflow_has_steps_and_asks_for_little() {
    let folder = root().join(".github/workflows");
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "the workflows were not found");
    for file in files {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        let workflow = parsed(&name);
        assert_eq!(workflow["permissions"]["contents"], "read", "{name}");
        assert!(!steps(&workflow).is_empty(), "{name}");
    }
}

#[test]
fn continuous_integration_ends_with_the_test_command_of_the_readme() {
    let readme = text("README.md");
    let command = readme.lines().find(|line| line.starts_with("cargo test")).expect("the README has a test command");
    let command = command.split('#').next().unwrap_or_default().trim();
    let script = text(".ci/run");
    assert_eq!(script.lines().last(), Some(command));
    let runs_it = |step: &Value| step["run"].as_str().is_some_and(|run| run.ends_with("bash .ci/run"));
    assert!(steps(&parsed(".github/workflows/ci.yml")).iter().any(runs_it));
}

#[test]
fn every_input_of_the_action_is_used() {
    let action = text(ACTION);
    for input in inputs_of_the_action() {
        assert!(action.contains(&format!("inputs.{input} ")), "`{input}` is not used");
    }
}

#[test]
fn whatever_qualify_is_given_reaches_the_action() {
    let workflow = parsed(QUALIFY);
    let given = given(&workflow);
    let inputs = keys(&workflow["on"]["workflow_call"]["inputs"]);
    for input in without(inputs, &["gauntlet", "gauntlet-ref", "kubernetes"]) {
        assert_eq!(given[&input], format!("${{{{ inputs.{input} }}}}"), "`{input}` is not passed on");
    }
    assert_eq!(given["kubernetes"], "${{ matrix.kubernetes }}");
    assert_eq!(given["repository"], "${{ inputs.gauntlet }}");
    // Everything that the action takes can be said, but where its own results go.
    assert_eq!(keys(&given), without(inputs_of_the_action(), &["cluster", "report"]));
}

#[test]
fn every_night_all_versions_run_that_are_known() {
    let workflow = parsed(NIGHTLY);
    let matrix = &workflow["jobs"]["run"]["strategy"]["matrix"];
    let listed: BTreeSet<String> =
        matrix["kubernetes"].as_array().expect("a list").iter().map(|it| it.as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, keys(&parsed("kind/images.yaml")["versions"]));
    let more = matrix["include"].as_array().expect("a list");
    let configs = more.iter().map(|it| &it["kind-config"]).chain(matrix["kind-config"].as_array().expect("a list"));
    for config in configs {
        let config = config.as_str().expect("a name");
        assert!(root().join("kind").join(format!("{config}.yaml")).is_file(), "no configuration is called `{config}`");
    }
    assert!(more.iter().all(|it| listed.contains(it["kubernetes"].as_str().unwrap_or_default())), "{more:?}");
    let unknown: Vec<String> = keys(&given(&workflow)).difference(&inputs_of_the_action()).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn verdicts_are_published_where_systems_are_run() {
    for file in [QUALIFY, NIGHTLY] {
        let publishes = |step: &Value| {
            let uses = step["uses"].as_str().unwrap_or_default();
            uses.starts_with("mikepenz/action-junit-report@")
                && step["if"] == "always()"
                && step["with"]["report_paths"] == "gauntlet-reports/*/junit.xml"
        };
        assert!(steps(&parsed(file)).iter().any(publishes), "{file}");
    }
    assert_eq!(parsed(ACTION)["inputs"]["report"]["default"], "gauntlet-reports");
}

#[test]
fn a_release_has_the_bundled_systems_and_is_tried_without_its_source() {
    let pack = steps(&parsed(".github/workflows/release.yml"));
    let pack = pack.iter().find(|step| step["name"] == "Pack the program").expect("a step packs the program");
    let script = pack["run"].as_str().expect("a script");
    assert!(script.contains("--directory \"$PWD/scenarios\" systems"), "{script}");
    assert!(script.contains("unpacked/gauntlet list --system cordum"), "{script}");
}
