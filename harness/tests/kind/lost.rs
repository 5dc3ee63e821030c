//! Clusters that Docker has and that nothing is remembered of.

use crate::machine::{Machine, NOWHERE};
use gauntlet_core::RunId;
use gauntlet_engine::folder::RunRecord;

/// Of nobody's run here.
const STRANGE: &str = "20260101-000000-abcd-1-1";

#[test]
fn what_may_be_of_others_is_told_and_goes_when_a_person_says_so() {
    let machine = Machine::new(NOWHERE);
    let (strange, mine) = (format!("gauntlet-{STRANGE}"), "gauntlet-mine");
    machine.has_cluster(&strange);
    machine.has_cluster(mine);
    for arguments in [&["clean"][..], &["clean", "--cluster", "kind"]] {
        let cleaned = machine.gauntlet(arguments);
        assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
        assert!(cleaned.stdout.contains(&format!("that is on no record: {STRANGE}")), "{}", cleaned.stdout);
        assert!(cleaned.stdout.contains("gauntlet clean --cluster kind --yes"), "{}", cleaned.stdout);
        assert!(machine.lists_cluster(&strange), "{:?}", machine.calls());
    }
    let cleaned = machine.gauntlet(&["clean", "--cluster", "kind", "--yes"]);
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    assert!(!machine.lists_cluster(&strange), "{:?}", machine.calls());
    // No run has made it.
    assert!(machine.lists_cluster(mine), "{:?}", machine.calls());
    assert_eq!(machine.gauntlet(&["clean", "--cluster", "kind"]).stdout, "nothing to clean\n");
}

#[test]
fn what_is_of_a_run_that_died_here_goes_without_a_record_of_its_own() {
    let machine = Machine::new(NOWHERE);
    let run = RunId::new(0, 1);
    let (id, kept) = (format!("{run}-1-1"), RunId::new(0, 2));
    let (name, kept_name) = (format!("gauntlet-{id}"), format!("gauntlet-{kept}-1-1"));
    let state = machine.place.path("state");
    drop(RunRecord::create(&state, &run, "kind", false).expect("a record"));
    drop(RunRecord::create(&state, &kept, "kind", true).expect("a record"));
    machine.has_cluster(&name);
    machine.has_cluster(&kept_name);
    let cleaned = machine.clean();
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    assert!(cleaned.stdout.contains(&format!("removed cluster {id}")), "{}", cleaned.stdout);
    assert!(!machine.lists_cluster(&name), "{:?}", machine.calls());
    assert!(machine.lists_cluster(&kept_name), "what was to be kept: {:?}", machine.calls());
    assert!(machine.gauntlet(&["cluster", "list"]).stdout.contains(&format!("{kept}-1-1")));
}

#[test]
fn an_engine_that_cannot_be_asked_is_told_where_its_clusters_are_meant() {
    let machine = Machine::new(NOWHERE);
    let fails = [("FAKE_FAIL", "docker ps")];
    assert_eq!(machine.clean_with(&fails).stdout, "nothing to clean\n");
    let command = machine.command(&["clean", "--cluster", "kind"], &fails).output();
    let cleaned = crate::support::ended(command.expect("the program starts"));
    assert_eq!(cleaned.code, 3, "{}{}", cleaned.stdout, cleaned.stderr);
    assert!(cleaned.stderr.contains("no luck with docker ps"), "{}", cleaned.stderr);
}
