//! Which keys to look at, and when.
//!
//! Pure: the time is an argument. A key waits at most once in line and at most once for a moment to come; it belongs
//! to one worker, so nothing can be added while it is being looked at, and no wake-up is lost.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use embedded_apimachinery::ObjectKey;

/// First wait after a failure; doubles with each failure in a row.
const FIRST_BACKOFF: Duration = Duration::from_millis(5);
/// Kubernetes waits up to 1000 s. Clusters that live for minutes must not sit out that long after a cause is gone.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// A look that took this long, or less, costs no rest.
const CHEAP: Duration = Duration::from_millis(1);
/// A key rests this many times as long as its last look took: keys with many objects are looked at once per burst of
/// changes instead of once per change.
const REST_FACTOR: u32 = 4;
/// However slow the machine is, a change is looked at after this time.
pub const LONGEST_REST: Duration = Duration::from_millis(500);

#[derive(Default)]
pub struct Queue {
    ready: VecDeque<ObjectKey>,
    in_line: HashSet<ObjectKey>,
    timers: BTreeSet<(Instant, ObjectKey)>,
    timer_of: HashMap<ObjectKey, Instant>,
    failures: HashMap<ObjectKey, u32>,
    rests_until: HashMap<ObjectKey, Instant>,
}

impl Queue {
    /// In line for the next look, unless it is already, or as soon as it has rested.
    pub fn add(&mut self, key: ObjectKey, now: Instant) {
        match self.rests_until.get(&key) {
            Some(until) if *until > now => self.add_at(key, *until),
            _ => {
                if self.in_line.insert(key.clone()) {
                    self.ready.push_back(key);
                }
            }
        }
    }

    /// In line when that time has come; the earlier of two such wishes counts.
    pub fn add_at(&mut self, key: ObjectKey, at: Instant) {
        match self.timer_of.get(&key) {
            Some(earlier) if *earlier <= at => return,
            Some(later) => {
                self.timers.remove(&(*later, key.clone()));
            }
            None => {}
        }
        self.timer_of.insert(key.clone(), at);
        self.timers.insert((at, key));
    }

    /// The next key to look at. Whatever it was waiting for besides is forgotten: the look will say again.
    pub fn pop(&mut self, now: Instant) -> Option<ObjectKey> {
        while let Some((at, key)) = self.timers.first().cloned()
            && at <= now
        {
            self.drop_timer(&key);
            self.rests_until.remove(&key);
            self.add(key, now);
        }
        let key = self.ready.pop_front()?;
        self.in_line.remove(&key);
        self.drop_timer(&key);
        Some(key)
    }

    /// When the next timer is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The look at this key failed: again after a wait that grows.
    pub fn failed(&mut self, key: &ObjectKey, now: Instant) {
        let failures = self.failures.entry(key.clone()).or_default();
        let wait = FIRST_BACKOFF.saturating_mul(1 << (*failures).min(20)).min(LONGEST_BACKOFF);
        *failures += 1;
        self.add_at(key.clone(), now + wait);
    }

    pub fn succeeded(&mut self, key: &ObjectKey) {
        self.failures.remove(key);
    }

    /// Tells how long the look at this key took.
    pub fn took(&mut self, key: &ObjectKey, duration: Duration, now: Instant) {
        if duration > CHEAP {
            self.rests_until.insert(key.clone(), now + (duration * REST_FACTOR).min(LONGEST_REST));
        } else {
            self.rests_until.remove(key);
        }
    }

    fn drop_timer(&mut self, key: &ObjectKey) {
        if let Some(at) = self.timer_of.remove(key) {
            self.timers.remove(&(at, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("ns", name)
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_key_waits_in_line_once() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(key("a"), now);
        queue.add(key("b"), now);
        queue.add(key("a"), now);
        assert_eq!(queue.pop(now), Some(key("a")));
        queue.add(key("a"), now);
        assert_eq!(queue.pop(now), Some(key("b")));
        assert_eq!(queue.pop(now), Some(key("a")));
        assert_eq!(queue.pop(now), None);
    }

    #[test]
    fn the_earlier_timer_counts() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add_at(key("a"), now + ms(50));
        queue.add_at(key("a"), now + ms(20));
        queue.add_at(key("a"), now + ms(90));
        assert_eq!(queue.next_due(), Some(now + ms(20)));
        assert_eq!(queue.pop(now + ms(19)), None);
        assert_eq!(queue.pop(now + ms(20)), Some(key("a")));
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn waits_after_failures_double_up_to_a_limit_and_start_over_after_success() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let wait_after_failure = |queue: &mut Queue| {
            queue.failed(&key("a"), now);
            let wait = queue.next_due().unwrap() - now;
            assert_eq!(queue.pop(now + wait), Some(key("a")));
            wait
        };
        assert_eq!(wait_after_failure(&mut queue), ms(5));
        assert_eq!(wait_after_failure(&mut queue), ms(10));
        for _ in 0..40 {
            wait_after_failure(&mut queue);
        }
        assert_eq!(wait_after_failure(&mut queue), LONGEST_BACKOFF);
        queue.succeeded(&key("a"));
        assert_eq!(wait_after_failure(&mut queue), ms(5));
    }

    #[test]
    fn an_expensive_key_rests_but_is_not_forgotten() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.took(&key("a"), ms(10), now);
        queue.add(key("a"), now);
        assert_eq!(queue.pop(now), None);
        assert_eq!(queue.pop(now + ms(40)), Some(key("a")));
        queue.took(&key("a"), ms(1), now);
        queue.add(key("a"), now);
        assert_eq!(queue.pop(now), Some(key("a")));
    }
}
