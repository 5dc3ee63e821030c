//! Counters and histograms in Prometheus's text format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

/// Upper bounds of the buckets of every histogram, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// One family's label pairs, as they are written.
type Labels = String;

#[derive(Default)]
pub struct Metrics {
    families: Mutex<BTreeMap<&'static str, Family>>,
}

enum Family {
    Counter(BTreeMap<Labels, u64>),
    Histogram(BTreeMap<Labels, Histogram>),
}

#[derive(Clone, Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

impl Metrics {
    /// Counts one event.
    pub fn count(&self, name: &'static str, labels: &[(&str, &str)]) {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if let Family::Counter(series) = families.entry(name).or_insert_with(|| Family::Counter(BTreeMap::new())) {
            *series.entry(written(labels)).or_default() += 1;
        }
    }

    /// Notes how long something took.
    pub fn observe(&self, name: &'static str, labels: &[(&str, &str)], took: Duration) {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        if let Family::Histogram(series) = families.entry(name).or_insert_with(|| Family::Histogram(BTreeMap::new())) {
            let histogram = series.entry(written(labels)).or_default();
            let seconds = took.as_secs_f64();
            histogram.count += 1;
            histogram.sum += seconds;
            for (bucket, bound) in histogram.buckets.iter_mut().zip(BUCKETS) {
                *bucket += u64::from(seconds <= bound);
            }
        }
    }

    /// All of it, as scraped.
    pub fn text(&self) -> String {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        for (name, family) in families.iter() {
            write_family(&mut out, name, family);
        }
        out
    }

    /// `GET /metrics`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().route("/metrics", get(answer)).with_state(self.clone())
    }
}

async fn answer(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.text())
}

fn written(labels: &[(&str, &str)]) -> Labels {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect::<Vec<_>>().join(",")
}

// Writing to a String does not fail.
fn write_family(out: &mut String, name: &str, family: &Family) {
    match family {
        Family::Counter(series) => {
            let _ = writeln!(out, "# TYPE {name} counter");
            for (labels, count) in series {
                let _ = writeln!(out, "{name}{{{labels}}} {count}");
            }
        }
        Family::Histogram(series) => {
            let _ = writeln!(out, "# TYPE {name} histogram");
            for (labels, histogram) in series {
                let comma = if labels.is_empty() { "" } else { "," };
                for (bucket, bound) in histogram.buckets.iter().zip(BUCKETS) {
                    let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {bucket}");
                }
                let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", histogram.count);
                let _ = writeln!(out, "{name}_sum{{{labels}}} {}", histogram.sum);
                let _ = writeln!(out, "{name}_count{{{labels}}} {}", histogram.count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_histograms_are_written_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics.count("a_total", &[("pool", "x\"y")]);
        metrics.count("a_total", &[("pool", "x\"y")]);
        metrics.observe("b_seconds", &[], Duration::from_millis(20));
        let text = metrics.text();
        assert!(text.contains("# TYPE a_total counter\na_total{pool=\"x\\\"y\"} 2\n"), "{text}");
        assert!(text.contains("b_seconds_bucket{le=\"0.01\"} 0\n"), "{text}");
        assert!(text.contains("b_seconds_bucket{le=\"0.025\"} 1\n"), "{text}");
        assert!(
            text.contains("b_seconds_bucket{le=\"+Inf\"} 1\nb_seconds_sum{} 0.02\nb_seconds_count{} 1\n"),
            "{text}"
        );
    }
}
