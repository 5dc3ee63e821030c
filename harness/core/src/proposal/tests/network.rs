//! Policies as a table, and what counts once something of a proposal is confirmed.

use super::{SHOP, deployment, proposed, store};
use crate::Contract;

#[test]
fn policies_become_rows_to_confirm_and_what_is_not_understood_is_told() {
    let (text, _) = proposed(SHOP);
    for row in [
        "restrictedIngress: [web]",
        "- name: pods-of-ingress-nginx\n      namespace: ingress-nginx",
        "- from: [pods-of-ingress-nginx]\n      to: [web]\n      ports: [3000, 3001]",
        "- from: [web]\n      to: [dns]\n      ports: [53]\n      protocols: [udp]",
        "- from: [web]\n      to: [bus]\n      ports: [4222]",
        "- from: [web]\n      to: [outside]\n      ports: [443]",
        "Is the cloud's metadata service meant?\n    - from: [web]\n      to: [metadata]\n      ports: [443]",
        "# Not understood, so add a row if one is meant: NetworkPolicy web in deploy/all.yaml: port {port: 9} of web",
        "open:\n    # guessed from NetworkPolicy web in deploy/all.yaml\n    - from: [web]\n      to: [anywhere]\n      protocols: [tcp, udp]\n      \
         reference: \"not understood, so left open: peer {ipBlock: {cidr: \\\"10.1.0.0/16\\\"}} of NetworkPolicy web\"\n      guessed: true",
    ] {
        assert!(text.contains(row), "{row}\nis not in\n{text}");
    }
}

/// A policy of the pods `web` in the namespace `a`.
fn policy(spec: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: web, namespace: a}}\n\
         spec: {{podSelector: {{matchLabels: {{app: web}}}}, {spec}}}\n"
    )
}

#[test]
fn peers_have_names_of_their_own_that_pods_can_have() {
    let from = |labels: &str| {
        format!("{{namespaceSelector: {{matchLabels: {{name: ext}}}}, podSelector: {{matchLabels: {{{labels}}}}}}}")
    };
    let peers: Vec<String> = ["app: My_App.v1", "app: one, tier: a", "app: one, tier: b"].map(from).into();
    let (text, contract) = proposed(&format!(
        "{}{}",
        deployment("web", ""),
        policy(&format!("policyTypes: [Ingress], ingress: [{{from: [{}], ports: [{{port: 80}}]}}]", peers.join(", ")))
    ));
    let network = contract.network.unwrap();
    let names: Vec<&str> = network.peers.iter().map(|peer| peer.name.value.as_str()).collect();
    assert_eq!(names, ["ext-my-app-v1", "ext-one", "ext-one-2"], "{text}");
    assert_eq!(network.peers[2].labels["tier"], "b");
    assert_eq!(network.ingress[0].from.len(), 3, "{text}");
}

/// The same contract with its marks taken off, but for those that a text begins.
fn confirmed(text: &str, but: &str) -> Contract {
    let marked = text.replace(but, "KEPT");
    let text = marked.replace("guessed: true", "guessed: false").replace("KEPT", but);
    Contract::parse("system.yaml", &text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

#[test]
fn a_confirmed_promise_counts_for_nothing_while_its_figures_are_invented() {
    let (cluster, _) = proposed(&store("db", "redis:7", 6, "[\"--cluster-enabled\", \"yes\"]", ""));
    let (shop, _) = proposed(SHOP);
    for (text, id, mark) in [
        (&shop, "drain", "    promise: drain\n    guessed: true"),
        (&shop, "consensus.bus", "      promise: consensus.bus\n      guessed: true"),
        (&cluster, "failover.db", "      promise: failover.db\n      guessed: true"),
        (&shop, "network", "  promise: network\n  guessed: true"),
    ] {
        assert!(text.contains(mark), "{mark} is not in\n{text}");
        let guesses = |contract: &Contract| contract.guesses().map(str::to_owned).collect::<Vec<String>>();
        assert_eq!(guesses(&confirmed(text, mark)), [id]);
        assert!(!confirmed(text, "\u{0}").is_guessed(id));
    }
    assert!(shop.contains("namespace: ingress-nginx\n      guessed: true"), "{shop}");
}

#[test]
fn a_confirmed_table_denies_nothing_that_a_policy_allows() {
    use crate::contract::network::{Protocol, Question};
    let block = "{ipBlock: {cidr: 10.1.2.0/24}}";
    let front = "{podSelector: {matchLabels: {app: front}}}";
    for (from, ports, asked, now) in [
        (block, "[{port: 80}]", None, "left open"),
        (block, "[{port: 81}]", None, "denied"),
        (front, "[{port: 80}]", None, "denied"),
        (front, "[{port: 80}]", Some("front"), "allowed"),
        (front, "[{port: 60, endPort: 90}]", Some("front"), "allowed"),
        ("{podSelector: {}}", "[{port: 80}]", Some("pods-of-a"), "allowed"),
        ("{podSelector: {}}", "[{port: 80}]", None, "denied"),
    ] {
        let policy = policy(&format!("policyTypes: [Ingress], ingress: [{{from: [{from}], ports: {ports}}}]"));
        let (text, _) = proposed(&format!("{}---\n{}{policy}", deployment("web", ""), deployment("front", "")));
        let doubts = text.find("\n  open:").map_or("\u{0}", |from| &text[from..]);
        let network = confirmed(&text, doubts).network.unwrap();
        let question = Question { from: asked, to: Some("web"), port: 80, protocol: Protocol::Tcp };
        assert_eq!(network.expect(question).word(), now, "{from} {ports} {asked:?}\n{text}");
    }
}
