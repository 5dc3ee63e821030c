//! The rules of the recordings' format and of the list of known differences, without a cluster.

#[path = "../golden_replay/known.rs"]
mod known;
#[path = "../golden_replay/rules/mod.rs"]
mod rules;

#[path = "known.rs"]
mod known_tests;
#[path = "matcher.rs"]
mod matcher_tests;
#[path = "pointer.rs"]
mod pointer_tests;
#[path = "shape.rs"]
mod shape_tests;
#[path = "variables.rs"]
mod variables_tests;
