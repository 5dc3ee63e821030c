//! Before an existing cluster is touched: what will be created and disturbed, and whether that may be.

use gauntlet_cluster::access::RUN_LABEL;
use gauntlet_cluster::node_agent;
use gauntlet_cluster::provider::kubeconfig::Kubeconfig;
use gauntlet_core::{Capability, Trouble};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead, IsTerminal};

/// What a run will do to a cluster.
pub struct Plan<'a> {
    pub cluster: &'a Kubeconfig,
    /// What the scenarios need and leave was given for.
    pub powers: BTreeSet<Capability>,
    pub namespaces: BTreeSet<String>,
    pub objects: &'a [Value],
    /// Files of kinds that are made first.
    pub kinds: Vec<String>,
    /// Namespaces of others in which pods of ours will stand for a while.
    pub beside: BTreeSet<String>,
    /// Scenarios by name, and what each does.
    pub scenarios: Vec<(String, &'static str)>,
    pub keep: bool,
}

impl fmt::Display for Plan<'_> {
    /// For a person to read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for object in self.objects {
            *counts.entry(object["kind"].as_str().unwrap_or("?")).or_default() += 1;
        }
        let counts: Vec<String> = counts.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let namespaces: Vec<&str> = self.namespaces.iter().map(String::as_str).collect();
        writeln!(f, "on the cluster of context {} this run will", self.cluster.context)?;
        writeln!(f, "  create   namespaces {}, and one for each group of clients", namespaces.join(", "))?;
        writeln!(f, "           {} objects: {}", self.objects.len(), counts.join(", "))?;
        let loose = self.loose();
        if !loose.is_empty() {
            writeln!(f, "           in no namespace: {}", loose.join(", "))?;
        }
        if !self.beside.is_empty() {
            let beside: Vec<&str> = self.beside.iter().map(String::as_str).collect();
            let pods = "pods that take no traffic, while the network is tried, also where others are";
            writeln!(f, "           {pods}: {}", beside.join(", "))?;
        }
        writeln!(f, "  disturb  {}", self.nodes())?;
        writeln!(f, "  try      of what it has created, as far as the cluster has what that needs:")?;
        for (name, summary) in &self.scenarios {
            writeln!(f, "           {name}: {summary}")?;
        }
        let end = if self.keep { "nothing: --keep leaves everything" } else { "everything that it has created" };
        writeln!(f, "  remove   {end}; all of it carries the label {RUN_LABEL}")
    }
}

impl Plan<'_> {
    /// What becomes of nodes.
    fn nodes(&self) -> String {
        let drains = self
            .powers
            .contains(&Capability::DrainNodes)
            .then_some("cordon and drain nodes in turn, with the pods that others have on them");
        let agents = node_agent::GIVE.iter().any(|power| self.powers.contains(power)).then_some(
            "a privileged agent of ours on every node kills containers and cuts the traffic of our pods, and undoes it \
             when it hears nothing of us for 30 s",
        );
        match drains.into_iter().chain(agents).collect::<Vec<&str>>() {
            none if none.is_empty() && self.cluster.node_faults => "no node: none of the scenarios needs it".to_owned(),
            none if none.is_empty() => "no node (--allow-node-faults allows it)".to_owned(),
            some => some.join("; "),
        }
    }

    fn loose(&self) -> Vec<String> {
        let is_loose = |object: &&Value| object["metadata"]["namespace"].is_null() && object["kind"] != "Namespace";
        let loose = self.objects.iter().filter(is_loose).map(gauntlet_cluster::apply::name_of);
        loose.chain(self.kinds.iter().cloned()).collect()
    }
}

/// Asks on a terminal whether to go on; elsewhere `yes` must have been said beforehand.
///
/// # Errors
/// Nobody has agreed.
pub fn ask(plan: impl fmt::Display, yes: bool) -> Result<(), Trouble> {
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

    fn plan<'a>(cluster: &'a Kubeconfig, objects: &'a [Value]) -> Plan<'a> {
        Plan {
            cluster,
            powers: BTreeSet::new(),
            namespaces: ["shop".to_owned()].into(),
            objects,
            kinds: vec!["CustomResourceDefinition x".to_owned()],
            beside: ["monitoring".to_owned()].into(),
            scenarios: vec![("backup.redis".to_owned(), "every shard is backed up, lost, and restored")],
            keep: false,
        }
    }

    #[test]
    fn the_plan_names_what_stands_outside_of_the_namespaces_and_what_is_tried() {
        let objects = [
            json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}),
            json!({"kind": "ClusterRole", "metadata": {"name": "shop-reader"}}),
        ];
        let text = plan(&cluster(false), &objects).to_string();
        for said in [
            "in no namespace: ClusterRole shop-reader, CustomResourceDefinition x",
            "2 objects: 1 ClusterRole, 1 Deployment",
            "no node (--allow-node-faults",
            "also where others are: monitoring",
            "backup.redis: every shard is backed up, lost, and restored",
        ] {
            assert!(text.contains(said), "{said:?} is not in\n{text}");
        }
    }

    #[test]
    fn what_is_done_to_nodes_is_said_plainly_and_only_what_the_scenarios_need() {
        const DRAINS: &str = "drain nodes in turn, with the pods that others have";
        const AGENTS: &str = "a privileged agent of ours on every node";
        let cluster = cluster(true);
        for (powers, said) in [
            (&[Capability::DrainNodes, Capability::HoldContainer][..], &[DRAINS, AGENTS][..]),
            (&[Capability::DrainNodes], &[DRAINS]),
            (&[Capability::ShapeNetwork], &[AGENTS]),
            (&[Capability::EnterPods], &["no node: none of the scenarios needs it"]),
        ] {
            let text = Plan { powers: powers.iter().copied().collect(), ..plan(&cluster, &[]) }.to_string();
            for sentence in [DRAINS, AGENTS, "no node: none of the scenarios needs it"] {
                assert_eq!(text.contains(sentence), said.contains(&sentence), "{sentence:?} {powers:?}\n{text}");
            }
        }
        let text = Plan { keep: true, ..plan(&cluster, &[]) }.to_string();
        assert!(text.contains("--keep leaves everything"), "{text}");
    }
}
