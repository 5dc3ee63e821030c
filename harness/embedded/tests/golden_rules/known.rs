//! The list of known differences, and the verdict on a file.

use crate::known::*;

#[test]
fn the_list_is_read_strictly() {
    let recordings = ["a".to_owned(), "b".to_owned()];
    let known = parse("- {file: a, reason: slow, at: [step 1]}\n- {file: b, reason: odd, at: [step 2]}", &recordings);
    assert_eq!(
        known.expect("a list")["b"],
        Differences { reason: "odd".into(), at: vec!["step 2".into()], races: Vec::new() }
    );
    for wrong in [
        "- {file: c, reason: x, at: [y]}",
        "- {file: a, reason: '', at: [y]}",
        "- {file: a, reason: x, at: []}",
        "- {file: a, reason: x}",
        "- {file: a, reason: x, at: [y], more: z}",
        "- {file: a, reason: x, at: [y]}\n- {file: a, reason: y, at: [y]}",
    ] {
        assert!(parse(wrong, &recordings).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_listed_must_differ_and_nothing_else_may() {
    let known = Differences { reason: "why".into(), at: vec!["step 1: /a".into()], races: vec!["step 3".into()] };
    let (listed, other) = ("step 1: /a: expected 1, got 2".to_owned(), "step 2: /b: missing".to_owned());
    assert_eq!(verdict(&[], None), Ok(()));
    assert_eq!(verdict(std::slice::from_ref(&listed), Some(&known)), Ok(()));
    assert_eq!(verdict(&[listed.clone(), "step 3: /c: unexpected 1".into()], Some(&known)), Ok(()));
    assert!(verdict(&[], Some(&known)).is_err_and(|error| error.contains("take that off")));
    assert!(verdict(&[listed, other.clone()], Some(&known)).is_err_and(|error| error.contains("step 2: /b")));
    assert!(verdict(&[other], None).is_err());
}
