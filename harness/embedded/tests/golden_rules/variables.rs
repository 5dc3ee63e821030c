//! Names for what differs from run to run.

use crate::rules::variables::*;
use serde_json::json;

#[test]
fn names_are_filled_in_and_taken_out_again() {
    let nodes = ["node-1".to_owned(), "node-11".to_owned()];
    let mut variables = Variables::new("g-1", &nodes, true).expect("patterns");
    variables.save("uid", "u".into());
    let request = json!({"{ns}": ["{node2} {node1}, {node1}", "{uid}", "{other}"]});
    let filled = variables.fill_value(&request);
    assert_eq!(filled, json!({"g-1": ["node-11 node-1, node-1", "u", "{other}"]}));
    assert_eq!(variables.strip(&filled), json!({"{ns}": ["{node2} {node1}, {node1}", "u", "{other}"]}));
}

#[test]
fn nodes_stay_where_the_file_names_none() {
    let variables = Variables::new("g-1", &["node-1".to_owned()], false).expect("patterns");
    assert_eq!(variables.strip(&json!("node-1 in g-1")), json!("node-1 in {ns}"));
}
