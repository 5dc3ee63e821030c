//! Packets that wait: each until its time, in the order of their conversation.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::Wait;

/// More packets than this are not held: a queue of a real network is not endless either.
const LIMIT: usize = 50_000;

/// When more conversations than this are remembered, those with nothing on its way are forgotten.
const CONVERSATIONS: usize = 1024;

/// Addresses, protocol and, where it has them, ports, as they stand in the packet.
type Conversation = [u8; 13];

/// The packets of one delay.
pub struct Held {
    wait: Wait,
    /// By when they are due, and in the order of their coming.
    packets: BTreeMap<(Instant, u64), Vec<u8>>,
    count: u64,
    /// When the last packet of a conversation is due.
    last: HashMap<Conversation, Instant>,
}

impl Held {
    pub fn new(wait: Wait) -> Self {
        Self { wait, packets: BTreeMap::new(), count: 0, last: HashMap::new() }
    }

    /// Holds a packet that came `now`; false when there are too many. `chance` from 0 to 1 chooses within the jitter.
    pub fn hold(&mut self, packet: &[u8], now: Instant, chance: f64) -> bool {
        if self.packets.len() >= LIMIT {
            return false;
        }
        let own = now + between(self.wait, chance);
        let last = self.last.entry(conversation(packet)).or_insert(own);
        *last = own.max(*last);
        self.packets.insert((*last, self.count), packet.to_vec());
        self.count += 1;
        if self.last.len() > CONVERSATIONS {
            self.last.retain(|_, due| *due > now);
        }
        true
    }

    /// The next packet that is due.
    pub fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let entry = self.packets.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.packets.first_key_value().map(|((due, _), _)| *due)
    }
}

fn between(wait: Wait, chance: f64) -> Duration {
    let shortest = wait.delay.saturating_sub(wait.jitter);
    shortest + (wait.delay + wait.jitter).saturating_sub(shortest).mul_f64(chance)
}

fn conversation(packet: &[u8]) -> Conversation {
    let mut all = Conversation::default();
    let header = usize::from(packet.first().map_or(0, |first| first & 0x0f)) * 4;
    let parts = [packet.get(12..20), packet.get(9..10), packet.get(header..header + 4)];
    let mut at = 0;
    for (part, length) in parts.into_iter().zip([8, 1, 4]) {
        if let Some(part) = part {
            all[at..at + length].copy_from_slice(part);
        }
        at += length;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A UDP packet of the conversation of a port.
    fn packet(port: u8, word: u8) -> Vec<u8> {
        let mut packet = vec![0; 29];
        (packet[0], packet[9], packet[23], packet[28]) = (0x45, 17, port, word);
        packet
    }

    fn wait(delay: u32, jitter: u32) -> Wait {
        Wait { delay: MS * delay, jitter: MS * jitter }
    }

    #[test]
    fn packets_wait_for_their_time_and_no_longer() {
        let (mut held, now) = (Held::new(wait(100, 0)), Instant::now());
        assert!(held.hold(&packet(1, 7), now, 0.9));
        assert_eq!(held.next_due(), Some(now + MS * 100));
        assert_eq!(held.due(now + MS * 99), None);
        assert_eq!(held.due(now + MS * 100), Some(packet(1, 7)));
        assert_eq!((held.due(now + MS * 200), held.next_due()), (None, None));
    }

    #[test]
    fn jitter_goes_both_ways_and_never_below_nothing() {
        for (delay, jitter, chance, expected) in
            [(100, 20, 0.0, 80), (100, 20, 0.5, 100), (100, 20, 1.0, 120), (10, 20, 0.0, 0), (10, 20, 1.0, 30)]
        {
            assert_eq!(between(wait(delay, jitter), chance), MS * expected, "{delay} {jitter} {chance}");
        }
    }

    #[test]
    fn no_packet_overtakes_one_of_its_own_conversation() {
        let (mut held, now) = (Held::new(wait(100, 50)), Instant::now());
        for (port, word, chance) in [(1, 1, 1.0), (1, 2, 0.0), (2, 3, 0.0)] {
            assert!(held.hold(&packet(port, word), now, chance));
        }
        let order: Vec<u8> = std::iter::from_fn(|| held.due(now + MS * 150)).map(|packet| packet[28]).collect();
        assert_eq!(order, [3, 1, 2]);
    }

    #[test]
    fn conversations_with_nothing_on_its_way_are_forgotten() {
        let (mut held, now) = (Held::new(wait(1, 0)), Instant::now());
        for n in 0..=u16::try_from(CONVERSATIONS).unwrap() {
            let mut packet = packet(0, 0);
            packet[20..22].copy_from_slice(&n.to_be_bytes());
            assert!(held.hold(&packet, now + MS * u32::from(n), 0.0));
        }
        assert!(held.last.len() < 10, "{}", held.last.len());
    }

    #[test]
    fn fragments_of_headers_are_no_trouble() {
        for length in 0..20 {
            assert!(Held::new(wait(1, 0)).hold(&packet(1, 1)[..length], Instant::now(), 0.0));
        }
    }
}
