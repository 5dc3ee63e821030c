//! `gauntlet check RUN`: what clients recorded, judged again by the checkers of today.

use crate::cli::CheckArgs;
use crate::console::say;
use gauntlet_core::judgement::{Again, Answer, again};
use gauntlet_core::{ExitCode, Trouble, Verdict};
use gauntlet_engine::folder::Folder;
use gauntlet_engine::{bus, histories};
use gauntlet_report::Summary;
use gauntlet_report::again as words;
use gauntlet_report::summary::ScenarioOutcome;

/// # Errors
/// The run, its events, or what it saved cannot be read.
pub fn check(arguments: &CheckArgs) -> Result<ExitCode, Trouble> {
    let path = super::run_folder(&arguments.report, &arguments.run)?;
    let summary = Summary::of(&bus::read(&path.join("events.jsonl"))?);
    let folder = Folder::existing(path);
    let judged = summary.outcomes.iter().filter(|outcome| !matches!(outcome.verdict, Verdict::Skipped { .. }));
    let mut saved = false;
    let mut all: Vec<Again> = Vec::new();
    for outcome in judged {
        let answers = answers(&folder, outcome)?;
        saved |= answers.is_some();
        let answers = answers.unwrap_or_default();
        all.push(again(&outcome.scenario, &outcome.verdict, &outcome.observations, &answers));
    }
    if !saved {
        let trouble = format!("{} holds nothing that could be judged again", folder.path().display());
        let hint = "scenarios with clients save what they ask of histories in scenarios/<name>/questions.jsonl.gz";
        return Err(Trouble::input(trouble).hint(hint));
    }
    say(words::render(&all, arguments.all).trim_end());
    let differ = all.iter().filter(|again| again.differs()).count();
    say(match differ {
        0 => "judged again, everything is as it was".to_owned(),
        n => format!("judged again, {n} of {} scenarios differ", all.len()),
    });
    Ok(if differ == 0 { ExitCode::Passed } else { ExitCode::Failed })
}

/// What the histories of a scenario answer today; `None` where it saved no questions.
fn answers(folder: &Folder, outcome: &ScenarioOutcome) -> Result<Option<Vec<Answer>>, Trouble> {
    let Some((questions, histories)) = histories::asked(&folder.scenario(&outcome.scenario))? else { return Ok(None) };
    let answer = |saved: &gauntlet_core::judgement::Saved| {
        saved.question.answer(|client| histories.get(saved.histories.get(client)?))
    };
    Ok(Some(questions.iter().map(answer).collect()))
}
