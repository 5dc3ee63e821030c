//! What a node sends, delayed, lost or limited: by the queue of its own network device, which `tc` in the node changes.
//!
//! Which device that is changes when a node is disconnected and connected again. So our queue has a number of its own, and
//! is found by it on whatever device it is.

use super::outage::{Power, docker_does, power};
use crate::traffic::{Counters, Effect};
use gauntlet_core::Trouble;
use std::path::Path;

/// The number of our queue among those of a node, which others have their own of.
const OURS: &str = "6a6e:";

/// What is held back of what exceeds a rate, in packets; the rest is lost.
const HELD_BACK: &str = "20";

/// Puts an effect on the device by which a node reaches the others, in the place of what is there.
pub async fn shape(docker: &Path, node: &str, effect: Effect) -> Result<(), Trouble> {
    // A queue that is changed keeps what it counted and what nothing is said of.
    unshape(docker, node).await?;
    let routes = in_node(docker, node, &["ip", "-oneline", "route", "show", "default"]).await?;
    let device = leaving_by(&routes).ok_or_else(|| {
        let found = routes.trim();
        Trouble::harness(format!("what {node} sends cannot be shaped: it has no default route, but `{found}`"))
            .hint("see whether it is connected to kind's network: `docker inspect` lists its networks")
    })?;
    let effect = netem(effect);
    let queue = ["tc", "qdisc", "replace", "dev", device, "root", "handle", OURS, "netem"];
    let arguments: Vec<&str> = queue.into_iter().chain(effect.iter().map(String::as_str)).collect();
    let shaped = in_node(docker, node, &arguments).await.map(drop);
    shaped.map_err(|trouble| trouble.hint("this machine's kernel must have netem: `modprobe sch_netem`"))
}

/// Takes it away, from whatever device has it. A node that was started meanwhile has forgotten it.
///
/// # Errors
/// The node is paused, so that nothing can be changed on it; or what it said.
pub async fn unshape(docker: &Path, node: &str) -> Result<(), Trouble> {
    match power(docker, node).await? {
        Power::Off => return Ok(()),
        Power::Paused => {
            return Err(Trouble::harness(format!("{node} is paused, so its queues can be neither seen nor changed"))
                .hint(format!("let it go on with `docker unpause {node}`, and try again")));
        }
        Power::Running => {}
    }
    for device in ours(&queues(docker, node).await?).iter().filter_map(|queue| queue.device) {
        in_node(docker, node, &["tc", "qdisc", "del", "dev", device, "root"]).await?;
    }
    Ok(())
}

/// What became of packets so far, where our queue is there.
pub async fn counters(docker: &Path, node: &str) -> Result<Option<Counters>, Trouble> {
    let said = queues(docker, node).await?;
    let unread = || Trouble::harness(format!("what a queue of {node} has counted cannot be read: {}", said.trim()));
    ours(&said).first().map(|queue| read(queue).ok_or_else(unread)).transpose()
}

async fn queues(docker: &Path, node: &str) -> Result<String, Trouble> {
    in_node(docker, node, &["tc", "-s", "qdisc", "show"]).await
}

async fn in_node(docker: &Path, node: &str, command: &[&str]) -> Result<String, Trouble> {
    docker_does(docker, &[&["exec", node][..], command].concat()).await
}

/// The word that follows another.
fn after<'a>(words: &[&'a str], word: &str) -> Option<&'a str> {
    words.windows(2).find(|pair| pair[0] == word).map(|pair| pair[1])
}

/// The device of the first default route, which is the one that is taken.
fn leaving_by(routes: &str) -> Option<&str> {
    let route = routes.lines().find(|route| route.starts_with("default "))?;
    after(&route.split_whitespace().collect::<Vec<_>>(), "dev")
}

/// A queue as `tc` tells of it.
struct Queue<'a> {
    device: Option<&'a str>,
    words: Vec<&'a str>,
}

/// Our queues among all of a node.
fn ours(queues: &str) -> Vec<Queue<'_>> {
    // Each begins a line, and what it has counted follows on others.
    let mut found: Vec<Vec<&str>> = Vec::new();
    for line in queues.lines() {
        match found.last_mut() {
            Some(queue) if !line.starts_with("qdisc ") => queue.extend(line.split_whitespace()),
            _ => found.push(line.split_whitespace().collect()),
        }
    }
    let ours = found.into_iter().filter(|words| words.starts_with(&["qdisc", "netem", OURS]));
    ours.map(|words| Queue { device: after(&words, "dev"), words }).collect()
}

/// The effect as `tc` is told it.
fn netem(effect: Effect) -> Vec<String> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    match effect {
        Effect::Cut => words("loss 100%".to_owned()),
        Effect::Loss { percent } => words(format!("loss {percent}%")),
        Effect::Delay { ms, jitter_ms: 0 } => words(format!("delay {ms}ms")),
        Effect::Delay { ms, jitter_ms } => words(format!("delay {ms}ms {jitter_ms}ms")),
        Effect::Rate { kilobytes_per_second } => {
            words(format!("rate {}kbit limit {HELD_BACK}", u64::from(kilobytes_per_second) * 8))
        }
    }
}

/// `tc` says `Sent 980 bytes 10 pkt (dropped 2, overlimits 0 requeues 0)` of what has passed.
fn read(queue: &Queue<'_>) -> Option<Counters> {
    let words = &queue.words;
    let passed = words.windows(2).find(|pair| pair[1] == "pkt")?[0].parse::<u64>().ok()?;
    let dropped = after(words, "(dropped")?.trim_end_matches(',').parse().ok()?;
    let delayed = if words.contains(&"delay") { passed } else { 0 };
    Some(Counters { seen: passed + dropped, dropped, delayed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_effect_is_told_as_tc_takes_it() {
        for (effect, expected) in [
            (Effect::Cut, "loss 100%"),
            (Effect::Loss { percent: 5 }, "loss 5%"),
            (Effect::Delay { ms: 200, jitter_ms: 0 }, "delay 200ms"),
            (Effect::Delay { ms: 200, jitter_ms: 50 }, "delay 200ms 50ms"),
            (Effect::Rate { kilobytes_per_second: 10 }, "rate 80kbit limit 20"),
        ] {
            assert_eq!(netem(effect).join(" "), expected);
        }
    }

    const SENT: &str = " Sent 980 bytes 10 pkt (dropped 2, overlimits 0 requeues 0)\n backlog 0b 0p requeues 0\n";

    #[test]
    fn counters_are_read_as_tc_prints_them() {
        let counters = |seen, dropped, delayed| Some(Counters { seen, dropped, delayed });
        for (queue, expected) in [
            ("qdisc netem 6a6e: dev eth0 root refcnt 3 limit 1000 delay 200ms  50ms\n", counters(12, 2, 10)),
            ("qdisc netem 6a6e: dev eth1 root refcnt 3 limit 1000 loss 5%\n", counters(12, 2, 0)),
            // Of others nothing is told.
            ("qdisc netem 8001: dev eth0 root refcnt 3 limit 1000 loss 5%\n", None),
            ("qdisc noqueue 0: dev eth0 root refcnt 2\n", None),
        ] {
            let before = format!("qdisc noqueue 0: dev veth1 root refcnt 2\n{}", SENT.replace("10 pkt", "7 pkt"));
            let said = format!("{before}{queue}{SENT}");
            assert_eq!(ours(&said).first().and_then(read), expected, "{queue}");
        }
        assert!(ours("").is_empty());
    }

    #[test]
    fn our_queue_is_found_on_whatever_device_it_is() {
        let other =
            "qdisc netem 8001: dev veth3 root refcnt 2 limit 1000 loss 5%\nqdisc noqueue 0: dev eth1 root refcnt 2\n";
        let devices = |said: &str| -> Vec<String> {
            ours(said).iter().filter_map(|queue| queue.device.map(str::to_owned)).collect()
        };
        assert!(devices(other).is_empty());
        for device in ["eth0", "eth1"] {
            let said = format!("{other}{SENT}qdisc netem 6a6e: dev {device} root refcnt 3 limit 1000 loss 5%\n{SENT}");
            assert_eq!(devices(&said), [device]);
        }
    }

    #[test]
    fn a_node_is_left_by_the_device_of_its_default_route() {
        for (routes, expected) in [
            ("default via 172.18.0.1 dev eth0 \n", Some("eth0")),
            // As it is after the node was disconnected and connected again.
            ("default via 172.18.0.1 dev eth1 \n", Some("eth1")),
            ("default dev eth2 scope link metric 5\ndefault via 10.0.0.1 dev eth3 metric 100\n", Some("eth2")),
            ("10.244.1.0/24 via 172.18.0.4 dev eth0 \n", None),
            ("", None),
        ] {
            assert_eq!(leaving_by(routes), expected, "{routes:?}");
        }
    }
}
