//! The verdicts of a run as CI systems read them: a JUnit file that GitHub's actions, GitLab and Jenkins understand.
//!
//! A broken promise is a `<failure>`, an inconclusive scenario an `<error>`, a skipped one says why. The text stands in
//! the message and in the body, since some readers show only one of them. A run that died in its set-up is an error of
//! a test case of its own, so that the file is never empty.

use crate::baseline;
use crate::summary::{ScenarioOutcome, Summary};
use crate::table::number;
use chrono::DateTime;
use gauntlet_core::Verdict;
use gauntlet_core::baseline::Comparison;
use gauntlet_core::event::{Consumer, Record};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Writes `junit.xml` when the run has finished.
pub struct Writer {
    path: PathBuf,
    summary: Summary,
}

impl Writer {
    pub fn new(path: PathBuf) -> Self {
        Self { path, summary: Summary::default() }
    }
}

impl Consumer for Writer {
    fn consume(&mut self, record: &Record) {
        self.summary.add(record);
    }

    fn finish(&mut self) -> Result<(), String> {
        let text = render(&self.summary, self.path.parent().unwrap_or(Path::new("")))?;
        std::fs::write(&self.path, text).map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

/// The file's text. `folder` is the run's, for links to what lies beside the file: in full, since the readers work in
/// folders of their own.
///
/// # Errors
/// It could not be put into XML.
pub fn render(summary: &Summary, folder: &Path) -> Result<String, String> {
    let folder = &folder.canonicalize().or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.to_owned());
    let system = system(summary);
    let mut suite = TestSuite::new(format!("gauntlet.{system}"));
    if let Some(at) = i64::try_from(summary.started_ms).ok().and_then(DateTime::from_timestamp_millis) {
        suite.set_timestamp(at.fixed_offset());
    }
    suite.set_time(Duration::from_millis(summary.finished.map_or(0, |finished| finished.took_ms)));
    suite.add_properties(run_properties(summary));
    suite.add_properties(summary.outcomes.iter().flat_map(properties));
    suite.add_test_cases(summary.outcomes.iter().map(|outcome| case(summary, outcome, folder)));
    suite.add_test_cases(summary.unjudged().into_iter().map(|name| {
        let verdict = Verdict::trouble("the run ended before this scenario was judged");
        test_case(system, name, &verdict, Duration::ZERO)
    }));
    for (n, trouble) in summary.troubles.iter().enumerate() {
        let text = std::iter::once(&trouble.message).chain(&trouble.hints).cloned().collect::<Vec<_>>().join("\n");
        let name = format!("run: {} ({})", trouble.stage.title(), n + 1);
        suite.add_test_case(test_case(system, &name, &Verdict::trouble(text), Duration::ZERO));
    }
    suite.add_test_cases(summary.compared.iter().map(|comparison| compared(system, comparison)));
    if suite.test_cases.is_empty() {
        let verdict = Verdict::trouble("the run ended before anything was judged");
        suite.add_test_case(test_case(system, "run", &verdict, Duration::ZERO));
    }
    let mut report = Report::new("gauntlet");
    report.add_test_suite(suite);
    let text = report.to_string().map_err(|error| format!("cannot write JUnit: {error}"))?;
    Ok(as_jenkins_allows(&text))
}

fn system(summary: &Summary) -> &str {
    summary.header.as_ref().map_or("gauntlet", |header| &header.system)
}

/// The schema of Jenkins knows no `skipped` in the outermost element, where the crate writes it.
fn as_jenkins_allows(text: &str) -> String {
    let Some(root) = text.find("<testsuites").and_then(|from| Some(from..from + text[from..].find('>')?)) else {
        return text.to_owned();
    };
    let attributes: Vec<&str> = text[root.clone()].split(' ').filter(|part| !part.starts_with("skipped=\"")).collect();
    format!("{}{}{}", &text[..root.start], attributes.join(" "), &text[root.end..])
}

fn run_properties(summary: &Summary) -> Vec<Property> {
    let Some(header) = &summary.header else { return vec![] };
    let mut properties = vec![
        Property::new("run", header.run.as_str()),
        Property::new("seed", header.seed.to_string()),
        Property::new("provider", header.provider.as_str()),
        Property::new("system", header.system.as_str()),
        Property::new("overlay", header.overlay.as_str()),
    ];
    properties.extend(header.deployed_mutant().map(|mutant| Property::new("mutant", mutant)));
    properties.extend(header.guesses().into_iter().map(|id| Property::new("unconfirmed promise", id)));
    properties
        .extend(header.stand_ins.iter().map(|(image, runs)| Property::new(format!("stand-in.{image}"), runs.as_str())));
    let others = summary.other_releases.iter();
    properties.extend(others.map(|(image, ran)| Property::new(format!("other release.{image}"), ran.as_str())));
    if let Some((digest, differs)) = &summary.deployed {
        properties.push(Property::new("digest.system", digest.system.as_str()));
        properties.push(Property::new("digest.overlay", digest.overlay.as_str()));
        properties.extend(differs.iter().map(|differs| Property::new("digest.differs", differs.as_str())));
    }
    properties.extend(
        header.versions.iter().map(|(name, version)| Property::new(format!("version.{name}"), version.as_str())),
    );
    properties
}

/// What is to be known of an outcome beside its verdict. It stands with the suite, since the schema of Jenkins allows test
/// cases no properties; the scenario's name tells whose it is.
fn properties(outcome: &ScenarioOutcome) -> Vec<Property> {
    let observations = &outcome.observations;
    let promises: BTreeSet<(&str, &str)> =
        observations.checks.iter().map(|check| (check.promise.as_str(), check.reference.as_str())).collect();
    let name = |what: &str| format!("{}: {what}", outcome.scenario);
    let promised = promises
        .into_iter()
        .map(|(promise, reference)| Property::new(name("promise"), format!("{promise} ({reference})")));
    let figures = observations.figures.iter().map(|figure| {
        let limit = figure.limit.map_or(String::new(), |limit| format!(" (limit {})", number(limit)));
        Property::new(name(&figure.name), format!("{} {}{limit}", number(figure.value), figure.unit))
    });
    promised.chain(figures).chain([Property::new(name("again"), outcome.again.as_str())]).collect()
}

fn case(summary: &Summary, outcome: &ScenarioOutcome, folder: &Path) -> TestCase {
    let took = Duration::from_millis(outcome.took_ms);
    let reasons = outcome.reasons(summary);
    let status = status(&outcome.verdict, &reasons);
    let mut case = named(system(summary), &outcome.scenario, status, took);
    if matches!(outcome.verdict, Verdict::Failed { .. } | Verdict::Inconclusive { .. }) {
        let evidence = outcome.evidence.as_ref().map(|evidence| format!("\nevidence: {evidence}")).unwrap_or_default();
        let reasons = reasons.join("\n");
        case.status.set_description(format!("{reasons}\n\nagain: {}{evidence}", outcome.again));
    }
    let observations = &outcome.observations;
    let checks = observations.checks.iter().map(|c| format!("{}: {}: {}", c.word(), c.name, c.detail));
    let faults = observations.faults.iter().map(|f| {
        format!(
            "fault: {}\n  effect: {:?}\n  healed: {:?}\n  control: {:?}",
            f.fault, f.took_effect, f.healed, f.control
        )
    });
    // Jenkins and GitLab make links of these; each wants a line of its own.
    let attached = outcome.files.iter().map(String::as_str);
    let page = std::iter::once("index.html");
    let attached = page.chain(attached).map(|file| format!("[[ATTACHMENT|{}]]", folder.join(file).display()));
    let out: Vec<String> = faults.chain(checks).chain(attached).collect();
    case.set_system_out(out.join("\n"));
    case
}

/// The figures against those of earlier runs: a test case of its own, whose name stays.
fn compared(system: &str, comparison: &Comparison) -> TestCase {
    let regressed: Vec<String> = comparison.regressed().map(baseline::sentence).collect();
    let status = if comparison.has_failed() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(regressed.first().cloned().unwrap_or_default());
        status.set_type("regression");
        status.set_description(regressed.join("\n"));
        status
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new("run: baseline", status);
    case.set_classname(format!("gauntlet.{system}"));
    case.set_time(Duration::ZERO);
    case.set_system_out(baseline::render(comparison, true));
    case
}

fn test_case(system: &str, name: &str, verdict: &Verdict, took: Duration) -> TestCase {
    named(system, name, status(verdict, &verdict.reasons()), took)
}

fn named(system: &str, name: &str, status: TestCaseStatus, took: Duration) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("gauntlet.{system}"));
    case.set_time(took);
    case
}

fn status(verdict: &Verdict, reasons: &[String]) -> TestCaseStatus {
    let (mut status, kind) = match verdict {
        Verdict::Passed(_) => return TestCaseStatus::success(),
        Verdict::Failed { .. } => (TestCaseStatus::non_success(NonSuccessKind::Failure), "promise broken"),
        Verdict::Inconclusive { .. } => (TestCaseStatus::non_success(NonSuccessKind::Error), "inconclusive"),
        Verdict::Skipped { .. } => (TestCaseStatus::skipped(), "skipped"),
    };
    // A message is one line.
    let first = reasons.first().and_then(|reason| reason.lines().next());
    status.set_message(first.unwrap_or(kind));
    status.set_type(kind);
    status.set_description(reasons.join("\n"));
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::{every_verdict, header};
    use gauntlet_core::event::{Event, Stage};

    fn of(events: Vec<Event>) -> String {
        let records: Vec<Record> = events.into_iter().map(|event| Record::new(0, event)).collect();
        render(&Summary::of(&records), Path::new("r")).unwrap()
    }

    #[test]
    fn verdicts_become_what_ci_systems_count() {
        let xml = render(&every_verdict(), Path::new("r")).unwrap();
        assert!(xml.contains(r#"tests="4" skipped="1" errors="1" failures="1""#), "{xml}");
        for expected in [
            r#"<testcase name="a.passed" classname="gauntlet.shop" time="61.500">"#,
            r#"type="promise broken""#,
            r#"<property name="a.passed: promise" value="redis.failover (guide, chapter 5)"/>"#,
            r#"<property name="a.passed: failover time" value="9.1 s (limit 12)"/>"#,
            r#"<property name="seed" value="42"/>"#,
            r#"<property name="version.redis-server" value="7.0.15"/>"#,
            r#"message="no power to""#,
        ] {
            assert!(xml.contains(expected), "{expected} is not in\n{xml}");
        }
    }

    #[test]
    fn the_reason_stands_in_the_message_and_in_the_body() {
        let xml = render(&every_verdict(), Path::new("r")).unwrap();
        assert_eq!(xml.matches("Broken: A replica takes over (redis.failover").count(), 2, "{xml}");
    }

    #[test]
    fn characters_that_xml_forbids_are_left_out() {
        let xml = render(&every_verdict(), Path::new("r")).unwrap();
        assert!(!xml.contains('\u{1b}') && xml.contains("&lt;&amp;&gt;"), "{xml}");
    }

    #[test]
    fn a_run_that_died_in_its_set_up_is_an_error() {
        let trouble = Event::Trouble { stage: Stage::Cluster, message: "not root".into(), hints: vec!["sudo".into()] };
        let xml = of(vec![header(&["a"]), trouble]);
        assert!(xml.contains(r#"tests="2" skipped="0" errors="2""#), "{xml}");
        assert!(xml.contains("bring up the cluster") && xml.contains("not root"), "{xml}");
    }

    #[test]
    fn what_lies_beside_the_file_is_named_in_full_on_lines_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("r")).unwrap();
        let roundabout = folder.path().join("r/../r");
        let xml = render(&every_verdict(), &roundabout).unwrap();
        let page = folder.path().canonicalize().unwrap().join("r/index.html");
        let line = format!("[[ATTACHMENT|{}]]", page.display());
        assert!(xml.lines().any(|text| text.trim_end_matches("</system-out>") == line), "{line} is not in\n{xml}");
        let xml = render(&every_verdict(), Path::new("nowhere")).unwrap();
        let attached: Vec<&str> = xml.split("[[ATTACHMENT|").skip(1).collect();
        assert!(!attached.is_empty() && attached.iter().all(|path| path.starts_with('/')), "{attached:?}");
    }

    #[test]
    fn the_outermost_element_does_not_count_skips() {
        let text = "<?xml?>\n<testsuites name=\"g\" skipped=\"1\" errors=\"0\">\n<testsuite skipped=\"1\"/>";
        let expected = "<?xml?>\n<testsuites name=\"g\" errors=\"0\">\n<testsuite skipped=\"1\"/>";
        assert_eq!(as_jenkins_allows(text), expected);
    }

    #[test]
    fn the_file_is_never_empty() {
        for events in [vec![], vec![header(&[])], vec![header(&["a"])]] {
            assert!(of(events).contains("<testcase"));
        }
    }
}
