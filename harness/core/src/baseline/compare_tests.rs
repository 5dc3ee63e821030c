//! What is a regression and what is not, value by value.

use super::*;

const LEVEL: f64 = 0.05;

fn of(scenario: &str, figure: &str, unit: &str, values: &[f64]) -> Vec<Measurement> {
    let one = |(n, value): (usize, &f64)| Measurement {
        system: "shop".into(),
        overlay: "production".into(),
        provider: "embedded".into(),
        scenario: scenario.into(),
        figure: figure.into(),
        unit: unit.into(),
        run: format!("r{n}"),
        round: 1,
        value: *value,
    };
    values.iter().enumerate().map(one).collect()
}

fn judged(unit: &str, old: &[f64], new: &[f64]) -> Judgement {
    let compared = compare(&of("a", "f", unit, old), &of("a", "f", unit, new), LEVEL);
    assert_eq!(compared.len(), 1, "{compared:?}");
    compared[0].judgement
}

const TEN: [f64; 10] = [9.0, 9.5, 10.0, 10.1, 10.2, 9.9, 9.8, 10.4, 11.0, 10.6];

#[test]
fn a_regression_is_both_unlikely_by_chance_and_large_enough_to_matter() {
    let small: Vec<f64> = TEN.map(|value| value / 100.0).to_vec();
    for (unit, old, new, judgement) in [
        ("s", &TEN[..], &[20.0, 21.0, 19.5][..], Judgement::Regressed),
        ("s", &TEN, &[11.5, 11.6, 11.7], Judgement::Steady),
        ("s", &TEN, &[5.0, 5.1, 4.9], Judgement::Steady),
        ("s", &TEN, &[20.0, 9.7, 10.1], Judgement::Steady),
        ("s", &small, &[0.2, 0.21, 0.19], Judgement::Steady),
        ("s", &TEN, &[20.0], Judgement::TooFew),
        ("%", &[0.0; 10], &[0.5, 0.4, 0.6], Judgement::Regressed),
        ("%", &[0.0; 10], &[0.001, 0.002, 0.001], Judgement::Steady),
        ("%", &[0.0; 10], &[0.0, 0.0, 0.9], Judgement::Steady),
        ("writes", &[0.0; 10], &[1.0, 2.0, 1.0], Judgement::Regressed),
        ("writes", &[0.0; 10], &[0.0; 5], Judgement::Steady),
        ("s", &[], &[1.0], Judgement::New),
    ] {
        assert_eq!(judged(unit, old, new), judgement, "{unit} {new:?}");
    }
}

#[test]
fn too_few_values_say_how_many_would_do() {
    let compared = compare(&of("a", "f", "s", &TEN), &of("a", "f", "s", &[20.0]), LEVEL);
    // 1 of 11 is too likely, 1 of 66 is not.
    assert_eq!(compared[0].needed, Some(2));
    assert_eq!(repeats_needed(10, LEVEL / 12.0), Some(3));
    assert_eq!(repeats_needed(0, LEVEL), None);
}

#[test]
fn what_is_tried_more_often_is_held_to_a_stricter_level() {
    let (mut old, mut new) = (of("a", "f", "s", &TEN), of("a", "f", "s", &[20.0, 21.0]));
    assert_eq!(compare(&old, &new, LEVEL)[0].judgement, Judgement::Regressed);
    for n in 0..5 {
        let name = format!("g{n}");
        old.extend(of("a", &name, "s", &TEN));
        new.extend(of("a", &name, "s", &[10.0, 10.1]));
    }
    let compared = compare(&old, &new, LEVEL);
    assert!(compared.iter().all(|figure| figure.judgement == Judgement::TooFew), "{compared:?}");
}

#[test]
fn what_never_differs_takes_nothing_of_the_level() {
    let (mut old, mut new) = (of("a", "f", "s", &TEN), of("a", "f", "s", &[20.0, 21.0]));
    for n in 0..5 {
        let name = format!("g{n}");
        old.extend(of("a", &name, "%", &[0.0; 10]));
        new.extend(of("a", &name, "%", &[0.0; 2]));
    }
    let told: Vec<Judgement> = compare(&old, &new, LEVEL).into_iter().map(|figure| figure.judgement).collect();
    assert_eq!(told[0], Judgement::Regressed);
    assert_eq!(told[1..], [Judgement::Steady; 5]);
}

#[test]
fn regressions_come_first_and_scenarios_that_were_not_run_are_not_told() {
    let mut old = of("a", "calm", "s", &TEN);
    old.extend(of("a", "worse", "s", &TEN));
    old.extend(of("a", "gone", "s", &TEN));
    old.extend(of("b", "f", "s", &TEN));
    let mut new = of("a", "calm", "s", &[10.0; 4]);
    new.extend(of("a", "worse", "s", &[20.0, 21.0, 22.0, 23.0]));
    let told: Vec<(String, Judgement)> =
        compare(&old, &new, LEVEL).into_iter().map(|figure| (figure.figure, figure.judgement)).collect();
    let expected = [("worse", Judgement::Regressed), ("calm", Judgement::Steady), ("gone", Judgement::NotMeasured)];
    assert_eq!(told, expected.map(|(name, judgement)| (name.to_owned(), judgement)));
}

#[test]
fn other_overlays_and_providers_are_other_places() {
    let mut old = of("a", "f", "s", &TEN);
    old.iter_mut().for_each(|one| one.provider = "kind".into());
    let compared = compare(&old, &of("a", "f", "s", &[20.0, 21.0, 22.0]), LEVEL);
    assert_eq!(compared.iter().map(|figure| figure.judgement).collect::<Vec<_>>(), [Judgement::New]);
}

#[test]
fn holm_goes_on_until_one_is_too_likely() {
    for (probabilities, passes) in [
        (&[0.04, 0.01, 0.02][..], &[true, true, true][..]),
        (&[0.03, 0.04, 0.01], &[false, false, true]),
        (&[0.02, 0.001, 0.9], &[true, true, false]),
        (&[0.02, 0.02, 0.02], &[false, false, false]),
        (&[], &[]),
    ] {
        assert_eq!(holm(probabilities, probabilities.len(), 0.05), passes, "{probabilities:?}");
    }
}

#[test]
fn a_run_that_is_kept_already_is_not_held_against_itself() {
    let mut kept = of("a", "f", "s", &TEN);
    let slow: Vec<Measurement> = [20.0, 21.0, 19.5]
        .iter()
        .zip(1..)
        .map(|(value, round)| Measurement { run: "now".into(), round, value: *value, ..kept[0].clone() })
        .collect();
    kept.extend(slow.iter().cloned());
    let baseline = Baseline { file: "b".into(), measurements: kept, level: LEVEL, fails: true };
    let compared = baseline.against(&slow);
    assert!(compared.has_failed(), "{compared:?}");
    assert_eq!(compared.figures[0].before.count, 10);
}
