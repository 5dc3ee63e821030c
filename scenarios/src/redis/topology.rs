//! What one node says of its cluster (`CLUSTER NODES`), and what several of them agree on.

use gauntlet_core::history::SLOTS;
use std::collections::BTreeMap;

/// A node as another node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: String,
    /// The address without port, and the announced host name where there is one.
    pub address: String,
    pub hostname: Option<String>,
    pub is_primary: bool,
    pub is_myself: bool,
    /// `fail` or `fail?`: taken for dead, or suspected.
    pub is_failing: bool,
    /// The primary it copies.
    pub primary: Option<String>,
    pub slots: Vec<(u16, u16)>,
}

/// The whole cluster as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    pub nodes: Vec<Node>,
}

impl Topology {
    /// Reads the answer to `CLUSTER NODES`.
    ///
    /// # Errors
    /// A line that is no node.
    pub fn parse(text: &str) -> Result<Self, String> {
        let nodes: Result<Vec<Node>, String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(parse_node).collect();
        let nodes = nodes?;
        if nodes.is_empty() { Err("no nodes".to_owned()) } else { Ok(Self { nodes }) }
    }

    /// Primaries that serve slots.
    pub fn primaries(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_primary && !node.slots.is_empty())
    }

    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Slots that a primary which is not failing serves.
    pub fn served(&self) -> u32 {
        let alive = self.primaries().filter(|node| !node.is_failing);
        alive.flat_map(|node| &node.slots).map(|(from, to)| u32::from(to - from) + 1).sum()
    }

    pub fn serves_all(&self) -> bool {
        self.served() == u32::from(SLOTS)
    }

    /// Who serves a slot.
    pub fn owner(&self, slot: u16) -> Option<&Node> {
        self.primaries().find(|node| node.slots.iter().any(|(from, to)| (*from..=*to).contains(&slot)))
    }
}

fn parse_node(line: &str) -> Result<Node, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [id, address, flags, primary, _, _, _, _, slots @ ..] = words.as_slice() else {
        return Err(format!("not a line of CLUSTER NODES: {line}"));
    };
    // ip:port@bus[,hostname[,aux=…]]
    let mut parts = address.split(',');
    let endpoint = parts.next().unwrap_or_default();
    let hostname = parts.next().filter(|name| !name.is_empty() && !name.contains('=')).map(str::to_owned);
    let flags: Vec<&str> = flags.split(',').collect();
    Ok(Node {
        id: (*id).to_owned(),
        address: endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host).to_owned(),
        hostname,
        is_primary: flags.contains(&"master"),
        is_myself: flags.contains(&"myself"),
        is_failing: flags.contains(&"fail") || flags.contains(&"fail?"),
        primary: (*primary != "-").then(|| (*primary).to_owned()),
        slots: slots
            .iter()
            .filter(|word| !word.starts_with('['))
            .map(|word| parse_slots(word))
            .collect::<Result<_, _>>()?,
    })
}

fn parse_slots(word: &str) -> Result<(u16, u16), String> {
    let (from, to) = word.split_once('-').unwrap_or((word, word));
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("not a range of slots: {word}"));
    Ok((number(from)?, number(to)?))
}

/// Who serves each of the primary's former slots in the eyes of most of `views`, if it is one node, and not `old`.
pub fn successor(views: &[Topology], old: &str, slots: &[(u16, u16)]) -> Option<String> {
    let mut votes: BTreeMap<String, usize> = BTreeMap::new();
    for view in views {
        let mut owners =
            slots.iter().map(|(from, _)| view.owner(*from).filter(|n| !n.is_failing).map(|n| n.id.clone()));
        if let Some(Some(first)) = owners.next()
            && owners.all(|owner| owner.as_deref() == Some(&first))
        {
            *votes.entry(first).or_default() += 1;
        }
    }
    votes.into_iter().find(|(id, n)| id != old && n * 2 > views.len()).map(|(id, _)| id)
}

/// Whether most of `views` see every slot served.
pub fn all_served(views: &[Topology]) -> bool {
    views.iter().filter(|view| view.serves_all()).count() * 2 > views.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaa 10.0.0.1:6379@16379,r-0.svc myself,master - 0 0 1 connected 0-5460\n";
    const B: &str = "bbb 10.0.0.2:6379@16379,r-1.svc master - 0 0 2 connected 5461-10922\n";
    const C: &str = "ccc 10.0.0.3:6379@16379,r-2.svc master - 0 0 3 connected 10923-16383\n";
    const D: &str = "ddd 10.0.0.4:6379@16379,r-3.svc slave bbb 0 0 2 connected\n";
    const B_DEAD: &str = "bbb 10.0.0.2:6379@16379,r-1.svc master,fail - 0 0 2 connected 5461-10922\n";
    const B_LOST: &str = "bbb 10.0.0.2:6379@16379,r-1.svc master,fail - 0 0 2 connected\n";
    const D_PROMOTED: &str = "ddd 10.0.0.4:6379@16379,r-3.svc master - 0 0 4 connected 5461-10922\n";

    fn view(lines: &[&str]) -> Topology {
        Topology::parse(&lines.concat()).unwrap()
    }

    #[test]
    fn nodes_are_read_with_role_name_and_slots() {
        let view = view(&[A, B, C, D]);
        assert_eq!(view.primaries().count(), 3);
        assert_eq!(view.served(), 16_384);
        let replica = view.node("ddd").unwrap();
        assert_eq!(replica.primary.as_deref(), Some("bbb"));
        assert_eq!(replica.hostname.as_deref(), Some("r-3.svc"));
        assert_eq!(replica.address, "10.0.0.4");
        assert!(view.nodes[0].is_myself);
    }

    #[test]
    fn slots_of_a_failing_primary_are_not_served() {
        assert!(!all_served(&[view(&[A, B_DEAD, C, D])]));
        assert!(all_served(&[view(&[A, B_LOST, C, D_PROMOTED])]));
    }

    #[test]
    fn a_successor_needs_the_majority() {
        let (before, after) = (view(&[A, B_DEAD, C, D]), view(&[A, B_LOST, C, D_PROMOTED]));
        let slots = [(5461, 10922)];
        assert_eq!(successor(&[before.clone(), before.clone(), after.clone()], "bbb", &slots), None);
        assert_eq!(successor(&[before, after.clone(), after], "bbb", &slots).as_deref(), Some("ddd"));
    }

    #[test]
    fn single_and_migrating_slots_are_understood() {
        let line = "aaa 10.0.0.1:6379@16379 master - 0 0 1 connected 7 9-10 [93-<-bbb]\n";
        assert_eq!(view(&[line]).nodes[0].slots, [(7, 7), (9, 10)]);
        assert_eq!(view(&[line]).nodes[0].hostname, None);
    }

    #[test]
    fn an_error_reply_is_no_topology() {
        assert!(Topology::parse("NOAUTH Authentication required.").is_err());
        assert!(Topology::parse("").is_err());
    }
}
