//! `gauntlet init`: a contract proposed from manifests, of which nothing counts until somebody confirms it.

#[allow(dead_code)] // not every test uses all of it
mod support;

use std::path::Path;
use support::{Ended, Place};

/// A shop of two services, of which only the front may reach the store.
const SHOP: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: shop}
spec:
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec: {containers: [{name: front, image: "shop/front:1", ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec: {containers: [{name: orders, image: "shop/orders:1", ports: [{containerPort: 9000}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: orders, namespace: shop}
spec:
  podSelector: {matchLabels: {app: orders}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: front}}}]
      ports: [{port: 9000}]
"#;

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
    std::fs::write(path, text).expect("the file can be written");
}

/// Ended with 2, said this, and wrote nothing.
fn assert_refused(place: &Place, ended: &Ended, says: &[&str]) {
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    for expected in says {
        assert!(ended.stderr.contains(expected), "{expected:?} was not said:\n{}", ended.stderr);
    }
    assert!(!place.path("gauntlet").exists(), "something was written");
}

#[test]
fn what_cannot_be_read_is_bad_input_and_nothing_is_written() {
    let place = Place::new();
    write(&place.path("broken/kustomization.yaml"), "resources: [nowhere.yaml]\n");
    write(&place.path("idle/all.yaml"), "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n");
    write(&place.path("odd/all.yaml"), "a: [\n");
    write(
        &place.path("raw/web.yaml"),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n",
    );
    write(&place.path("tree/live/kustomization.yaml"), "resources: []\n");
    write(&place.path("nameless.yaml"), "{apiVersion: apps/v1, kind: Deployment, metadata: {generateName: a-}}\n");
    std::fs::create_dir(place.path("empty")).expect("a folder");
    for (from, says) in [
        ("nowhere", ["cannot read nowhere", "hint: name a folder with a kustomization.yaml"]),
        ("empty", ["has no kustomization.yaml and no manifests", "hint: name the folder of an overlay"]),
        ("idle", ["idle has 1 objects and no workload among them", "hint: Deployments"]),
        ("odd", ["all.yaml:", "error: "]),
        ("raw", ["web.yaml:", "hint: templates of Helm are rendered first: helm template"]),
        ("tree", ["tree has overlays below it and is none", "hint: name one of them: "]),
        ("nameless.yaml", ["no workload among them", "hint: 1 of them have no `metadata.name`"]),
    ] {
        assert_refused(&place, &place.gauntlet(&["init", from]), &says);
    }
    if std::process::Command::new("kubectl").arg("version").output().is_err() {
        eprintln!("SKIPPED: no kubectl, so no kustomization");
        return;
    }
    assert_refused(&place, &place.gauntlet(&["init", "broken"]), &["does not render", "nowhere.yaml", "hint: see it"]);
}

#[test]
fn a_contract_that_is_there_is_replaced_only_when_told_so() {
    let place = Place::new();
    write(&place.path("shop.yaml"), SHOP);
    let contract = place.path("gauntlet/system.yaml");
    write(&contract, "confirmed: long ago\n");
    let ended = place.gauntlet(&["init", "shop.yaml"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("system.yaml exists already, and nothing was written"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&contract).unwrap(), "confirmed: long ago\n");

    let ended = place.gauntlet(&["init", "shop.yaml", "--into", "shop.yaml/there"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("is a file, so nothing can be put into"), "{}", ended.stderr);

    assert_eq!(place.gauntlet(&["init", "shop.yaml", "--force"]).code, 0);
    assert!(std::fs::read_to_string(&contract).unwrap().contains("name: shop\n"));
}

#[test]
fn an_overlay_is_referred_to_and_its_entries_name_their_files() {
    let place = Place::new();
    write(&place.path("deploy/base/shop.yaml"), SHOP);
    let base = "resources: [shop.yaml]\nconfigMapGenerator: [{name: made, namespace: shop, literals: [a=b]}]\n";
    write(&place.path("deploy/base/kustomization.yaml"), base);
    write(&place.path("deploy/live/kustomization.yaml"), "resources: [../base]\nnamePrefix: live-\n");
    if std::process::Command::new("kubectl").arg("version").output().is_err() {
        eprintln!("SKIPPED: no kubectl, so no kustomization");
        return;
    }
    let ended = place.gauntlet(&["init", "deploy/live", "--into", "here/system"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let text = std::fs::read_to_string(place.path("here/system/system.yaml")).unwrap();
    for expected in [
        "overlays: {live: {path: \"../../deploy/live\", default: true}}",
        "# guessed from Deployment live-front in ../../deploy/base/shop.yaml\n  - name: live-front\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let listed = place.gauntlet(&["list", "--system", "here/system"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
}

#[test]
fn a_folder_of_manifests_gets_a_kustomization_that_refers_to_them() {
    let place = Place::new();
    write(&place.path("manifests/shop/templates/shop.yaml"), SHOP);
    write(
        &place.path("manifests/more.yaml"),
        "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]}\n",
    );
    write(&place.path("manifests/.cache/old.yaml"), "a: [\n");
    let ended = place.gauntlet(&["init", "manifests"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let text = std::fs::read_to_string(place.path("gauntlet/deploy/manifests/kustomization.yaml")).unwrap();
    let files = ["more.yaml", "shop/templates/shop.yaml"].map(|file| format!("  - \"../../../manifests/{file}\"\n"));
    assert_eq!(text, format!("resources:\n{}", files.concat()));
}

fn matrix(place: &Place) -> Ended {
    place.gauntlet(&["run", "--system", "./gauntlet", "--nodes", "2", "--exact", "network.matrix"])
}

#[test]
fn a_broken_guess_is_a_note_and_fails_once_it_is_confirmed() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: not root");
        return;
    }
    let place = Place::new();
    let (manifests, contract) = (place.path("shop.yaml"), place.path("gauntlet/system.yaml"));
    write(&manifests, SHOP);
    assert_eq!(place.gauntlet(&["init", "shop.yaml"]).code, 0);
    let open = SHOP.replace("from: [{podSelector: {matchLabels: {app: front}}}]", "from: []");
    assert_ne!(open, SHOP);
    write(&manifests, &open);

    let guessed = matrix(&place);
    assert_eq!(guessed.code, 3, "{}{}", guessed.stdout, guessed.stderr);
    for expected in [
        "network.matrix  inconclusive",
        "every promise that was checked is a guess that nobody has confirmed",
        "unconfirmed, looks broken: ",
        "nothing that was looked at counts: 2 of 2 promises are unconfirmed guesses: inventory, network",
        "the real programs of these images were not run: shop/front: a stand-in that answers on 8080",
    ] {
        assert!(guessed.stdout.contains(expected), "{expected} is not in\n{}", guessed.stdout);
    }
    for never in ["passed", "failed"] {
        assert!(!guessed.stdout.contains(never), "{never}: {}", guessed.stdout);
    }
    assert!(!guessed.stderr.contains("BROKEN"), "{}", guessed.stderr);

    let text = std::fs::read_to_string(&contract).unwrap();
    write(&contract, &text.replace("guessed: true", "guessed: false"));
    let confirmed = matrix(&place);
    assert_eq!(confirmed.code, 1, "{}{}", confirmed.stdout, confirmed.stderr);
    assert!(confirmed.stdout.contains("network.matrix  failed"), "{}", confirmed.stdout);
    assert!(confirmed.stderr.contains("BROKEN"), "{}", confirmed.stderr);

    write(&manifests, SHOP);
    let healthy = matrix(&place);
    assert_eq!(healthy.code, 0, "{}{}", healthy.stdout, healthy.stderr);
}
