//! What is said to the agent on a node and what it answers: powers over pods that the Kubernetes API does not give.
//!
//! One request is one line of JSON, and so is its answer. Every request also renews the lease: an agent that hears nothing
//! for the length of its lease undoes everything by itself.

use serde::{Deserialize, Serialize};

/// What a node's agent is asked. All of it can be asked again without harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Request {
    /// Nothing but to go on.
    Renew,
    /// Kill a container's processes, and let those that are started in their place stand still.
    Hold(Container),
    /// Let what was started in the meantime go on; [`Answer::NotInEffect`] when it was not held.
    Release(Container),
    /// What the processes of a container do.
    Look(Container),
    /// Put a fault into effect in the networks of pods; one with the same id is replaced, its counters go on.
    Disturb { id: String, rules: Vec<Rule> },
    /// Take a fault away; [`Answer::NotInEffect`] when it was not there.
    Restore { id: String },
    /// What a fault has done so far.
    Count { id: String },
    /// The rules and routes of the node's own network.
    Network,
    /// Try a connection from within a pod's network.
    Dial { pod: String, address: String, within_ms: u64 },
}

/// A container of a pod on the node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Container {
    /// The pod's UID: a pod that takes its place is another.
    pub pod: String,
    pub container: String,
}

/// What becomes of packets in the network of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rule {
    /// The UID of the pod whose network it is.
    pub pod: String,
    pub way: Way,
    /// Addresses or blocks of the other side.
    pub peers: Vec<String>,
    pub ports: Vec<u16>,
    /// Which end the ports are of; without ports it says nothing.
    pub ports_of: End,
    pub effect: PacketEffect,
}

/// The way of packets, seen from the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    In,
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    Source,
    Destination,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacketEffect {
    Cut,
    #[serde(rename_all = "kebab-case")]
    Loss {
        percent: u8,
    },
    /// What exceeds this much is lost.
    #[serde(rename_all = "kebab-case")]
    Rate {
        kilobytes_per_second: u32,
    },
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Done,
    /// There was nothing to undo: it was undone before, or never done.
    NotInEffect,
    /// A container is held no more; for so long, at the most, has what was started in its
    /// place run while it was.
    #[serde(rename_all = "kebab-case")]
    Released {
        ran_ms: u64,
    },
    /// Of a container's processes: how many run, and how many were made to stand still since they were started.
    #[serde(rename_all = "kebab-case")]
    Processes {
        running: usize,
        still: usize,
    },
    #[serde(rename_all = "kebab-case")]
    Packets {
        seen: u64,
        dropped: u64,
    },
    Dialled(Dialled),
    Text(String),
    /// Why it could not be done.
    Failed(String),
}

/// What became of a connection that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialled {
    Open,
    /// The other side was reached, and nobody listens there.
    Refused,
    /// Nothing was heard.
    Timeout,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_survive_the_way_there_and_back() {
        let container = Container { pod: "u".into(), container: "c".into() };
        let rule = Rule {
            pod: "u".into(),
            way: Way::In,
            peers: vec!["10.0.0.1".into()],
            ports: vec![1],
            ports_of: End::Source,
            effect: PacketEffect::Rate { kilobytes_per_second: 9 },
        };
        for request in [
            Request::Renew,
            Request::Hold(container),
            Request::Disturb { id: "a".into(), rules: vec![rule] },
            Request::Dial { pod: "u".into(), address: "[::1]:80".into(), within_ms: 5 },
        ] {
            let line = serde_json::to_string(&request).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request, "{line}");
        }
        for answer in [
            Answer::Done,
            Answer::Released { ran_ms: 7 },
            Answer::Processes { running: 0, still: 2 },
            Answer::Dialled(Dialled::Refused),
        ] {
            let line = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer, "{line}");
        }
    }
}
