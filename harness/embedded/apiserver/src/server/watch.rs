//! Watches: one JSON line per event, for as long as the client listens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use embedded_apimachinery::{EventType, Object, Result, Status, WatchEvent, Watcher, object};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use rand::Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval};
use tokio_util::sync::CancellationToken;

use super::fields::{self, Selection};
use super::negotiate::Form;
use super::query::ListQuery;
use super::read::bad_version;
use super::respond::{self, Answer};
use super::show::Show;
use super::{Call, Server};
use crate::catalog::Resource;
use crate::tables::IncludeObject;

/// How often a quiet watch is told how far it is.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// Watches without a timeout end after this many seconds, spread so that they do not all return at once.
const LIFETIME: std::ops::Range<u64> = 1800..3600;

pub fn watch(
    server: &Server,
    call: &Call,
    resource: &Arc<Resource>,
    form: Form,
    include: IncludeObject,
) -> Result<Answer> {
    let mut query = ListQuery::parse(&call.query, true)?;
    fields::check(resource, &query.fields)?;
    if !call.info.name.is_empty() {
        query.fields.terms.push(("metadata.name".into(), call.info.name.clone(), true));
    }
    let version = match query.version.as_str() {
        "" => 0,
        text => text.parse().map_err(|_| Status::new(500, "", bad_version(text)))?,
    };
    let selection = Selection { labels: query.labels.clone(), fields: query.fields.clone() };
    let namespace = call.list_namespace(resource);
    let initial = query.send_initial_events.unwrap_or(version == 0);
    let (existing, from) = if initial {
        let (mut objects, revision) = server.api.store.list(resource.stored_id(), namespace);
        objects.retain(|o| selection.matches(o));
        (objects.into(), revision)
    } else {
        (VecDeque::new(), version)
    };
    let watcher = server.api.store.watch(resource.stored_id(), namespace, from);
    let lifetime = query.timeout_seconds.unwrap_or_else(|| rand::rng().random_range(LIFETIME));
    let (watcher, failure) = match watcher {
        Ok(watcher) => (Some(watcher), None),
        Err(status) => (None, Some(status)),
    };
    let now = Instant::now();
    let events = Events {
        resource: resource.clone(),
        form,
        include,
        selection,
        existing,
        closing_bookmark: (query.send_initial_events == Some(true)).then_some(from),
        watcher,
        failure,
        bookmarks: query.bookmarks.then(|| tokio::time::interval_at(now + BOOKMARKS, BOOKMARKS)),
        end: now + Duration::from_secs(lifetime),
        shutdown: server.shutdown.clone(),
        first: true,
    };
    let stream = futures::stream::unfold(events, |mut events| async move {
        let line = events.next().await?;
        Some((Ok(Frame::data(line)), events))
    });
    Ok(respond::with_type(200, StreamBody::new(stream).boxed_unsync(), respond::JSON))
}

const REPLICATED: [&str; 3] = ["deployments", "replicasets", "statefulsets"];

/// One watch on its way to one client.
struct Events {
    resource: Arc<Resource>,
    form: Form,
    include: IncludeObject,
    selection: Selection,
    /// What existed when the watch began and is still to be sent.
    existing: VecDeque<Object>,
    /// The revision to confirm once all that has been sent.
    closing_bookmark: Option<u64>,
    watcher: Option<Watcher>,
    failure: Option<Status>,
    bookmarks: Option<Interval>,
    end: Instant,
    shutdown: CancellationToken,
    first: bool,
}

impl Events {
    /// The next chunk, with all events that are ready; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        const CHUNK: usize = 64 * 1024;
        let mut chunk = Vec::new();
        while let Some(object) = self.existing.pop_front() {
            self.write(&mut chunk, "ADDED", &object);
            if chunk.len() >= CHUNK {
                return Some(chunk.into());
            }
        }
        if self.failure.is_none()
            && let Some(revision) = self.closing_bookmark.take()
        {
            let bookmark = self.bookmark(revision, true);
            self.write(&mut chunk, "BOOKMARK", &bookmark);
        }
        while chunk.is_empty() {
            if let Some(failure) = self.failure.take() {
                self.watcher = None;
                return Some(error_line(&failure));
            }
            let event = self.wait().await?;
            self.push(&mut chunk, event);
        }
        // What else is there already goes out together.
        while chunk.len() < CHUNK
            && self.failure.is_none()
            && let Some(watcher) = &mut self.watcher
        {
            match watcher.try_next() {
                Ok(Some(event)) => self.push(&mut chunk, Step::Event(Box::new(event))),
                Ok(None) => break,
                Err(status) => self.failure = Some(status),
            }
        }
        Some(chunk.into())
    }

    async fn wait(&mut self) -> Option<Step> {
        let watcher = self.watcher.as_mut()?;
        let bookmark = async {
            match &mut self.bookmarks {
                Some(interval) => interval.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            () = tokio::time::sleep_until(self.end) => None,
            event = watcher.next() => Some(match event {
                Ok(event) => Step::Event(Box::new(event)),
                Err(status) => Step::Failed(status),
            }),
            _ = bookmark => Some(Step::Bookmark),
        }
    }

    fn push(&mut self, chunk: &mut Vec<u8>, step: Step) {
        match step {
            Step::Failed(status) => self.failure = Some(status),
            Step::Bookmark => {
                let revision = self.watcher.as_ref().map_or(0, Watcher::delivered);
                let bookmark = self.bookmark(revision, false);
                self.write(chunk, "BOOKMARK", &bookmark);
            }
            Step::Event(event) => {
                if let Some((kind, object)) = seen_through(&self.selection, &event) {
                    self.write(chunk, kind, &object);
                }
            }
        }
    }

    fn write(&mut self, chunk: &mut Vec<u8>, kind: &str, object: &Value) {
        let show = Show { resource: &self.resource, form: self.form, include: self.include };
        chunk.extend(show.event(kind, object, self.first));
        self.first = false;
    }

    /// An object of the kind that says nothing but how far the watch is.
    fn bookmark(&self, revision: u64, initial: bool) -> Value {
        let mut object = json!({"kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": {}});
        if let Some(schema) = &self.resource.schema {
            schema.canonicalize(&mut object);
        }
        if REPLICATED.contains(&&*self.resource.id.resource) {
            // Kubernetes makes bookmarks of its internal types, which do not omit these.
            object["spec"]["replicas"] = 0.into();
            object["spec"]["selector"] = Value::Null;
        }
        let mut meta = json!({"resourceVersion": revision.to_string()});
        if initial {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        object["metadata"] = meta;
        object
    }
}

enum Step {
    Event(Box<WatchEvent>),
    Bookmark,
    Failed(Status),
}

/// An event as somebody sees it who selects: what leaves the selection is deleted, what enters it is added.
fn seen_through(selection: &Selection, event: &WatchEvent) -> Option<(&'static str, Object)> {
    let before = event.previous.as_ref().filter(|o| selection.matches(o));
    let is = event.kind != EventType::Deleted && selection.matches(&event.object);
    match (before, is) {
        (None, true) => Some(("ADDED", event.object.clone())),
        (Some(_), true) => Some(("MODIFIED", event.object.clone())),
        (Some(_), false) if event.kind == EventType::Deleted => Some(("DELETED", event.object.clone())),
        (Some(last), false) => {
            let mut last = Value::clone(last);
            object::metadata_mut(&mut last).insert("resourceVersion".into(), event.revision.to_string().into());
            Some(("DELETED", Object::new(last)))
        }
        (None, false) => None,
    }
}

fn error_line(status: &Status) -> Bytes {
    let mut line = json!({"type": "ERROR", "object": status.to_value()}).to_string();
    line.push('\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::selector::LabelSelector;

    #[test]
    fn leaving_a_selection_is_a_deletion() {
        let labels = LabelSelector::parse("app=a").unwrap();
        let selection = Selection { labels, ..Selection::default() };
        let object = |label: &str| Object::new(json!({"metadata": {"name": "x", "labels": {"app": label}}}));
        let event = |before: Option<&str>, after: &str, kind| WatchEvent {
            revision: 9,
            kind,
            object: object(after),
            previous: before.map(object),
        };
        for (event, expected) in [
            (event(None, "a", EventType::Added), Some("ADDED")),
            (event(Some("a"), "a", EventType::Modified), Some("MODIFIED")),
            (event(Some("a"), "z", EventType::Modified), Some("DELETED")),
            (event(Some("z"), "a", EventType::Modified), Some("ADDED")),
            (event(Some("z"), "z", EventType::Deleted), None),
            (event(Some("a"), "a", EventType::Deleted), Some("DELETED")),
        ] {
            assert_eq!(seen_through(&selection, &event).map(|(kind, _)| kind), expected);
        }
    }
}
