//! When a container's probes run: the startup probe alone until it has passed, then readiness and liveness side by side.
//!
//! In Kubernetes the first attempt comes at any moment between `initialDelaySeconds` and one period later, since periods
//! are counted from before the container's start. Here the moment is chosen: as soon as an attempt would succeed.

use std::time::Duration;

use embedded_apimachinery::object::int_at;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, MissedTickBehavior};

use super::check::{Dialer, Outcome, ProbeTarget, check};
use super::tracker::{Changed, Kind, Tracker};
use crate::runtime::ContainerRuntime;

/// What probes say of their container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The startup probe has passed, or there is none.
    Started,
    Ready(bool),
    /// An attempt failed: for an `Unhealthy` event, with its message.
    Unhealthy {
        kind: Kind,
        message: String,
    },
    /// The container is to be killed: its liveness or startup probe has failed for good. Nothing follows.
    Dead(Kind),
}

/// Probes a container that has just started, until it is dead or this future is dropped. `container` is its part of the
/// pod's spec. A container without probes is `Started` and `Ready` at once, and this returns.
pub async fn run(
    container: &Value,
    target: &ProbeTarget,
    network: &dyn Dialer,
    runtime: &dyn ContainerRuntime,
    reports: &UnboundedSender<Report>,
) {
    let born = Instant::now();
    let worker = |kind, probe| Worker { kind, probe, target, network, runtime, reports, born };
    if let Some(probe) = container.get("startupProbe")
        && !worker(Kind::Startup, probe).until_passed().await
    {
        return;
    }
    let report = |report| drop(reports.send(report));
    report(Report::Started);
    let readiness = container.get("readinessProbe").map(|probe| worker(Kind::Readiness, probe));
    if readiness.is_none() {
        report(Report::Ready(true));
    }
    let liveness = container.get("livenessProbe").map(|probe| worker(Kind::Liveness, probe));
    match (readiness, liveness) {
        (Some(readiness), Some(liveness)) => tokio::select! {
            () = readiness.readiness() => {}
            () = liveness.until_dead() => {}
        },
        (Some(readiness), None) => readiness.readiness().await,
        (None, Some(liveness)) => liveness.until_dead().await,
        (None, None) => {}
    }
}

/// One probe of one run of a container.
struct Worker<'a> {
    kind: Kind,
    probe: &'a Value,
    target: &'a ProbeTarget,
    network: &'a dyn Dialer,
    runtime: &'a dyn ContainerRuntime,
    reports: &'a UnboundedSender<Report>,
    /// When the container started: initial delays count from there, also behind a startup probe.
    born: Instant,
}

impl Worker<'_> {
    /// Whether the startup probe passed; otherwise the container is reported dead.
    async fn until_passed(self) -> bool {
        let passed = self.follow(|changed| Some(changed == Changed::Passing)).await;
        if !passed {
            let _ = self.reports.send(Report::Dead(self.kind));
        }
        passed
    }

    async fn until_dead(self) {
        self.follow(|changed| (changed == Changed::Failing).then_some(())).await;
        let _ = self.reports.send(Report::Dead(self.kind));
    }

    /// Goes on until it is dropped.
    async fn readiness(self) {
        self.follow(|changed| {
            let _ = self.reports.send(Report::Ready(changed == Changed::Passing));
            None::<()>
        })
        .await;
    }

    /// Probes until `decide` makes something of a change.
    async fn follow<T>(&self, mut decide: impl FnMut(Changed) -> Option<T>) -> T {
        let mut tracker = Tracker::new(self.kind, self.probe);
        if self.await_first_success().await
            && let Some(decided) = tracker.record(&Outcome::Success).and_then(&mut decide)
        {
            return decided;
        }
        let period = period(self.probe);
        let first = self.window_opens() + if self.kind == Kind::Liveness { Duration::ZERO } else { period };
        let next = if tracker.has_counted() { Instant::now() + period } else { first };
        let mut ticks = tokio::time::interval_at(next.max(Instant::now()), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let outcome = self.attempt().await;
            if let Some(message) = message(self.kind, &outcome) {
                let _ = self.reports.send(Report::Unhealthy { kind: self.kind, message });
            }
            if let Some(decided) = tracker.record(&outcome).and_then(&mut decide) {
                return decided;
            }
        }
    }

    /// Attempts in the first period until one succeeds; failures are not counted. Only where one success is enough.
    async fn await_first_success(&self) -> bool {
        let thresholds = int_at(self.probe, "/successThreshold").unwrap_or(1);
        if self.kind == Kind::Liveness || thresholds > 1 {
            return false;
        }
        for after in early_attempts(period(self.probe)) {
            tokio::time::sleep_until(self.window_opens() + after).await;
            if self.attempt().await == Outcome::Success {
                return true;
            }
        }
        false
    }

    /// The earliest moment at which Kubernetes might make the first attempt. For liveness, whose failures only harm, a
    /// whole period after the start where no delay is given.
    fn window_opens(&self) -> Instant {
        let delay = seconds(self.probe, "/initialDelaySeconds");
        let least = if self.kind == Kind::Liveness { period(self.probe) } else { Duration::ZERO };
        self.born + delay.unwrap_or(least)
    }

    async fn attempt(&self) -> Outcome {
        check(self.probe, self.target, self.network, self.runtime).await
    }
}

/// Moments within a period, from dense to sparse. Not at the very start: Kubernetes hardly ever asks then, and what a
/// server answers before it has met its peers may be wrong.
fn early_attempts(period: Duration) -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(Duration::from_secs(1)), |after| Some(*after * 2)).take_while(move |at| *at < period)
}

/// The event's message for an attempt that did not succeed.
fn message(kind: Kind, outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Success => None,
        Outcome::Failure(why) => Some(format!("{kind} probe failed: {why}")),
        Outcome::Errored(why) => Some(format!("{kind} probe errored and resulted in unknown state: {why}")),
    }
}

fn period(probe: &Value) -> Duration {
    seconds(probe, "/periodSeconds").unwrap_or(Duration::from_secs(10))
}

/// A positive number of seconds.
fn seconds(probe: &Value, pointer: &str) -> Option<Duration> {
    let seconds = int_at(probe, pointer).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Loopback, Scripted};
    use super::*;
    use serde_json::json;
    use tokio::sync::mpsc;

    /// What probes report and at which millisecond, until `until` or the end.
    async fn reports(container: Value, exit_codes: &[i32], until: u64) -> Vec<(u64, Report)> {
        let runtime = Scripted::new(exit_codes);
        let target = ProbeTarget::new([127, 0, 0, 1].into(), "c", &container);
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let born = Instant::now();
        let probing = async {
            let probing = run(&container, &target, &Loopback, &runtime, &sender);
            let _ = tokio::time::timeout(Duration::from_millis(until), probing).await;
            drop(sender);
        };
        let collecting = async {
            let mut seen = Vec::new();
            while let Some(report) = receiver.recv().await {
                // Unhealthy attempts are events, tested below.
                if !matches!(report, Report::Unhealthy { .. }) {
                    seen.push((u64::try_from(born.elapsed().as_millis()).unwrap(), report));
                }
            }
            seen
        };
        tokio::join!(probing, collecting).1
    }

    fn exec(extra: Value) -> Value {
        let mut probe = json!({"exec": {"command": ["x"]}, "periodSeconds": 1, "timeoutSeconds": 1});
        probe.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        probe
    }

    #[tokio::test(start_paused = true)]
    async fn containers_without_probes_are_ready_at_once() {
        assert_eq!(reports(json!({}), &[], 10).await, [(0, Report::Started), (0, Report::Ready(true))]);
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_follows_the_probe() {
        let container = json!({"readinessProbe": exec(json!({"failureThreshold": 1, "periodSeconds": 5}))});
        assert_eq!(
            reports(container, &[1, 0, 0, 1], 13_000).await,
            [(0, Report::Started), (2000, Report::Ready(true)), (12_000, Report::Ready(false))]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn other_probes_wait_for_the_startup_probe() {
        let liveness = exec(json!({"initialDelaySeconds": 1, "failureThreshold": 1}));
        let container = json!({"startupProbe": exec(json!({"initialDelaySeconds": 2})), "livenessProbe": liveness});
        assert_eq!(
            reports(container, &[0, 1], 9000).await,
            [(3000, Report::Started), (3000, Report::Ready(true)), (3000, Report::Dead(Kind::Liveness))]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_startup_probe_is_the_end() {
        let container = json!({"startupProbe": exec(json!({"failureThreshold": 2}))});
        assert_eq!(reports(container, &[1, 1], 9000).await, [(2000, Report::Dead(Kind::Startup))]);
    }

    #[tokio::test(start_paused = true)]
    async fn several_successes_come_at_the_probes_own_pace() {
        let container = json!({"readinessProbe": exec(json!({"successThreshold": 2}))});
        assert_eq!(reports(container, &[0, 0], 2500).await, [(0, Report::Started), (2000, Report::Ready(true))]);
    }

    #[test]
    fn early_attempts_grow_sparse_within_the_period() {
        let seconds: Vec<u64> = early_attempts(Duration::from_secs(5)).map(|after| after.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4]);
    }

    #[test]
    fn failed_attempts_are_told_as_kubernetes_tells_them() {
        let failure = Outcome::Failure("HTTP probe failed with statuscode: 503".into());
        assert_eq!(
            message(Kind::Liveness, &failure).unwrap(),
            "Liveness probe failed: HTTP probe failed with statuscode: 503"
        );
        assert_eq!(message(Kind::Readiness, &Outcome::Success), None);
    }
}
