//! What a node sends, delayed, lost or limited: by the queue of its own network device, which `tc` in the node changes.

use super::outage::{docker_does, runs};
use crate::traffic::{Counters, Effect};
use gauntlet_core::Trouble;
use std::path::Path;

/// The device by which a node reaches the others.
const DEVICE: &str = "eth0";

/// What is held back of what exceeds a rate, in packets; the rest is lost.
const HELD_BACK: &str = "20";

/// Puts an effect in the place of what is there.
pub async fn shape(docker: &Path, node: &str, effect: Effect) -> Result<(), Trouble> {
    let effect = netem(effect);
    let queue = ["exec", node, "tc", "qdisc", "replace", "dev", DEVICE, "root", "netem"];
    let arguments: Vec<&str> = queue.into_iter().chain(effect.iter().map(String::as_str)).collect();
    let shaped = docker_does(docker, &arguments).await.map(drop);
    shaped.map_err(|trouble| trouble.hint("this machine's kernel must have netem: `modprobe sch_netem`"))
}

/// Takes it away. A node that was started meanwhile has forgotten it.
pub async fn unshape(docker: &Path, node: &str) -> Result<(), Trouble> {
    if !runs(docker, node).await? || !is_shaped(&queue(docker, node).await?) {
        return Ok(());
    }
    docker_does(docker, &["exec", node, "tc", "qdisc", "del", "dev", DEVICE, "root"]).await.map(drop)
}

/// What became of packets so far.
pub async fn counters(docker: &Path, node: &str) -> Result<Counters, Trouble> {
    let said = queue(docker, node).await?;
    read(&said).ok_or_else(|| Trouble::harness(format!("what {node} sends is not shaped: {}", said.trim())))
}

async fn queue(docker: &Path, node: &str) -> Result<String, Trouble> {
    docker_does(docker, &["exec", node, "tc", "-s", "qdisc", "show", "dev", DEVICE, "root"]).await
}

fn is_shaped(queue: &str) -> bool {
    queue.trim_start().starts_with("qdisc netem ")
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
fn read(queue: &str) -> Option<Counters> {
    if !is_shaped(queue) {
        return None;
    }
    let words: Vec<&str> = queue.split_whitespace().collect();
    let before = |word: &str| words.windows(2).find(|pair| pair[1] == word)?[0].parse::<u64>().ok();
    let dropped = words.windows(2).find(|pair| pair[0] == "(dropped")?[1].trim_end_matches(',').parse().ok()?;
    let passed = before("pkt")?;
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

    #[test]
    fn counters_are_read_as_tc_prints_them() {
        let counters = |seen, dropped, delayed| Some(Counters { seen, dropped, delayed });
        let passed = " Sent 980 bytes 10 pkt (dropped 2, overlimits 0 requeues 0)\n backlog 0b 0p requeues 0\n";
        let late = "qdisc netem 8001: root refcnt 3 limit 1000 delay 200ms  50ms\n";
        let lossy = "qdisc netem 8002: root refcnt 3 limit 1000 loss 5%\n";
        let none = "qdisc noqueue 0: root refcnt 2\n";
        assert_eq!(read(&format!("{late}{passed}")), counters(12, 2, 10));
        assert_eq!(read(&format!("{lossy}{passed}")), counters(12, 2, 0));
        assert_eq!(read(&format!("{none}{passed}")), None);
        assert_eq!(read(""), None);
    }
}
