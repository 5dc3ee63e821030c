//! What the leaders of streams and consumers say of their replicas, and what it amounts to. Pure.

use serde::Deserialize;

/// The members by their own names, and every stream as its own leader sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    pub servers: Vec<Server>,
    pub streams: Vec<Stream>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    pub endpoint: String,
    pub name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Stream {
    pub name: String,
    /// Copies, as the stream was configured.
    #[serde(default)]
    pub replicas: u32,
    pub group: Option<Group>,
    #[serde(default)]
    pub consumers: Vec<Consumer>,
    pub error: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Consumer {
    pub name: String,
    pub group: Option<Group>,
    pub error: Option<String>,
}

/// A group of replicas that vote.
#[derive(Debug, Clone, Deserialize)]
pub struct Group {
    pub leader: Option<String>,
    pub followers: Vec<Peer>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Peer {
    pub name: String,
    pub current: bool,
    pub offline: bool,
    pub lag: u64,
}

impl Answer {
    /// # Errors
    /// It is not such an answer.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("no answer about peers: {error}"))
    }

    fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == name)
    }

    pub fn leader_of(&self, stream: &str) -> Option<&str> {
        self.stream(stream)?.group.as_ref()?.leader.as_deref()
    }

    /// The streams that a peer leads.
    pub fn led_by(&self, peer: &str) -> Vec<&str> {
        self.streams.iter().map(|s| s.name.as_str()).filter(|name| self.leader_of(name) == Some(peer)).collect()
    }

    /// Which of `streams` do not have `replicas` copies.
    pub fn not_replicated(&self, streams: &[&str], replicas: u32) -> Vec<String> {
        let wrong = |name: &&str| match self.stream(name) {
            None => Some(format!("there is no stream {name}")),
            Some(stream) if stream.error.is_none() && stream.replicas != replicas => {
                Some(format!("{name} has {} copies, not {replicas}", stream.replicas))
            }
            Some(_) => None,
        };
        streams.iter().filter_map(wrong).collect()
    }

    /// What keeps `streams` and their consumers from being whole: led, and every replica current.
    pub fn not_whole(&self, streams: &[&str]) -> Vec<String> {
        streams
            .iter()
            .flat_map(|name| match self.stream(name) {
                None => vec![format!("there is no stream {name}")],
                Some(stream) => stream.not_whole(),
            })
            .collect()
    }
}

impl Stream {
    fn not_whole(&self) -> Vec<String> {
        let own = lacking(&self.name, self.group.as_ref(), self.error.as_deref(), self.replicas);
        let of_consumers = self.consumers.iter().filter_map(|consumer| {
            let name = format!("consumer {} of {}", consumer.name, self.name);
            lacking(&name, consumer.group.as_ref(), consumer.error.as_deref(), 1)
        });
        own.into_iter().chain(of_consumers).collect()
    }
}

/// What a group of at least `replicas` lacks.
fn lacking(name: &str, group: Option<&Group>, error: Option<&str>, replicas: u32) -> Option<String> {
    if let Some(error) = error {
        return Some(format!("{name}: {error}"));
    }
    // A server without a cluster tells of no group.
    let Some(group) = group else { return (replicas > 1).then(|| format!("{name} is in no cluster")) };
    if group.leader.as_deref().is_none_or(str::is_empty) {
        return Some(format!("{name} has no leader"));
    }
    let is_behind = |peer: &&Peer| !peer.current || peer.offline || peer.lag > 0;
    let behind: Vec<String> = group.followers.iter().filter(is_behind).map(Peer::describe).collect();
    if !behind.is_empty() {
        return Some(format!("{name}: {}", behind.join(", ")));
    }
    let copies = group.followers.len() + 1;
    (copies < replicas as usize).then(|| format!("{name} is on {copies} of {replicas} peers"))
}

impl Peer {
    fn describe(&self) -> String {
        let state = if self.offline { "offline" } else { "not current" };
        format!("{} is {state} (lag {})", self.name, self.lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn follower(name: &str, current: bool, offline: bool, lag: u64) -> Value {
        json!({"name": name, "current": current, "offline": offline, "lag": lag})
    }

    fn answer(leader: Option<&str>, followers: &[Value], consumer: &[Value]) -> Answer {
        let text = json!({
            "servers": [{"endpoint": "tls://a:1", "name": "a"}, {"endpoint": "tls://b:1", "error": "dead"}],
            "streams": [{
                "name": "S", "replicas": 3, "group": {"leader": leader, "followers": followers},
                "consumers": [{"name": "c", "group": {"leader": "a", "followers": consumer}}],
            }],
        });
        Answer::parse(&text.to_string()).unwrap()
    }

    fn fine(name: &str) -> Value {
        follower(name, true, false, 0)
    }

    #[test]
    fn whole_is_led_with_every_replica_current() {
        let [b, c] = [fine("b"), fine("c")];
        for (leader, followers, consumer, expected) in [
            (Some("a"), vec![b.clone(), c.clone()], vec![], None),
            (None, vec![b.clone(), c.clone()], vec![], Some("S has no leader")),
            (Some(""), vec![b.clone(), c.clone()], vec![], Some("S has no leader")),
            (Some("a"), vec![b.clone()], vec![], Some("S is on 2 of 3 peers")),
            (Some("a"), vec![b.clone(), follower("c", false, true, 9)], vec![], Some("S: c is offline (lag 9)")),
            (Some("a"), vec![b.clone(), follower("c", true, false, 2)], vec![], Some("S: c is not current (lag 2)")),
            (
                Some("a"),
                vec![b, c],
                vec![follower("b", false, false, 0)],
                Some("consumer c of S: b is not current (lag 0)"),
            ),
        ] {
            let found = answer(leader, &followers, &consumer).not_whole(&["S"]);
            assert_eq!(found.first().map(String::as_str), expected);
        }
    }

    #[test]
    fn a_stream_that_is_missing_or_silent_is_not_whole() {
        let answer = answer(Some("a"), &[], &[]);
        assert_eq!(answer.not_whole(&["T"]), ["there is no stream T"]);
        let silent = r#"{"servers": [], "streams": [{"name": "S", "error": "no answer"}]}"#;
        assert_eq!(Answer::parse(silent).unwrap().not_whole(&["S"]), ["S: no answer"]);
    }

    #[test]
    fn the_number_of_copies_is_that_of_the_contract() {
        let answer = answer(Some("a"), &[fine("b"), fine("c")], &[]);
        assert!(answer.not_replicated(&["S"], 3).is_empty());
        assert_eq!(answer.not_replicated(&["S", "T"], 5), ["S has 3 copies, not 5", "there is no stream T"]);
    }

    #[test]
    fn streams_are_found_by_their_leader() {
        let answer = answer(Some("a"), &[], &[]);
        assert_eq!(answer.leader_of("S"), Some("a"));
        assert_eq!(answer.led_by("a"), ["S"]);
        assert!(answer.led_by("b").is_empty());
    }
}
