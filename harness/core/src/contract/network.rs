//! Who may reach whom: the rows of the document's tables, and what follows for one cell of the matrix.
//!
//! A connection needs both of its ends: the source's egress and the destination's ingress. Where an end is restricted,
//! only what a row lists is allowed there; where it is not, a row can still say that something is meant to work. A cell
//! that no row covers and no restriction denies is left open by the document.

use super::model::{Labels, Only, Ref};
use crate::yaml::Located;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who may reach whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Network {
    /// Workloads that only listed sources may reach.
    #[serde(default)]
    pub restricted_ingress: Vec<Ref>,
    /// Workloads that may only reach listed destinations.
    #[serde(default)]
    pub restricted_egress: Vec<Ref>,
    /// Parties that the document names and that are no workloads of the system.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Whom destinations accept.
    #[serde(default)]
    pub ingress: Vec<Rule>,
    /// Whom sources may reach.
    #[serde(default)]
    pub egress: Vec<Rule>,
    /// What the document can be read either way about: probed and told, never judged.
    #[serde(default)]
    pub open: Vec<Rule>,
    pub promise: Ref,
    /// Whom it restricts was proposed by a program and not yet confirmed by a person: nothing of it is judged.
    #[serde(default)]
    pub guessed: bool,
    #[serde(default)]
    pub overlays: Only,
}

/// Pods of somebody else, known by where they live and what they are labelled.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Peer {
    pub name: Located<String>,
    pub namespace: String,
    #[serde(default)]
    pub labels: Labels,
    /// Proposed by a program and not yet confirmed by a person: what it reaches is told, never judged.
    #[serde(default)]
    pub guessed: bool,
}

/// A row of a table. `from` and `to` are workloads, peers, or one of [`BEYOND`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    pub from: Vec<Ref>,
    pub to: Vec<Ref>,
    /// Without any, every port.
    #[serde(default)]
    pub ports: Vec<Located<u16>>,
    #[serde(default = "tcp")]
    pub protocols: Vec<Protocol>,
    /// The row of the document, or why it leaves this open.
    pub reference: String,
    /// Proposed by a program and not yet confirmed by a person: what it covers is told, never judged.
    #[serde(default)]
    pub guessed: bool,
}

fn tcp() -> Vec<Protocol> {
    vec![Protocol::Tcp]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Parties that every cluster has: its DNS, its API, its nodes, hosts outside of it, the cloud's metadata service; and
/// `anywhere`, which is everybody.
pub const BEYOND: [&str; 6] = ["dns", "api-server", "nodes", "outside", "metadata", ANYWHERE];

const ANYWHERE: &str = "anywhere";

/// What the contract says of one cell.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "expected", content = "row")]
pub enum Expected {
    /// By these rows.
    Allowed(String),
    /// By what restricts an end.
    Denied(String),
    /// The document leaves it open; why.
    Open(String),
}

impl Expected {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Allowed(_) => "allowed",
            Self::Denied(_) => "denied",
            Self::Open(_) => "left open",
        }
    }

    pub fn row(&self) -> &str {
        match self {
            Self::Allowed(row) | Self::Denied(row) | Self::Open(row) => row,
        }
    }
}

/// One question to the contract. A party that the document does not name is `None`.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
    pub port: u16,
    pub protocol: Protocol,
}

impl Rule {
    fn covers(&self, question: Question<'_>) -> bool {
        let among = |list: &[Ref], party: Option<&str>| {
            list.iter().any(|name| name.value == ANYWHERE || Some(name.value.as_str()) == party)
        };
        among(&self.from, question.from)
            && among(&self.to, question.to)
            && self.protocols.contains(&question.protocol)
            && (self.ports.is_empty() || self.ports.iter().any(|port| port.value == question.port))
    }
}

/// What one end of a connection says.
enum End<'a> {
    Listed(&'a str),
    /// By a row that is only guessed.
    Guessed(&'a str),
    NotListed,
    Unrestricted,
}

/// One end of a connection: its table, whom that restricts, and the column in which it stands.
struct Side<'a> {
    rules: &'a [Rule],
    restricted: &'a [Ref],
    party: Option<&'a str>,
    column: fn(&Rule) -> &[Ref],
}

impl Network {
    fn end<'a>(&'a self, side: &Side<'a>, question: Question<'_>) -> End<'a> {
        let covering = || side.rules.iter().filter(|rule| rule.covers(question));
        match covering().find(|rule| !rule.guessed).or_else(|| covering().next()) {
            Some(rule) if rule.guessed => End::Guessed(&rule.reference),
            Some(rule) => End::Listed(&rule.reference),
            None if !side.restricted.iter().any(|name| Some(name.value.as_str()) == side.party) => End::Unrestricted,
            None => self.doubt(side, question).map_or(End::NotListed, |rule| End::Guessed(&rule.reference)),
        }
    }

    /// What a program did not understand of an end denies nothing there. `anywhere` tells nothing of its end.
    fn doubt<'a>(&'a self, side: &Side<'a>, question: Question<'_>) -> Option<&'a Rule> {
        let speaks = |rule: &Rule| !(side.column)(rule).iter().any(|name| name.value == ANYWHERE);
        self.open.iter().find(|rule| rule.guessed && rule.covers(question) && speaks(rule))
    }

    /// The rows of all tables.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.ingress.iter().chain(&self.egress).chain(&self.open)
    }

    /// The same as if every row were confirmed: what it would come to is worth telling where nothing of it is judged.
    pub fn assumed(&self) -> Self {
        let mut assumed = self.clone();
        assumed.ingress.iter_mut().chain(&mut assumed.egress).for_each(|rule| rule.guessed = false);
        assumed.peers.iter_mut().for_each(|peer| peer.guessed = false);
        assumed
    }

    pub fn restricts_ingress(&self, workload: &str) -> bool {
        self.restricted_ingress.iter().any(|name| name.value == workload)
    }

    pub fn restricts_egress(&self, workload: &str) -> bool {
        self.restricted_egress.iter().any(|name| name.value == workload)
    }

    /// What is expected of one cell.
    pub fn expect(&self, question: Question<'_>) -> Expected {
        if let Some(rule) = self.open.iter().find(|rule| !rule.guessed && rule.covers(question)) {
            return Expected::Open(rule.reference.clone());
        }
        let is_party = |peer: &&Peer| [question.from, question.to].contains(&Some(peer.name.value.as_str()));
        if let Some(peer) = self.peers.iter().filter(|peer| peer.guessed).find(is_party) {
            return Expected::Open(format!("unconfirmed: the peer {}", peer.name.value));
        }
        let (rules, restricted) = (&self.egress, &self.restricted_egress);
        let leaves = self.end(&Side { rules, restricted, party: question.from, column: |rule| &rule.from }, question);
        let (rules, restricted) = (&self.ingress, &self.restricted_ingress);
        let enters = self.end(&Side { rules, restricted, party: question.to, column: |rule| &rule.to }, question);
        let (from, to) = (question.from.unwrap_or("a stranger"), question.to.unwrap_or("a stranger"));
        match (leaves, enters) {
            (End::NotListed, _) => Expected::Denied(format!("no egress row of {from} lists it")),
            (_, End::NotListed) => Expected::Denied(format!("no ingress row of {to} lists it")),
            (End::Guessed(row), _) | (_, End::Guessed(row)) => Expected::Open(format!("unconfirmed: {row}")),
            (End::Listed(a), End::Listed(b)) => Expected::Allowed(format!("{a}; {b}")),
            (End::Listed(row), End::Unrestricted) | (End::Unrestricted, End::Listed(row)) => {
                Expected::Allowed(row.to_owned())
            }
            (End::Unrestricted, End::Unrestricted) => Expected::Open("no row speaks of it".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: &str = "
promise: p
restrictedIngress: [db]
restrictedEgress: [api, web]
peers: [{name: prometheus, namespace: monitoring}]
ingress:
  - {from: [api, web, batch], to: [db], ports: [5432, 5433], reference: in db}
  - {from: [prometheus], to: [api], ports: [9090], reference: scraped}
egress:
  - {from: [api], to: [db], ports: [5432], reference: out api}
  - {from: [api, web], to: [dns], ports: [53], protocols: [tcp, udp], reference: out dns}
  - {from: [web], to: [api], ports: [80], reference: out web}
  - {from: [web], to: [anywhere], ports: [443], reference: out anywhere}
open:
  - {from: [batch], to: [db], ports: [5433], reference: could be meant}
";

    fn expected(from: Option<&str>, to: Option<&str>, port: u16, protocol: Protocol) -> String {
        let network: Network = crate::yaml::parse("n", NETWORK).unwrap();
        let expected = network.expect(Question { from, to, port, protocol });
        format!("{}: {}", expected.word(), expected.row())
    }

    #[test]
    fn what_a_guessed_row_covers_is_open_until_it_is_confirmed() {
        use Protocol::Tcp;
        let text = NETWORK
            .replace("reference: out api", "reference: out api, guessed: true")
            .replace("reference: scraped", "reference: scraped, guessed: true");
        let network: Network = crate::yaml::parse("n", &text).unwrap();
        let expected = |network: &Network, from, to, port| {
            let question = Question { from: Some(from), to: Some(to), port, protocol: Tcp };
            network.expect(question).word()
        };
        for (from, to, port, now, assumed) in [
            ("api", "db", 5432, "left open", "allowed"),
            ("api", "db", 5433, "denied", "denied"),
            ("batch", "db", 5432, "allowed", "allowed"),
            ("prometheus", "api", 9090, "left open", "allowed"),
        ] {
            assert_eq!(expected(&network, from, to, port), now, "{from} {to} {port}");
            assert_eq!(expected(&network.assumed(), from, to, port), assumed, "{from} {to} {port}");
        }
    }

    #[test]
    fn a_guessed_peer_is_judged_by_nothing() {
        let text = NETWORK.replace("namespace: monitoring}", "namespace: monitoring, guessed: true}");
        let network: Network = crate::yaml::parse("n", &text).unwrap();
        for (to, port, assumed) in [("api", 9090, "allowed"), ("db", 5432, "denied")] {
            let question = Question { from: Some("prometheus"), to: Some(to), port, protocol: Protocol::Tcp };
            assert_eq!(network.expect(question).word(), "left open");
            assert_eq!(network.assumed().expect(question).word(), assumed);
        }
    }

    #[test]
    fn what_was_not_understood_of_an_end_denies_nothing_there_and_allows_nothing() {
        let doubts = "open:
  - {from: [anywhere], to: [db], ports: [5432], reference: an address, guessed: true}
  - {from: [api], to: [anywhere], reference: a block, guessed: true}
";
        let text = format!("{}{doubts}", NETWORK.split("open:").next().unwrap());
        let network: Network = crate::yaml::parse("n", &text).unwrap();
        for (from, to, port, says) in [
            (None, Some("db"), 5432, "left open"),
            (None, Some("db"), 5433, "denied"),
            (Some("api"), Some("db"), 5432, "allowed"),
            (Some("web"), Some("db"), 5432, "denied"),
            (Some("api"), Some("outside"), 443, "left open"),
            (Some("api"), Some("db"), 5433, "left open"),
            (Some("api"), Some("db"), 1, "denied"),
        ] {
            let question = Question { from, to, port, protocol: Protocol::Tcp };
            assert_eq!(network.expect(question).word(), says, "{from:?} to {to:?} {port}");
            assert_eq!(network.assumed().expect(question).word(), says, "{from:?} to {to:?} {port}");
        }
    }

    #[test]
    fn a_cell_needs_both_of_its_ends() {
        use Protocol::{Tcp, Udp};
        for (from, to, port, protocol, says) in [
            (Some("api"), Some("db"), 5432, Tcp, "allowed: out api; in db"),
            (Some("api"), Some("db"), 5433, Tcp, "denied: no egress row of api lists it"),
            (Some("api"), Some("db"), 5432, Udp, "denied: no egress row of api lists it"),
            (Some("web"), Some("db"), 5432, Tcp, "denied: no egress row of web lists it"),
            (Some("batch"), Some("db"), 5432, Tcp, "allowed: in db"),
            (Some("batch"), Some("db"), 5433, Tcp, "left open: could be meant"),
            (None, Some("db"), 5432, Tcp, "denied: no ingress row of db lists it"),
            (Some("web"), Some("api"), 80, Tcp, "allowed: out web"),
            (None, Some("api"), 80, Tcp, "left open: no row speaks of it"),
            (Some("prometheus"), Some("api"), 9090, Tcp, "allowed: scraped"),
            (Some("api"), Some("dns"), 53, Udp, "allowed: out dns"),
            (Some("batch"), Some("dns"), 53, Udp, "left open: no row speaks of it"),
            (Some("api"), Some("outside"), 443, Tcp, "denied: no egress row of api lists it"),
            (Some("web"), Some("outside"), 443, Tcp, "allowed: out anywhere"),
            (Some("web"), None, 443, Tcp, "allowed: out anywhere"),
            (Some("api"), None, 443, Tcp, "denied: no egress row of api lists it"),
        ] {
            assert_eq!(expected(from, to, port, protocol), says, "{from:?} to {to:?} {port}/{protocol}");
        }
    }
}
