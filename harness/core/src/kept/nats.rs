//! Messages and consumers of streams.

use super::Differences;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Streams by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsDump {
    pub streams: BTreeMap<String, Stream>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    pub replicas: u64,
    pub subjects: Vec<String>,
    /// By sequence.
    pub messages: BTreeMap<u64, Message>,
    pub consumers: BTreeMap<String, Consumer>,
}

/// The digest is of headers and payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub subject: String,
    pub digest: String,
    /// Written to be kept, and by nobody else.
    pub ours: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Of its configuration, without what a server adds of its own.
    pub config: String,
    pub acknowledged: u64,
    pub delivered: u64,
    pub pending_acks: u64,
}

impl NatsDump {
    /// What of `self` is not in `now` as it was. Later messages and other consumers are no difference.
    pub fn against(&self, now: &Self) -> Differences {
        let mut differences = Differences::default();
        for (name, before) in &self.streams {
            match now.streams.get(name) {
                None => differences.push(name, format!("stream {name}"), super::GONE),
                Some(after) => before.differences(name, after, &mut differences),
            }
        }
        differences
    }

    /// How much that is, in words.
    pub fn told(&self) -> String {
        let streams = self.streams.len();
        format!("{} messages and {} consumers in {streams} streams", self.messages(), self.consumers())
    }

    pub fn messages(&self) -> usize {
        self.streams.values().map(|stream| stream.messages.len()).sum()
    }

    /// Messages that were written to be kept.
    pub fn ours(&self) -> usize {
        self.streams.values().flat_map(|stream| stream.messages.values()).filter(|message| message.ours).count()
    }

    pub fn consumers(&self) -> usize {
        self.streams.values().map(|stream| stream.consumers.len()).sum()
    }
}

impl Stream {
    fn differences(&self, name: &str, now: &Self, differences: &mut Differences) {
        if self.replicas != now.replicas {
            differences.push(
                name,
                format!("stream {name}"),
                format!("has {} replicas and had {}", now.replicas, self.replicas),
            );
        }
        if self.subjects != now.subjects {
            differences.push(name, format!("stream {name}"), "takes other subjects");
        }
        for (sequence, before) in &self.messages {
            let what = format!("message {sequence}");
            match now.messages.get(sequence) {
                None => differences.push(name, what, super::GONE),
                Some(after) if after.subject != before.subject => {
                    differences.push(
                        name,
                        what,
                        format!("has the subject {} and had {}", after.subject, before.subject),
                    );
                }
                Some(after) if after.digest != before.digest => {
                    differences.push(name, what, "has other headers or another payload");
                }
                Some(_) => {}
            }
        }
        for (consumer, before) in &self.consumers {
            let what = format!("consumer {consumer}");
            match now.consumers.get(consumer) {
                None => differences.push(name, what, super::GONE),
                Some(after) if after.config != before.config => {
                    differences.push(name, what, "has another configuration");
                }
                Some(after) if after != before => {
                    let state = |c: &Consumer| {
                        format!(
                            "acknowledged {}, delivered {}, waiting {}",
                            c.acknowledged, c.delivered, c.pending_acks
                        )
                    };
                    differences.push(name, what, format!("stands at {} and stood at {}", state(after), state(before)));
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        let message = |subject: &str| Message { subject: subject.into(), digest: "d".into(), ours: true };
        let consumer = Consumer { config: "c".into(), acknowledged: 1, delivered: 2, pending_acks: 1 };
        Stream {
            replicas: 3,
            subjects: vec!["s.>".into()],
            messages: BTreeMap::from([(1, message("s.a")), (2, message("s.b"))]),
            consumers: BTreeMap::from([("worker".into(), consumer)]),
        }
    }

    fn dump(stream: Stream) -> NatsDump {
        NatsDump { streams: BTreeMap::from([("S".into(), stream)]) }
    }

    fn told(change: impl FnOnce(&mut Stream)) -> String {
        let mut after = stream();
        change(&mut after);
        dump(stream()).against(&dump(after)).to_string()
    }

    #[test]
    fn what_is_the_same_or_came_later_is_no_difference() {
        let mut after = stream();
        after.messages.insert(3, Message { subject: "s.c".into(), digest: "d".into(), ours: true });
        after.consumers.insert("other".into(), Consumer::default());
        assert!(dump(stream()).against(&dump(after)).is_empty());
    }

    #[test]
    fn every_part_of_messages_and_consumers_counts() {
        for (told, expected) in [
            (told(|s| drop(s.messages.remove(&1))), "message 1 is gone"),
            (told(|s| s.messages.get_mut(&1).unwrap().subject = "s.x".into()), "message 1 has the subject s.x"),
            (told(|s| s.messages.get_mut(&2).unwrap().digest = "e".into()), "message 2 has other headers"),
            (told(|s| drop(s.consumers.remove("worker"))), "consumer worker is gone"),
            (told(|s| s.consumers.get_mut("worker").unwrap().acknowledged = 0), "worker stands at acknowledged 0"),
            (told(|s| s.consumers.get_mut("worker").unwrap().config = "d".into()), "another configuration"),
            (told(|s| s.replicas = 1), "has 1 replicas and had 3"),
            (told(|s| s.subjects.clear()), "takes other subjects"),
        ] {
            assert!(told.contains(expected), "{told}");
        }
        assert!(dump(stream()).against(&NatsDump::default()).to_string().contains("stream S is gone"));
    }
}
