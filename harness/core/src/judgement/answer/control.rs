//! The same clients without any fault.

use super::super::question::{Control, Store};
use super::{NEEDED, told};
use crate::checkers::{Conclusion, jobs, nats, nats_consumer, redis};
use crate::history::{History, Operation};
use crate::verdict::Evidence;

impl Control {
    pub(super) fn answer<'h>(&self, of: impl Fn(&str) -> Option<&'h History>) -> Evidence {
        let mut operations = 0;
        for client in &self.clients {
            let name = &client.name;
            let Some(history) = of(name) else { return Evidence::Missing(format!("no history of {name}")) };
            match self.conclusion(client.uses, history) {
                Conclusion::Clean => operations += history.attempts.len(),
                Conclusion::Found(findings) => {
                    return Evidence::Missing(format!("{name} {WITHOUT} {}", told(&findings)));
                }
                Conclusion::Insufficient(reasons) => {
                    return Evidence::Missing(format!("{name} {WITHOUT} {}", reasons.join("; ")));
                }
            }
        }
        Evidence::Shown(format!("{operations} operations without the fault, nothing lost"))
    }

    fn conclusion(&self, uses: Store, history: &History) -> Conclusion {
        let consumes = || history.attempts.iter().any(|attempt| matches!(attempt.op, Operation::NatsFetch { .. }));
        match uses {
            Store::Redis => redis::check(history, redis::Needs { plain: NEEDED, waited: 0 }).conclude(0.0),
            Store::Jobs => jobs::check(history, NEEDED).conclude(),
            Store::Nats => match nats::check(history, &self.stream, NEEDED).conclude() {
                Conclusion::Clean if consumes() => {
                    nats_consumer::check(history, &self.stream, &self.consumer, NEEDED, &[]).conclude()
                }
                conclusion => conclusion,
            },
        }
    }
}

/// How a control that is not clean begins to say so, after the client's name.
pub const WITHOUT: &str = "without the fault:";
