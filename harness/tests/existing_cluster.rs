//! A run on a cluster that exists already and has other users. The embedded Kubernetes is just another cluster here,
//! reached by a context of its kubeconfig.

#[allow(dead_code)] // not every test uses all of it
mod support;

use std::process::Command;
use support::elsewhere::Elsewhere;

fn has_kubectl() -> bool {
    let found = Command::new("kubectl").args(["version", "--client"]).output().is_ok();
    if !found {
        eprintln!("SKIPPED: no kubectl");
    }
    found
}

#[test]
fn only_what_is_agreed_to_and_free_is_touched_and_all_of_it_goes() {
    if !has_kubectl() {
        return;
    }
    let Some(cluster) = Elsewhere::start() else { return };
    let namespaces = cluster.names("namespaces");

    let refused = cluster.run("run", &["redis.failover"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("create   namespaces cordum"), "the plan is shown: {}", refused.stderr);
    assert!(refused.stderr.contains("hint: add --yes"), "{}", refused.stderr);

    cluster.kubectl(&["create", "namespace", "cordum"]);
    cluster.kubectl(&["-n", "cordum", "create", "configmap", "precious"]);
    let refused = cluster.run("run", &["--yes", "redis.failover"]);
    assert_eq!(refused.code, 2, "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stdout.contains("cordum (not ours)"), "{}", refused.stdout);
    cluster.run("clean", &["--yes"]);
    cluster.kubectl(&["-n", "cordum", "get", "configmap", "precious"]);
    cluster.kubectl(&["delete", "namespace", "cordum"]);
    assert_eq!(cluster.names("namespaces"), namespaces, "a refused run left something");

    // The API has no verb for this scenario's fault, so it is skipped, but everything is deployed before.
    let skipped = cluster.run("run", &["--yes", "redis.failover"]);
    assert_eq!(skipped.code, 0, "{}{}", skipped.stdout, skipped.stderr);
    assert!(skipped.stdout.contains("cannot do what this needs: hold-container"), "{}", skipped.stdout);
    assert_eq!(cluster.names("namespaces"), namespaces, "the run left a namespace");
    assert_eq!(cluster.names("crd"), Vec::<String>::new(), "the run left kinds");
}

#[test]
fn what_a_killed_run_left_is_found_by_its_label() {
    if !has_kubectl() {
        return;
    }
    let Some(cluster) = Elsewhere::start() else { return };
    let namespaces = cluster.names("namespaces");
    let (_, mut child) = support::run_until(cluster.gauntlet("run", &["--yes"]), "wait for the steady state");
    child.kill().expect("the run can be killed");
    child.wait().expect("the run ends");

    let refused = cluster.run("clean", &[]);
    assert_eq!(refused.code, 2, "nobody has agreed: {}{}", refused.stdout, refused.stderr);
    let cleaned = cluster.run("clean", &["--yes"]);
    assert_eq!(cleaned.code, 0, "{}{}", cleaned.stdout, cleaned.stderr);
    assert!(cleaned.stdout.contains("removed namespace cordum"), "{}", cleaned.stdout);
    assert_eq!(cluster.names("namespaces"), namespaces);
    let again = cluster.run("clean", &[]);
    assert_eq!((again.code, again.stdout.as_str()), (0, "nothing to clean\n"));
}

/// Lines that say what is not allowed.
fn gaps(said: &str) -> Vec<&str> {
    let after = said.split("the cluster does not allow you to:\n").nth(1).unwrap_or_default();
    after.lines().map_while(|line| line.strip_prefix("  ")).collect()
}

#[test]
fn a_role_with_all_that_is_listed_is_enough_and_a_gap_of_a_power_skips_only_who_needs_it() {
    if !has_kubectl() {
        return;
    }
    let Some(cluster) = Elsewhere::start() else { return };
    let somebody = cluster.somebody("somebody");
    let chosen = ["--system", "nexus", "--yes", "--allow-node-faults", "network.matrix", "drain.quorum"];

    let refused = support::ended(somebody.gauntlet("run", &chosen).output().expect("the program starts"));
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let gaps = gaps(&refused.stderr);
    assert!(gaps.contains(&"create pods/eviction, only for drain-nodes"), "{gaps:#?}");
    assert!(gaps.contains(&"list, watch daemonsets (apps)"), "no scenario needs an agent on the nodes: {gaps:#?}");

    let listed = gaps.iter().filter(|gap| !gap.contains("pods/eviction"));
    somebody.allow(listed.map(|gap| gap.split(", only for").next().unwrap_or(gap)));
    let mut run = somebody.gauntlet("run", &chosen);
    let ran =
        support::ended(run.env("RUST_LOG", "gauntlet_cluster::retry=debug").output().expect("the program starts"));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("1 passed, 1 skipped"), "{}", ran.stdout);
    let why = "drain-nodes (the cluster does not allow you to: create pods/eviction)";
    assert!(ran.stdout.contains(why), "{}", ran.stdout);
    // Cleaning up looks for things of every kind that there is: what may not be listed was not made.
    let before = ran.stderr.split("clean up:").next().unwrap_or_default();
    assert!(!before.contains("not allowed"), "something was done that was not listed: {before}");
    assert!(ran.stderr.contains("not allowed"), "what is not allowed is not seen: {}", ran.stderr);
}
