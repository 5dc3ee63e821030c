//! What stores and pipelines owe their clients.

use super::super::question::{Consumer, Jobs, Messages, Writes};
use super::words::{count, of_all, was};
use super::{Answer, CONSUMER_CHECK, Came, NEEDED, concluded, judged, told};
use crate::checkers::{Conclusion, jobs, nats, nats_consumer, redis};
use crate::history::History;

impl Writes {
    pub(super) fn answer(&self, history: Option<&History>, answer: &mut Answer) {
        let (store, promise) = (self.client.as_str(), self.promise.as_str());
        let Some(history) = history else {
            let check = format!("{store}: acknowledged writes are there");
            return answer.rule(promise, &check, Came::unknown("no history"));
        };
        let waited = if self.has_replicas { NEEDED } else { 0 };
        let report = redis::check(history, redis::Needs { plain: NEEDED, waited });
        let (lost, allowed) = (report.lost_waited.len() as u64, self.allowance.replicated);
        answer.figure(format!("{store}: replicated writes lost"), lost as f64, "writes", Some(allowed as f64));
        let broken = (lost > allowed).then(|| {
            let (number, all, were) = (count(lost), count(report.waited.acked), was(lost));
            let plainly = format!("{number} of {all} writes to {store} that a replica had acknowledged {were} lost");
            Came::broken(told(&report.lost_waited), format!("{plainly}; {allowed} may be"))
        });
        let held = format!("{lost} of {} lost, {allowed} allowed", report.waited.acked);
        let check = "writes that a replica acknowledged are there";
        if broken.is_some() {
            answer.show(history, store, check, &report.lost_waited);
        }
        answer.rule(promise, check, judged(broken, &report.insufficient, held));

        let percent = report.plain.share_lost().unwrap_or(0.0) * 100.0;
        let allowed = self.allowance.plain_percent;
        answer.figure(format!("{store}: acknowledged writes lost"), percent, "%", Some(allowed));
        let share =
            format!("{} of {} lost ({percent:.3} %), {allowed} % allowed", report.plain.lost, report.plain.acked);
        let broken = (percent > allowed).then(|| {
            let (number, all) = (count(report.plain.lost), count(report.plain.acked));
            let were = was(report.plain.lost);
            let plainly = format!("{number} of {all} acknowledged writes to {store} {were} lost ({percent:.3} %)");
            Came::broken(format!("{share}: {}", told(&report.lost_plain)), format!("{plainly}; {allowed} % may be"))
        });
        let check = "plainly acknowledged writes are there";
        if broken.is_some() {
            answer.show(history, store, check, &report.lost_plain);
        }
        answer.rule(promise, check, judged(broken, &report.insufficient, share));

        let broken = (!report.phantoms.is_empty()).then(|| {
            let number = report.phantoms.len() as u64;
            let plainly = format!("{store} holds {} that nobody wrote", values(number));
            Came::broken(told(&report.phantoms), plainly)
        });
        answer.rule(promise, "no value is there that nobody wrote", judged(broken, &[], "none".to_owned()));
    }
}

impl Messages {
    pub(super) fn answer(&self, history: &History, answer: &mut Answer) -> Came {
        let report = nats::check(history, &self.stream, NEEDED);
        let conclusion = report.conclude();
        if let Conclusion::Found(findings) = &conclusion {
            answer.show(history, &self.client, &self.check, findings);
        }
        concluded(conclusion, format!("all {} of them", report.published.acked), |findings| {
            of_all(report.published.acked, &format!("messages that {} had acknowledged", self.client), findings)
        })
    }
}

impl Consumer {
    pub(super) fn answer(&self, history: &History, answer: &mut Answer) -> Came {
        let report = nats_consumer::check(history, &self.stream, &self.consumer, NEEDED, &self.excused);
        let forgotten = report.forgotten;
        answer.figure(format!("{}: acknowledgements forgotten", self.client), forgotten as f64, "messages", None);
        let conclusion = report.conclude();
        if let Conclusion::Found(findings) = &conclusion {
            answer.show(history, &self.client, CONSUMER_CHECK, findings);
        }
        concluded(
            conclusion,
            format!("{} confirmed, {forgotten} of them forgotten with their leader", report.confirmed),
            |findings| of_all(report.confirmed, &format!("messages that a consumer of {} had", self.client), findings),
        )
    }
}

impl Jobs {
    pub(super) fn answer(&self, history: &History, answer: &mut Answer) -> Came {
        let report = jobs::check(history, NEEDED);
        let conclusion = report.conclude();
        if let Conclusion::Found(findings) = &conclusion {
            answer.show(history, &self.client, &self.check, findings);
        }
        concluded(conclusion, format!("all {} of them", report.accepted.acked), |findings| {
            of_all(report.accepted.acked, "accepted jobs", findings)
        })
    }
}

fn values(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "value" } else { "values" })
}
