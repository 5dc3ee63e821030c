//! Whether and why a Job is over.

use chrono::{DateTime, Utc};
use embedded_apimachinery::object::{self, int_at, list_at, str_at};
use serde_json::Value;

use super::indexes::Indexes;
use super::tally::Tally;
use super::{deadline, failure_policy, is_suspended};

/// The end that a Job is heading for. It is reached when its last pod is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub succeeds: bool,
    pub reason: String,
    pub message: String,
}

impl Verdict {
    fn failure(reason: &str, message: impl Into<String>) -> Option<Self> {
        Some(Self { succeeds: false, reason: reason.into(), message: message.into() })
    }

    fn success(reason: &str, message: impl Into<String>) -> Option<Self> {
        Some(Self { succeeds: true, reason: reason.into(), message: message.into() })
    }

    /// The condition that tells it before the end, and the one that tells it at the end.
    pub fn conditions(&self) -> (&'static str, &'static str) {
        if self.succeeds { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") }
    }
}

/// A verdict once noted stands.
pub fn of(job: &Value, tally: &Tally, now: DateTime<Utc>) -> Option<Verdict> {
    noted(job)
        .or_else(|| failed_by_policy(job, tally))
        .or_else(|| out_of_retries(job, tally))
        .or_else(|| late(job, now))
        .or_else(|| failed_by_indexes(job, tally))
        .or_else(|| succeeded_by_policy(job, tally))
        .or_else(|| complete(job, tally))
}

fn noted(job: &Value) -> Option<Verdict> {
    let noted = |kind: &str| object::condition(job, kind).filter(|c| str_at(c, "/status") == "True");
    let verdict = |condition: &Value, succeeds| Verdict {
        succeeds,
        reason: str_at(condition, "/reason").to_owned(),
        message: str_at(condition, "/message").to_owned(),
    };
    noted("FailureTarget").map(|c| verdict(c, false)).or_else(|| noted("SuccessCriteriaMet").map(|c| verdict(c, true)))
}

fn failed_by_policy(job: &Value, tally: &Tally) -> Option<Verdict> {
    let message = tally.newly_failed.iter().find_map(|pod| failure_policy::fatal(job, pod))?;
    Verdict::failure("PodFailurePolicy", message)
}

fn out_of_retries(job: &Value, tally: &Tally) -> Option<Verdict> {
    let limit = int_at(job, "/spec/backoffLimit").unwrap_or(6);
    let restarts = restarts(job, tally);
    let exceeded = tally.failed > int_at(job, "/status/failed").unwrap_or(0) && tally.failed > limit;
    if exceeded || (restarts > 0 && restarts >= limit) {
        return Verdict::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    None
}

/// With `restartPolicy: OnFailure`, restarts inside the pods count against the limit.
fn restarts(job: &Value, tally: &Tally) -> i64 {
    if str_at(job, "/spec/template/spec/restartPolicy") != "OnFailure" {
        return 0;
    }
    let alive = |pod: &&embedded_apimachinery::Object| matches!(str_at(pod, "/status/phase"), "Running" | "Pending");
    let statuses = tally.all.iter().filter(alive).flat_map(|pod| {
        list_at(pod, "/status/initContainerStatuses").iter().chain(list_at(pod, "/status/containerStatuses"))
    });
    statuses.filter_map(|status| int_at(status, "/restartCount")).sum()
}

fn late(job: &Value, now: DateTime<Utc>) -> Option<Verdict> {
    deadline(job).filter(|deadline| *deadline <= now)?;
    Verdict::failure("DeadlineExceeded", "Job was active longer than specified deadline")
}

fn failed_by_indexes(job: &Value, tally: &Tally) -> Option<Verdict> {
    let failed = tally.failed_indexes.len();
    let exceeds = |limit: i64| usize::try_from(limit).is_ok_and(|limit| failed > limit);
    if int_at(job, "/spec/maxFailedIndexes").is_some_and(exceeds) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Verdict::failure("MaxFailedIndexesExceeded", message);
    }
    let all = usize::try_from(int_at(job, "/spec/completions")?).ok()?;
    if failed > 0 && failed + tally.succeeded_indexes.len() >= all {
        return Verdict::failure("FailedIndexes", "Job has failed indexes");
    }
    None
}

fn succeeded_by_policy(job: &Value, tally: &Tally) -> Option<Verdict> {
    let completions = int_at(job, "/spec/completions").unwrap_or(0);
    let met = |rule: &Value| {
        let wanted = rule.get("succeededIndexes").and_then(Value::as_str);
        let counted = match wanted {
            None => tally.succeeded_indexes.len(),
            Some(text) => {
                let wanted = Indexes::parse(text, completions);
                wanted.iter().filter(|index| tally.succeeded_indexes.contains(*index)).count()
            }
        };
        let all = || wanted.map_or(usize::MAX, |text| Indexes::parse(text, completions).len());
        let needed = int_at(rule, "/succeededCount").and_then(|n| usize::try_from(n).ok()).unwrap_or_else(all);
        counted >= needed
    };
    let rule = list_at(job, "/spec/successPolicy/rules").iter().position(met)?;
    Verdict::success("SuccessPolicy", format!("Matched rules at index {rule}"))
}

/// Enough pods succeeded; without a number of completions one is enough once the others have ended too.
fn complete(job: &Value, tally: &Tally) -> Option<Verdict> {
    let enough = match int_at(job, "/spec/completions") {
        Some(completions) => tally.succeeded >= completions && (completions > 0 || !is_suspended(job)),
        None => tally.succeeded > 0,
    };
    if enough && tally.active.is_empty() {
        return Verdict::success("CompletionsReached", "Reached expected number of succeeded pods");
    }
    None
}
