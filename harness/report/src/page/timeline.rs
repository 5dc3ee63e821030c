//! What the charts of one scenario draw: times in milliseconds from its zero, lists of one value per second.

use crate::story::{At, Story};
use gauntlet_core::timeline::{PodState, Series};
use gauntlet_core::{Check, Outcome};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub struct Timeline {
    /// Milliseconds since 1970 of the moment that all times are told from.
    zero_ms: u64,
    from: i64,
    to: i64,
    phases: Vec<Span>,
    faults: Vec<Span>,
    pods: Vec<Pod>,
    events: Vec<Tick>,
    actions: Vec<Tick>,
    moments: Vec<Moment>,
    /// The seconds that the lists of all clients are about.
    seconds: Vec<f64>,
    clients: Vec<Client>,
}

#[derive(Serialize)]
struct Span {
    from: i64,
    to: i64,
    text: String,
}

#[derive(Serialize)]
struct Pod {
    name: String,
    namespace: String,
    /// Whether it ever was anything but what it was at the start.
    changed: bool,
    spans: Vec<PodSpan>,
}

#[derive(Serialize)]
struct PodSpan {
    from: i64,
    to: i64,
    state: PodState,
    title: &'static str,
    detail: Option<String>,
    node: Option<String>,
}

#[derive(Serialize)]
struct Tick {
    at: i64,
    text: String,
    warning: bool,
}

#[derive(Serialize)]
struct Moment {
    at: i64,
    text: String,
    /// Whether this is when the promise was broken; otherwise only when that was found.
    exact: bool,
}

#[derive(Serialize)]
pub struct Client {
    pub name: String,
    groups: Vec<Group>,
}

/// One client, or one group of its operations. Without a value: nobody worked in that second.
#[derive(Serialize)]
struct Group {
    name: Option<String>,
    ok: Vec<Option<u32>>,
    failed: Vec<Option<u32>>,
    unknown: Vec<Option<u32>>,
    p50: Vec<Option<f64>>,
    p95: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
}

const SECOND: u64 = 1000;

impl Timeline {
    /// `checks` are those of the scenario's verdict, `last_ms` the run's last event.
    pub fn of(story: &Story, checks: &[Check], last_ms: u64) -> Self {
        let end_ms = story.to_ms.unwrap_or(last_ms).max(story.from_ms + SECOND);
        let axis = Axis { zero_ms: story.zero_ms(), end_ms };
        let (first, count) = axis.seconds(story);
        let seconds = (0..count).map(|n| axis.at(first + n as u64 * SECOND) as f64 / 1000.0).collect();
        Self {
            zero_ms: axis.zero_ms,
            from: axis.at(story.from_ms),
            to: axis.at(end_ms),
            phases: axis.phases(story),
            faults: axis.faults(story),
            pods: story.pods.iter().map(|((namespace, name), seen)| axis.pod(namespace, name, seen)).collect(),
            events: axis.events(story),
            actions: axis.actions(story),
            moments: axis.moments(story, checks),
            seconds,
            clients: clients(&story.series, first, count),
        }
    }

    pub fn to_json(&self) -> String {
        super::embedded(self)
    }
}

struct Axis {
    zero_ms: u64,
    end_ms: u64,
}

impl Axis {
    fn at(&self, ms: u64) -> i64 {
        i64::try_from(ms).unwrap_or(i64::MAX) - i64::try_from(self.zero_ms).unwrap_or(0)
    }

    /// The first second of the axis (since 1970) and how many there are, so that every series fits.
    fn seconds(&self, story: &Story) -> (u64, usize) {
        let from = story.series.iter().map(|s| s.from_ms).chain([story.from_ms]).min().unwrap_or(0) / SECOND * SECOND;
        let end_of = |s: &Series| s.from_ms + s.ok.len() as u64 * s.step_ms;
        let to = story.series.iter().map(end_of).chain([self.end_ms]).max().unwrap_or(from);
        (from, usize::try_from((to - from).div_ceil(SECOND)).unwrap_or(0))
    }

    fn phases(&self, story: &Story) -> Vec<Span> {
        let ends = story.phases.iter().skip(1).map(|(at, _)| *at).chain([self.end_ms]);
        let span = |((at, phase), end): (&At<_>, u64)| Span {
            from: self.at(*at),
            to: self.at(end),
            text: gauntlet_core::event::Phase::title(*phase).to_owned(),
        };
        story.phases.iter().zip(ends).map(span).collect()
    }

    fn faults(&self, story: &Story) -> Vec<Span> {
        let span = |fault: &crate::story::FaultWindow| Span {
            from: self.at(fault.from_ms),
            to: self.at(fault.healed_ms.unwrap_or(self.end_ms)),
            text: fault.fault.clone(),
        };
        story.faults.iter().map(span).collect()
    }

    fn pod(&self, namespace: &str, name: &str, seen: &[At<gauntlet_core::timeline::PodSeen>]) -> Pod {
        let ends = seen.iter().skip(1).map(|(at, _)| *at).chain([self.end_ms]);
        let span = |((at, seen), end): (&At<gauntlet_core::timeline::PodSeen>, u64)| PodSpan {
            from: self.at(*at),
            to: self.at(end),
            state: seen.state,
            title: seen.state.title(),
            detail: seen.detail.clone(),
            node: seen.node.clone(),
        };
        Pod {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            changed: seen.len() > 1,
            spans: seen.iter().zip(ends).map(span).collect(),
        }
    }

    fn events(&self, story: &Story) -> Vec<Tick> {
        let tick = |(at, event): &At<gauntlet_core::timeline::KubernetesEvent>| {
            let times = if event.count > 1 { format!(" (×{})", event.count) } else { String::new() };
            let text = format!("{} {}: {}{times}", event.about, event.reason, event.message);
            Tick { at: self.at(*at), text, warning: event.warning }
        };
        story.events.iter().map(tick).collect()
    }

    /// Every moment that was told, and of the other broken checks when that was found.
    fn moments(&self, story: &Story, checks: &[Check]) -> Vec<Moment> {
        let exact = story.broken(checks).map(|violation| Moment {
            at: self.at(violation.at_ms),
            text: format!("{} ({})", violation.what, violation.check),
            exact: true,
        });
        let broken = checks.iter().filter(|check| check.outcome == Outcome::Broken);
        let found = broken.filter_map(|check| {
            let (at_ms, _) = story.moment(&check.name).filter(|(_, exact)| !exact)?;
            Some(Moment { at: self.at(at_ms), text: check.name.clone(), exact: false })
        });
        exact.chain(found).collect()
    }

    fn actions(&self, story: &Story) -> Vec<Tick> {
        let injected = story.faults.iter().map(|fault| (fault.from_ms, format!("inject: {}", fault.fault)));
        let healed = story.faults.iter().filter_map(|f| Some((f.healed_ms?, format!("healed: {}", f.fault))));
        let mut all: Vec<At<String>> = injected.chain(healed).chain(story.actions.iter().cloned()).collect();
        all.sort();
        all.into_iter().map(|(at, text)| Tick { at: self.at(at), text, warning: false }).collect()
    }
}

fn clients(series: &[Series], first_ms: u64, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = Vec::new();
    let mut by_client: BTreeMap<(&str, Option<&str>), Group> = BTreeMap::new();
    for one in series {
        if !clients.iter().any(|client| client.name == one.client) {
            clients.push(Client { name: one.client.clone(), groups: vec![] });
        }
        let group = by_client.entry((&one.client, one.group.as_deref())).or_insert_with(|| Group::new(one, count));
        group.lay(one, first_ms);
    }
    for ((name, _), group) in by_client {
        if let Some(client) = clients.iter_mut().find(|client| client.name == name) {
            client.groups.push(group);
        }
    }
    clients
}

impl Group {
    fn new(series: &Series, count: usize) -> Self {
        Self {
            name: series.group.clone(),
            ok: vec![None; count],
            failed: vec![None; count],
            unknown: vec![None; count],
            p50: vec![None; count],
            p95: vec![None; count],
            p99: vec![None; count],
        }
    }

    /// Puts one part of the scenario where it belongs. Parts that overlap in a second add up; the latency is that of the
    /// later part.
    fn lay(&mut self, series: &Series, first_ms: u64) {
        for n in 0..series.ok.len() {
            let ms = series.from_ms + n as u64 * series.step_ms;
            let Ok(at) = usize::try_from(ms.saturating_sub(first_ms) / SECOND) else { continue };
            for (to, from) in
                [(&mut self.ok, &series.ok), (&mut self.failed, &series.failed), (&mut self.unknown, &series.unknown)]
            {
                if let (Some(to), Some(from)) = (to.get_mut(at), from.get(n)) {
                    *to = Some(to.unwrap_or(0) + from);
                }
            }
            for (to, from) in
                [(&mut self.p50, &series.p50_ms), (&mut self.p95, &series.p95_ms), (&mut self.p99, &series.p99_ms)]
            {
                if let (Some(to), Some(from)) = (to.get_mut(at), from.get(n).copied().flatten()) {
                    *to = Some(from);
                }
            }
        }
    }
}

/// Totals of one client, for a table.
pub fn totals(series: &[Series]) -> Vec<(String, String, u64, u64, u64)> {
    let sum = |list: &[u32]| list.iter().map(|n| u64::from(*n)).sum::<u64>();
    let whole = series.iter().filter(|series| series.group.is_none());
    whole.map(|s| (s.client.clone(), s.part.clone(), sum(&s.ok), sum(&s.failed), sum(&s.unknown))).collect()
}
