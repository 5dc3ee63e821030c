//! The program away from where it was built, with the bundled systems where a release or a package has them.

use std::path::Path;
use std::process::Command;

#[test]
fn bundled_systems_are_found_beside_the_program_or_among_what_is_shared() {
    for systems in ["bin/systems", "share/gauntlet/systems"] {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("bin/gauntlet");
        std::fs::create_dir(root.path().join("bin")).unwrap();
        let built = env!("CARGO_BIN_EXE_gauntlet");
        if std::fs::hard_link(built, &program).is_err() {
            std::fs::copy(built, &program).unwrap();
        }
        let system = root.path().join(systems).join("planted");
        std::fs::create_dir_all(&system).unwrap();
        let planted = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted/system.yaml");
        std::fs::copy(planted, system.join("system.yaml")).unwrap();

        let listed =
            Command::new(&program).args(["list", "--system", "planted"]).env_remove("GAUNTLET_SYSTEMS").output();
        let listed = listed.expect("the program starts");
        let said = String::from_utf8_lossy(&listed.stdout);
        assert!(listed.status.success(), "{systems}: {}", String::from_utf8_lossy(&listed.stderr));
        assert!(said.contains("\nsystems:\n  planted "), "{systems}: {said}");
        assert!(!said.contains("cordum"), "{systems}: {said}");
    }
}

#[test]
fn where_no_systems_are_the_places_are_named() {
    let mut list = Command::new(env!("CARGO_BIN_EXE_gauntlet"));
    let listed = list.arg("list").env("GAUNTLET_SYSTEMS", "/no/systems").output().expect("the program starts");
    let said = String::from_utf8_lossy(&listed.stderr);
    assert_eq!(listed.status.code(), Some(2), "{said}");
    assert!(said.contains("hint: there are no bundled systems: looked in /no/systems\n"), "{said}");
}
