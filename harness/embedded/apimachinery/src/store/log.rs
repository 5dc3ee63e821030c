//! The newest writes, for watchers that resume.
//!
//! Watchers are almost always at the end. Older writes are kept as JSON text, which takes a tenth of the memory of the
//! objects, and are read again for the few that ask for them.

use std::collections::VecDeque;

use serde_json::Value;

use super::{EventType, LOG_LIMIT, WatchEvent};
use crate::object::{self, Object};
use crate::resource::GroupResource;

/// How many of the newest writes are kept as objects.
const LIVE: usize = 512;

struct Entry {
    resource: GroupResource,
    namespace: String,
    revision: u64,
    kind: EventType,
    state: State,
}

enum State {
    Live { object: Object, previous: Option<Object> },
    Packed { object: Box<[u8]>, previous: Option<Box<[u8]>> },
}

/// Consecutive revisions, the newest last.
pub(super) struct Log {
    entries: VecDeque<Entry>,
    /// Revisions up to this one are gone.
    pub compacted: u64,
}

impl Log {
    pub fn new(compacted: u64) -> Self {
        Self { entries: VecDeque::new(), compacted }
    }

    pub fn push(&mut self, resource: &GroupResource, event: WatchEvent) {
        self.entries.push_back(Entry {
            resource: resource.clone(),
            namespace: object::namespace(&event.object).to_owned(),
            revision: event.revision,
            kind: event.kind,
            state: State::Live { object: event.object, previous: event.previous },
        });
        if self.entries.len() > LOG_LIMIT
            && let Some(dropped) = self.entries.pop_front()
        {
            self.compacted = dropped.revision;
        }
        let aged = self.entries.len().checked_sub(LIVE + 1);
        if let Some(entry) = aged.and_then(|index| self.entries.get_mut(index)) {
            entry.pack();
        }
    }

    /// Writes to `resource` after revision `from`, oldest first.
    pub fn since(&self, resource: &GroupResource, namespace: Option<&str>, from: u64) -> Vec<WatchEvent> {
        // Revisions are consecutive, so the position in the log follows from the revision.
        let skip = usize::try_from(from.saturating_sub(self.compacted)).unwrap_or(usize::MAX).min(self.entries.len());
        let entries = self.entries.range(skip..).filter(|entry| entry.resource == *resource);
        entries.filter(|entry| namespace.is_none_or(|ns| entry.namespace == ns)).map(Entry::event).collect()
    }
}

impl Entry {
    fn pack(&mut self) {
        if let State::Live { object, previous } = &self.state {
            let text = |object: &Object| object.to_string().into_bytes().into_boxed_slice();
            self.state = State::Packed { object: text(object), previous: previous.as_ref().map(text) };
        }
    }

    fn event(&self) -> WatchEvent {
        // What was written as JSON is JSON.
        let read = |text: &[u8]| Object::new(serde_json::from_slice::<Value>(text).unwrap_or_default());
        let (object, previous) = match &self.state {
            State::Live { object, previous } => (object.clone(), previous.clone()),
            State::Packed { object, previous } => (read(object), previous.as_deref().map(read)),
        };
        WatchEvent { revision: self.revision, kind: self.kind, object, previous }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::PODS;
    use serde_json::json;

    #[test]
    fn old_writes_read_as_they_were_written() {
        let mut log = Log::new(0);
        let object = |n: u64| Object::new(json!({"metadata": {"name": "p", "namespace": "ns"}, "n": n}));
        for n in 1..=LIVE as u64 * 2 {
            let previous = (n > 1).then(|| object(n - 1));
            log.push(&PODS, WatchEvent { revision: n, kind: EventType::Modified, object: object(n), previous });
        }
        assert!(matches!(log.entries[0].state, State::Packed { .. }));
        assert!(matches!(log.entries[LIVE].state, State::Live { .. }));
        let events = log.since(&PODS, Some("ns"), 0);
        assert_eq!(events.len(), LIVE * 2);
        for (event, n) in events.iter().zip(1..) {
            assert_eq!((event.revision, &event.object["n"]), (n, &json!(n)));
            assert_eq!(event.previous.as_ref().map(|o| o["n"].clone()), (n > 1).then(|| json!(n - 1)));
        }
        assert!(log.since(&PODS, Some("other"), 0).is_empty());
    }
}
