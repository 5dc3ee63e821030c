//! The page as text: what stands where, and that nothing slips through unescaped.

use super::*;
use crate::summary::tests::{finished, header, observations};
use gauntlet_core::contract::network::{Expected, Protocol};
use gauntlet_core::event::{Event, Phase, Stage};
use gauntlet_core::matrix::{Cell, Matrix, Seen};
use gauntlet_core::scenario::ClusterNeed;
use gauntlet_core::timeline::{EvidenceFile, KubernetesEvent, PodSeen, PodState};
use gauntlet_core::{Check, ExitCode, Observations, Outcome, Seed, Verdict};

const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\"";

fn page(events: Vec<Event>) -> String {
    let records: Vec<Record> = events.into_iter().enumerate().map(|(n, e)| Record::new(1_000 * n as u64, e)).collect();
    render(&records).unwrap()
}

fn started(scenario: &str) -> Event {
    Event::ScenarioStarted {
        scenario: scenario.into(),
        summary: "a primary is killed".into(),
        cluster: ClusterNeed::Shared,
        seed: Seed(1),
        deadline_ms: 1,
    }
}

fn trouble() -> Event {
    Event::Trouble { stage: Stage::Cluster, message: "not root".into(), hints: vec!["use sudo".into()] }
}

/// The text between the first heading's tags.
fn headline(page: &str) -> &str {
    let start = page.find("<h1").and_then(|at| Some(at + page[at..].find('>')? + 1)).unwrap();
    &page[start..start + page[start..].find("</h1>").unwrap()]
}

#[test]
fn the_headline_says_what_the_run_came_to() {
    let (held, broken) = (observations(Outcome::Held), observations(Outcome::Broken));
    let skipped = Verdict::Skipped { reason: "no power to".into() };
    for (events, expected) in [
        (vec![header(&["a"]), finished("a", broken.judge(), broken)], "1 promise was broken, in 1 of 1 scenario."),
        (
            vec![header(&["a"]), finished("a", held.judge(), held)],
            "Every promise that was tried held: 1 scenario, 1 check.",
        ),
        (vec![header(&["a"]), trouble()], "Gauntlet could not bring up the cluster. 1 scenario could not be judged."),
        (
            vec![header(&["a"]), finished("a", Verdict::trouble("lost"), Observations::default())],
            "1 scenario could not be judged.",
        ),
        (vec![header(&["a"]), finished("a", skipped, Observations::default())], "Every scenario was skipped."),
        (vec![header(&["a"]), Event::Interrupted], "The run was interrupted before everything was judged."),
    ] {
        assert_eq!(headline(&page(events)), expected);
    }
}

#[test]
fn a_run_of_guesses_says_that_nothing_is_promised_and_what_was_not_run() {
    let guess = crate::summary::tests::a_guess_looks_broken_events();
    let page = page(guess);
    assert_eq!(headline(&page), "Nothing is promised: nobody has confirmed what the contract guesses.");
    for expected in
        ["unconfirmed, looks broken", "0 of 1 check would have held, and none counts", "the real program was not run"]
    {
        assert!(page.contains(expected), "{expected} is not on the page");
    }
    let (head, _) = page.split_once("</section>").unwrap();
    assert!(head.contains("Note: The real programs of these images were not run: shop/web"), "{head}");
}

#[test]
fn the_first_screen_says_what_was_broken_and_where_it_was_promised() {
    let broken = observations(Outcome::Broken);
    let page = page(vec![header(&["a"]), started("a"), finished("a", broken.judge(), broken)]);
    let first = page.find("<p class=\"what\">Broken: A replica takes over</p>").unwrap();
    let promises = page.find("id=\"promises\"").unwrap();
    assert!(first < promises);
    let screen = &page[first..promises];
    for expected in [
        "after 9.1 s, allowed are 12 s",
        "Expected: a replica takes over; seen: after",
        "Promised in",
        "guide, chapter 5",
    ] {
        assert!(screen.contains(expected), "{expected} is not in {screen}");
    }
    assert!(screen.contains("Tried: A primary is killed") && screen.contains("href=\"#scenario-a\""), "{screen}");
}

#[test]
fn every_citation_leads_to_what_the_document_says() {
    let mut seen = observations(Outcome::Held);
    seen.checks.push(Check { promise: "of no header".into(), reference: String::new(), ..seen.checks[0].clone() });
    let Event::RunStarted(mut header) = header(&["a"]) else { panic!("no header") };
    header.promises[0].quote = Some("A replica is promoted <within seconds>.".into());
    let page = page(vec![Event::RunStarted(header), finished("a", seen.judge(), seen)]);
    let cited: Vec<&str> = page.split("<cite><a href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(cited.len(), 4, "the table of promises and that of checks: {cited:?}");
    for anchor in cited {
        assert!(page.contains(&format!("<div class=\"passage\" id=\"{anchor}\">")), "{anchor}");
    }
    assert_eq!(page.matches("<cite>").count(), 4, "no citation without a link");
    assert!(page.contains("<blockquote>A replica is promoted &#60;within seconds&#62;.</blockquote>"));
    assert!(page.contains("Written in guide, chapter 5."));
}

#[test]
fn promises_link_the_place_in_the_document_where_its_address_is_known_and_the_contract_where_it_was_kept() {
    let at = |url: &str| {
        let held = observations(Outcome::Held);
        let Event::RunStarted(mut header) = header(&["a"]) else { panic!("no header") };
        header.document = Some(url.to_owned());
        header.promises[0].at = Some("failover".into());
        let path = "system/system.yaml".to_owned();
        let file = EvidenceFile { path, bytes: 1, excerpt: String::new(), cut: false };
        let kept = Event::EvidenceCollected { scenario: None, file };
        page(vec![Event::RunStarted(header), kept, finished("a", held.judge(), held)])
    };
    let page = at("https://docs.example/k8s");
    let link = "<a href=\"https://docs.example/k8s#failover\" rel=\"noopener noreferrer\">Read it there</a>";
    assert!(page.contains(link) && page.contains("<a href=\"system/system.yaml\">The contract of this run</a>"));
    let hostile = at("javascript:alert(1)");
    assert!(!hostile.contains("javascript:alert") && !hostile.contains("Read it there"));
}

#[test]
fn figures_stand_on_the_page_as_they_were_measured() {
    let held = observations(Outcome::Held);
    let page = page(vec![header(&["a"]), finished("a", held.judge(), held)]);
    assert!(page.contains("<data value=\"9.1\">9.1</data> s") && page.contains("of 12 s"));
}

#[test]
fn what_differs_in_a_matrix_stands_before_what_does_not() {
    let cell = |from: &str, outcome| Cell {
        from: from.into(),
        to: "db".into(),
        port: 5432,
        protocol: Protocol::Tcp,
        expected: Expected::Denied("Ingress Rules".into()),
        seen: [(Seen::Open, 2)].into(),
        outcome: Some(outcome),
        detail: String::new(),
        policies: vec!["no policy selects db".into()],
    };
    let matrix = Matrix { cells: vec![cell("api", Outcome::Held), cell("web", Outcome::Broken)] };
    let held = observations(Outcome::Held);
    let seen = Event::MatrixSeen { scenario: "a".into(), matrix };
    let page = page(vec![header(&["a"]), started("a"), seen, finished("a", held.judge(), held)]);
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not on the page"));
    let difference = at("web → db <span class=\"ports\">5432/tcp</span>");
    assert!(at("1 broken") < difference && difference < at("<table class=\"grid\">"));
    assert!(page.contains("denied (Ingress Rules)") && page.contains("no policy selects db"));
}

#[test]
fn a_promise_that_no_client_saw_broken_is_drawn_when_it_was_broken() {
    let mut broken = observations(Outcome::Broken);
    broken.checks.push(Check { name: "found later".into(), ..broken.checks[0].clone() });
    let line = r#"{"schema":1,"at_ms":3250,"event":"violated","scenario":"a","violation":{"check":"a replica takes over","at_ms":3250,"what":"db-0 was evicted"}}"#;
    let violated = Record::from_line(line).unwrap().event;
    let fault = Event::FaultInjecting { scenario: "a".into(), fault: "kill".into() };
    let phase = Event::PhaseStarted { scenario: "a".into(), phase: Phase::Inject };
    let later = Event::Checked { scenario: "a".into(), check: broken.checks[1].clone() };
    let page =
        page(vec![header(&["a"]), started("a"), fault, phase, violated, later, finished("a", broken.judge(), broken)]);
    assert!(page.contains("<h3>+1.2 s: db-0 was evicted</h3>"), "the fault was at 2 s");
    assert!(!page.contains("Client ;") && !page.contains("Operations around the moment"));
    let moments = r#""moments":[{"at":1250,"text":"db-0 was evicted (a replica takes over)","exact":true},{"at":3000,"text":"found later","exact":false}]"#;
    assert!(page.contains(moments), "{}", &page[page.find("\"moments\"").unwrap()..][..300]);
}

/// What systems under test say must not become a part of the page.
#[test]
fn nothing_that_was_said_becomes_markup() {
    let mut broken = observations(Outcome::Broken);
    broken.checks[0].detail = HOSTILE.into();
    broken.checks[0].name = HOSTILE.into();
    broken.faults[0].fault = HOSTILE.into();
    let seen = PodSeen {
        namespace: "n".into(),
        pod: HOSTILE.into(),
        node: None,
        state: PodState::Ready,
        detail: Some(HOSTILE.into()),
    };
    let told = KubernetesEvent {
        namespace: "n".into(),
        about: HOSTILE.into(),
        reason: HOSTILE.into(),
        message: HOSTILE.into(),
        warning: true,
        count: 2,
    };
    let file = EvidenceFile { path: format!("evidence/{HOSTILE}"), bytes: 1, excerpt: HOSTILE.into(), cut: false };
    let a = || "a".to_owned();
    let page = page(vec![
        header(&["a"]),
        started("a"),
        Event::PhaseStarted { scenario: a(), phase: Phase::Inject },
        Event::FaultInjecting { scenario: a(), fault: HOSTILE.into() },
        Event::PodChanged { scenario: Some(a()), seen },
        Event::KubernetesEvent { scenario: Some(a()), seen: told },
        Event::Note { scenario: Some(a()), text: HOSTILE.into() },
        Event::EvidenceCollected { scenario: Some(a()), file },
        finished("a", broken.judge(), broken),
    ]);
    assert_eq!(page.matches("</script>").count(), 3, "the data and the two scripts of the page");
    assert!(!page.contains("<img") && !page.contains("alert(1)</script>"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page(vec![header(&["a"]), trouble(), Event::RunFinished { exit: ExitCode::Inconclusive, took_ms: 5 }]);
    let attributes = ["src=", "href=\"http", "href=\"//", "@import", "url(http"];
    // The chart library names its home in its first comment only.
    for attribute in attributes {
        assert!(!page.contains(attribute), "{attribute}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_run_without_events_is_a_page_too() {
    assert!(render(&[]).unwrap().contains("</html>"));
    assert!(page(vec![header(&["a", "b"])]).contains("no verdict"));
}

#[test]
fn rounds_of_a_scenario_have_a_rate_and_stand_side_by_side_where_they_differ() {
    let (held, broken) = (observations(Outcome::Held), observations(Outcome::Broken));
    let rounds = |second: Observations| {
        page(vec![
            header(&["a", "a#2"]),
            finished("a", held.judge(), held.clone()),
            finished("a#2", second.judge(), second),
        ])
    };
    let differing = rounds(broken);
    assert!(differing.contains("<strong>a</strong>: 1 of 2 passed"), "{}", headline(&differing));
    assert!(differing.contains("<a href=\"#scenario-a-2\">a#2</a>"));
    let same = rounds(held.clone());
    assert!(same.contains("2 of 2 passed: 100 %, between 34 and 100 %") && !same.contains("class=\"rows rounds\""));
}
