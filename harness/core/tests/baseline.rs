//! The method on samples as runs give them: false alarms are as rare as the level says, and a time that doubled is found
//! within five repeats. Seeds are fixed.

use gauntlet_core::Seed;
use gauntlet_core::baseline::{Judgement, Measurement, compare};
use rand::Rng;
use rand::rngs::StdRng;

const LEVEL: f64 = 0.05;
const BEFORE: usize = 20;
const FIGURES: usize = 12;
const EXPERIMENTS: u64 = 100;

/// How values scatter around what is typical.
#[derive(Debug, Clone, Copy)]
enum Noise {
    /// Log-normal, of that relative width.
    Normal(f64),
    /// Log-Student with three degrees of freedom: of that width, and now and then far out.
    Heavy(f64),
    /// Log-normal, and one value in twenty is two and a half times as long: an election that was split.
    Split(f64),
}

const ALL: [Noise; 5] =
    [Noise::Normal(0.10), Noise::Normal(0.15), Noise::Normal(0.25), Noise::Heavy(0.12), Noise::Split(0.15)];

/// Standard normal, by Box and Muller.
fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (rng.random_range(f64::EPSILON..1.0), rng.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

impl Noise {
    fn factor(self, rng: &mut StdRng) -> f64 {
        match self {
            Self::Normal(width) => (width * normal(rng)).exp(),
            Self::Heavy(width) => {
                let squares: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
                (width * normal(rng) / (squares / 3.0).sqrt()).exp()
            }
            Self::Split(width) => {
                let split = if rng.random_range(0.0..1.0) < 0.05 { 2.5 } else { 1.0 };
                (width * normal(rng)).exp() * split
            }
        }
    }
}

/// Runs of a system with as many figures; the first of them is `failover` times what it was.
fn runs(rng: &mut StdRng, noise: Noise, count: usize, failover: f64) -> Vec<Vec<Measurement>> {
    runs_of(FIGURES, rng, noise, count, failover)
}

fn runs_of(figures: usize, rng: &mut StdRng, noise: Noise, count: usize, failover: f64) -> Vec<Vec<Measurement>> {
    let figure = |rng: &mut StdRng, run: usize, n: usize| Measurement {
        system: "shop".into(),
        overlay: "production".into(),
        provider: "embedded".into(),
        scenario: format!("scenario {}", n % 5),
        figure: format!("figure {n}"),
        unit: "s".into(),
        run: format!("run {run}"),
        round: 1,
        value: (3.0 + 4.0 * n as f64) * noise.factor(rng) * if n == 0 { failover } else { 1.0 },
    };
    (0..count).map(|run| (0..figures).map(|n| figure(rng, run, n)).collect()).collect()
}

/// The names of the figures that are called regressed.
fn alarms(before: &[Vec<Measurement>], now: &[Vec<Measurement>]) -> Vec<String> {
    let compared = compare(&before.concat(), &now.concat(), LEVEL);
    let regressed = compared.into_iter().filter(|figure| figure.judgement == Judgement::Regressed);
    regressed.map(|figure| figure.figure).collect()
}

/// In which share of the experiments it was so.
fn share(noise: Noise, is_so: impl Fn(&mut StdRng) -> bool) -> f64 {
    share_of(EXPERIMENTS, noise, is_so)
}

fn share_of(experiments: u64, noise: Noise, is_so: impl Fn(&mut StdRng) -> bool) -> f64 {
    let seed = Seed(1).derive(&format!("{noise:?}"));
    let count = (0..experiments).filter(|n| is_so(&mut seed.derive(&n.to_string()).rng())).count();
    count as f64 / experiments as f64
}

#[test]
fn twenty_healthy_repeats_raise_no_more_false_alarms_than_the_level_allows() {
    for noise in ALL {
        // Fewer of them: the test of twenty against twenty counts long.
        let alarmed = share_of(40, noise, |rng| {
            let (before, now) = (runs(rng, noise, BEFORE, 1.0), runs(rng, noise, 20, 1.0));
            !alarms(&before, &now).is_empty()
        });
        assert!(alarmed <= LEVEL, "{noise:?}: {alarmed}");
    }
}

#[test]
fn healthy_repeats_five_at_a_time_raise_no_more_false_alarms_than_the_level_allows() {
    for noise in ALL {
        let alarmed = share(noise, |rng| {
            let (before, now) = (runs(rng, noise, BEFORE, 1.0), runs(rng, noise, 5, 1.0));
            !alarms(&before, &now).is_empty()
        });
        assert!(alarmed <= LEVEL, "{noise:?}: {alarmed}");
    }
}

#[test]
fn a_doubled_failover_time_is_found_within_five_repeats() {
    for noise in ALL {
        let found = share(noise, |rng| {
            let (before, now) = (runs(rng, noise, BEFORE, 1.0), runs(rng, noise, 5, 2.0));
            (1..=now.len()).any(|repeats| alarms(&before, &now[..repeats]).contains(&"figure 0".to_owned()))
        });
        assert!(found >= 0.95, "{noise:?}: {found}");
    }
}

#[test]
fn among_twice_as_many_figures_it_is_still_found_mostly() {
    for noise in ALL {
        let found = share_of(50, noise, |rng| {
            let (before, now) = (runs_of(24, rng, noise, BEFORE, 1.0), runs_of(24, rng, noise, 5, 2.0));
            (2..=now.len()).any(|repeats| alarms(&before, &now[..repeats]).contains(&"figure 0".to_owned()))
        });
        assert!(found >= 0.80, "{noise:?}: {found}");
    }
}

#[test]
fn where_values_hardly_scatter_three_repeats_find_it() {
    let noise = Noise::Normal(0.10);
    let found = share(noise, |rng| {
        let (before, now) = (runs(rng, noise, BEFORE, 1.0), runs(rng, noise, 3, 2.0));
        alarms(&before, &now) == ["figure 0"]
    });
    assert!(found >= 0.97, "{found}");
}

#[test]
fn one_repeat_alone_never_tells() {
    let mut rng = Seed(3).rng();
    let (before, now) = (runs(&mut rng, Noise::Normal(0.10), BEFORE, 1.0), runs(&mut rng, Noise::Normal(0.10), 1, 9.0));
    let compared = compare(&before.concat(), &now.concat(), LEVEL);
    assert!(compared.iter().all(|figure| figure.judgement == Judgement::TooFew && figure.needed == Some(3)));
}
