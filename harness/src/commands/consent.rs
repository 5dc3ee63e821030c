//! Before an existing cluster is touched: what will be created and disturbed, and whether that may be.

use gauntlet_cluster::access::RUN_LABEL;
use gauntlet_cluster::provider::kubeconfig::Kubeconfig;
use gauntlet_core::Trouble;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal};

/// What a run will do to a cluster, for a person to read.
pub fn plan(cluster: &Kubeconfig, namespaces: &[String], objects: &[Value], kinds: &[String], keep: bool) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for object in objects {
        *counts.entry(object["kind"].as_str().unwrap_or("?")).or_default() += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let is_loose = |object: &&Value| object["metadata"]["namespace"].is_null() && object["kind"] != "Namespace";
    let loose = objects.iter().filter(is_loose);
    let loose: Vec<String> = loose.map(gauntlet_cluster::apply::name_of).chain(kinds.iter().cloned()).collect();
    let mut text = format!("on the cluster of context {} this run will\n", cluster.context);
    let _ = writeln!(text, "  create   namespaces {}, and one for each group of clients", namespaces.join(", "));
    let _ = writeln!(text, "           {} objects: {}", objects.len(), counts.join(", "));
    if !loose.is_empty() {
        let _ = writeln!(text, "           in no namespace: {}", loose.join(", "));
    }
    let nodes = if cluster.node_faults {
        "cordon and drain nodes in turn, with the pods that others have on them; a privileged agent of ours on every \
         node kills containers and cuts the traffic of our pods, and undoes it when it hears nothing of us for 30 s"
    } else {
        "no node (--allow-node-faults allows it)"
    };
    let _ = writeln!(text, "  disturb  {nodes}");
    let end = if keep { "nothing: --keep leaves everything" } else { "everything that it has created" };
    let _ = writeln!(text, "  remove   {end}; all of it carries the label {RUN_LABEL}");
    text
}

/// Asks on a terminal whether to go on; elsewhere `yes` must have been said beforehand.
///
/// # Errors
/// Nobody has agreed.
pub fn ask(plan: &str, yes: bool) -> Result<(), Trouble> {
    eprint!("{plan}");
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Trouble::input("nobody is there to agree to this").hint("add --yes to agree beforehand"));
    }
    eprint!("go on? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Trouble::input("not agreed to; nothing was done")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cluster(node_faults: bool) -> Kubeconfig {
        Kubeconfig { file: "f".into(), context: "staging".into(), node_faults, agent_image: "a".into() }
    }

    #[test]
    fn the_plan_names_what_stands_outside_of_the_namespaces() {
        let objects = [
            json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}),
            json!({"kind": "ClusterRole", "metadata": {"name": "shop-reader"}}),
        ];
        let text = plan(&cluster(false), &["shop".into()], &objects, &["CustomResourceDefinition x".into()], false);
        assert!(text.contains("in no namespace: ClusterRole shop-reader, CustomResourceDefinition x"), "{text}");
        assert!(text.contains("2 objects: 1 ClusterRole, 1 Deployment"), "{text}");
        assert!(text.contains("no node (--allow-node-faults"), "{text}");
    }

    #[test]
    fn draining_is_said_plainly() {
        let text = plan(&cluster(true), &[], &[], &[], true);
        assert!(text.contains("drain nodes in turn, with the pods that others have"), "{text}");
        assert!(text.contains("--keep leaves everything"), "{text}");
    }
}
