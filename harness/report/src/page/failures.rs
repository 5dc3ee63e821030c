//! What a person has to know first: every broken promise, and whatever else did not pass.

use super::scenario;
use super::story::Run;
use super::view::{anchor, checks};
use super::words::sentence;
use crate::summary::ScenarioOutcome;
use gauntlet_core::{Check, Outcome, Verdict};

/// One thing that a person has to know first.
pub struct Failure {
    pub word: &'static str,
    pub sentence: String,
    pub detail: String,
    /// What else was not so, under the same promise in the same scenario.
    pub also: Vec<String>,
    pub says: Option<String>,
    pub reference: Option<String>,
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
        reference: None,
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
        reference: None,
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
        reference: None,
        tried: None,
        anchor: run.story(name).map(|story| anchor(&story.name)),
        when: None,
    });
    broken.chain(troubles).chain(open).chain(unjudged).collect()
}

/// One for each broken promise of a scenario. The check of which the moment is known leads: it says most.
fn broken_promises<'a>(run: &'a Run, outcome: &'a ScenarioOutcome) -> impl Iterator<Item = Failure> + 'a {
    let mut by_promise: Vec<(&str, Vec<&Check>)> = Vec::new();
    for check in checks(outcome, Outcome::Broken) {
        match by_promise.iter_mut().find(|(promise, _)| *promise == check.promise) {
            Some((_, checks)) => checks.push(check),
            None => by_promise.push((&check.promise, vec![check])),
        }
    }
    by_promise.into_iter().map(move |(_, checks)| broken_promise(run, outcome, checks))
}

fn broken_promise(run: &Run, outcome: &ScenarioOutcome, mut checks: Vec<&Check>) -> Failure {
    let story = run.story(&outcome.scenario);
    let moment = |check: &Check| story.and_then(|story| story.moment(&check.name)).filter(|(_, exact)| *exact);
    checks.sort_by_key(|check| moment(check).is_none());
    let lead = checks.remove(0);
    let promised = run.summary.header.iter().flat_map(|h| &h.promises).find(|p| p.id == lead.promise);
    Failure {
        word: "failed",
        sentence: sentence(&lead.name),
        detail: shortened(&lead.detail),
        also: checks.iter().map(|check| format!("{}: {}", check.name, shortened(&check.detail))).collect(),
        says: promised.map(|promised| promised.says.clone()),
        reference: Some(lead.reference.clone()).filter(|reference| !reference.is_empty()),
        tried: story.map(|story| sentence(&story.says)).filter(|says| !says.is_empty()),
        anchor: Some(anchor(&outcome.scenario)),
        when: moment(lead).zip(story).map(|((at_ms, _), story)| scenario::offset(at_ms, story.zero_ms())),
    }
}

/// The first screen has room for so much; the whole stands with the checks of the scenario.
fn shortened(text: &str) -> String {
    const LETTERS: usize = 180;
    if text.chars().count() <= LETTERS {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(LETTERS).collect::<String>())
    }
}
