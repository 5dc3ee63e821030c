//! What a person has to know first: every broken promise, and whatever else did not pass.

use super::document::Citation;
use super::view::anchor;
use super::words::sentence;
use crate::broken::{self, Broken, shortened};
use crate::story::{Run, offset};
use crate::summary::ScenarioOutcome;
use gauntlet_core::{Check, Verdict};

/// One thing that a person has to know first.
pub struct Failure {
    pub word: &'static str,
    pub sentence: String,
    pub detail: String,
    /// What else was broken of the same promise in the same scenario.
    pub also: Vec<String>,
    pub says: Option<String>,
    pub cited: Option<Citation>,
    pub tried: Option<String>,
    pub anchor: Option<String>,
    pub when: Option<String>,
}

pub fn failures(run: &Run) -> Vec<Failure> {
    let broken = run.summary.outcomes.iter().filter(|o| matches!(o.verdict, Verdict::Failed { .. }));
    let broken = broken.flat_map(|outcome| broken_promises(run, outcome));
    let troubles = run.summary.troubles.iter().map(|trouble| Failure {
        word: "inconclusive",
        sentence: format!("Gauntlet could not {}", trouble.stage.title()),
        detail: trouble.message.clone(),
        also: vec![],
        says: None,
        cited: None,
        tried: (!trouble.hints.is_empty()).then(|| trouble.hints.join("; ")),
        anchor: None,
        when: None,
    });
    let open = run.summary.outcomes.iter().filter(|o| matches!(o.verdict, Verdict::Inconclusive { .. }));
    let open = open.map(|outcome| Failure {
        word: "inconclusive",
        sentence: format!("It could not be told whether {} holds", outcome.scenario),
        detail: outcome.verdict.reasons().join("\n"),
        also: outcome.guesses().iter().map(|guess| shortened(guess)).collect(),
        says: None,
        cited: None,
        tried: run.story(&outcome.scenario).map(|story| sentence(&story.says)).filter(|says| !says.is_empty()),
        anchor: Some(anchor(&outcome.scenario)),
        when: None,
    });
    let unjudged = run.summary.unjudged().into_iter().map(|name| Failure {
        word: "inconclusive",
        sentence: format!("{name} has no verdict"),
        detail: "the run ended before it was judged".to_owned(),
        also: vec![],
        says: None,
        cited: None,
        tried: None,
        anchor: run.story(name).map(|story| anchor(&story.name)),
        when: None,
    });
    broken.chain(troubles).chain(open).chain(unjudged).collect()
}

fn broken_promises<'a>(run: &'a Run, outcome: &'a ScenarioOutcome) -> Vec<Failure> {
    let story = run.story(&outcome.scenario);
    let moment = |check: &Check| story.and_then(|story| story.moment(&check.name)).filter(|(_, exact)| *exact);
    let failure = |broken: &Broken<'_>| Failure {
        word: "failed",
        sentence: broken.sentence(),
        detail: shortened(&sentence(&broken::seen(broken.lead))),
        also: broken.others.iter().map(|check| also(check)).collect(),
        // Where nothing else is told, the sentence is the promise.
        says: broken.says.filter(|_| broken.lead.told.is_some()).map(str::to_owned),
        cited: Some(Citation::of(&broken.lead.promise, &broken.lead.reference)),
        tried: story.map(|story| sentence(&story.says)).filter(|says| !says.is_empty()),
        anchor: Some(anchor(&outcome.scenario)),
        when: moment(broken.lead).zip(story).map(|((at_ms, _), story)| offset(at_ms, story.zero_ms())),
    };
    // The check of which the moment is known says most.
    broken::of(&run.summary, outcome, |check| moment(check).is_some()).iter().map(failure).collect()
}

fn also(check: &Check) -> String {
    shortened(&check.told.clone().unwrap_or_else(|| sentence(&broken::seen(check))))
}
