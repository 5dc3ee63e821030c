//! New measurements against those of earlier runs.

use super::measurement::{Kind, Measurement, Place};
use super::rank;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A time is worse when it is so many times as long, and longer by so many seconds: what is asked for twice a second is
/// not known better than that.
const RELEVANT_RATIO: f64 = 1.25;
const RELEVANT_SECONDS: f64 = 0.5;

/// A loss is worse when there is on average so much more of it: in percent of what was acknowledged, or in number.
const RELEVANT_PERCENT: f64 = 0.05;
const RELEVANT_COUNT: f64 = 1.0;

/// More repeats than this nobody is told to make.
const MOST_REPEATS: usize = 100;

/// What is said of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// Worse than noise explains, by enough to matter.
    Regressed,
    /// Nothing that noise does not explain, or nothing that matters.
    Steady,
    /// So few values could not show a regression, however large.
    TooFew,
    /// The baseline knows it, and it was not measured.
    NotMeasured,
    /// It was measured, and the baseline does not know it.
    New,
}

/// Values of one side.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Sample {
    pub count: u32,
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Sample {
    pub fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (values.first(), values.last()) else { return Self::default() };
        Self {
            count: u32::try_from(values.len()).unwrap_or(u32::MAX),
            median: median(&values),
            least: *least,
            most: *most,
        }
    }
}

/// One figure, then and now.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Compared {
    pub scenario: String,
    pub figure: String,
    pub unit: String,
    pub judgement: Judgement,
    pub before: Sample,
    pub now: Sample,
    /// The probability of values as large as these by chance alone, before all figures are taken together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// How many repeats could have told, where there were too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u32>,
}

/// A run against a baseline.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Comparison {
    /// The file of the baseline.
    pub baseline: String,
    /// The probability of any false alarm about a system that is as it was.
    pub level: f64,
    /// Whether a regression fails the run.
    pub fails: bool,
    /// Regressions first.
    pub figures: Vec<Compared>,
}

impl Comparison {
    pub fn regressed(&self) -> impl Iterator<Item = &Compared> {
        self.figures.iter().filter(|figure| figure.judgement == Judgement::Regressed)
    }

    pub fn count(&self, judgement: Judgement) -> usize {
        self.figures.iter().filter(|figure| figure.judgement == judgement).count()
    }

    /// Whether the run fails by this.
    pub fn has_failed(&self) -> bool {
        self.fails && self.regressed().next().is_some()
    }
}

/// What a run is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The file that it comes from.
    pub file: String,
    pub measurements: Vec<Measurement>,
    pub level: f64,
    pub fails: bool,
}

impl Baseline {
    /// No run is held against itself, whether or not it is kept already: it would show nothing but its own figures.
    pub fn against(&self, new: &[Measurement]) -> Comparison {
        let runs: BTreeSet<&str> = new.iter().map(|measurement| measurement.run.as_str()).collect();
        let others = self.measurements.iter().filter(|kept| !runs.contains(kept.run.as_str()));
        let old: Vec<Measurement> = others.cloned().collect();
        Comparison {
            baseline: self.file.clone(),
            level: self.level,
            fails: self.fails,
            figures: compare(&old, new, self.level),
        }
    }
}

/// Values of one figure, then and now.
struct Pair<'a> {
    place: &'a Place,
    old: Vec<f64>,
    new: Vec<f64>,
}

impl Pair<'_> {
    /// Whether it could raise an alarm at all. Where every value is the same (nothing was ever lost, say), none is larger
    /// than another, so it takes nothing of the level from the others.
    fn can_tell(&self) -> bool {
        let mut all = self.old.iter().chain(&self.new);
        let differ = all.next().is_some_and(|first| all.any(|other| other.total_cmp(first).is_ne()));
        differ && !self.old.is_empty() && !self.new.is_empty()
    }
}

/// Holds `new` against `old`. `level` is the probability of any false alarm over all figures together. Of scenarios that
/// were not run nothing is said.
pub fn compare(old: &[Measurement], new: &[Measurement], level: f64) -> Vec<Compared> {
    let (before, now) = (by_place(old), by_place(new));
    let ran: BTreeSet<(&str, &str, &str, &str)> = now.keys().map(of_scenario).collect();
    let places: BTreeSet<&Place> =
        before.keys().filter(|place| ran.contains(&of_scenario(place))).chain(now.keys()).collect();
    let values = |of: &BTreeMap<Place, Vec<f64>>, place| of.get(place).cloned().unwrap_or_default();
    let pairs = places.into_iter().map(|place| Pair { place, old: values(&before, place), new: values(&now, place) });
    let pairs: Vec<Pair<'_>> = pairs.collect();
    let mut compared = judge(&pairs, level);
    compared.sort_by_key(|figure| figure.judgement as u8);
    compared
}

fn of_scenario(place: &Place) -> (&str, &str, &str, &str) {
    (&place.system, &place.overlay, &place.provider, &place.scenario)
}

fn by_place(measurements: &[Measurement]) -> BTreeMap<Place, Vec<f64>> {
    let mut places: BTreeMap<Place, Vec<f64>> = BTreeMap::new();
    for one in measurements {
        places.entry(one.place()).or_default().push(one.value);
    }
    places
}

fn judge(pairs: &[Pair<'_>], level: f64) -> Vec<Compared> {
    let probabilities: Vec<f64> = pairs.iter().map(|pair| rank::larger(&pair.old, &pair.new)).collect();
    let tested = pairs.iter().filter(|pair| pair.can_tell()).count();
    let significant = holm(&probabilities, tested, level);
    // The strictest level is what the first alarm has to pass.
    let strictest = level / tested.max(1) as f64;
    let compared = |(pair, (probability, significant)): (&Pair<'_>, (f64, bool))| {
        let measured = !pair.old.is_empty() && !pair.new.is_empty();
        let judgement = match (pair.old.is_empty(), pair.new.is_empty()) {
            (true, _) => Judgement::New,
            (_, true) => Judgement::NotMeasured,
            _ if significant && is_relevant(pair) => Judgement::Regressed,
            _ if pair.can_tell() && !significant && rank::smallest(pair.old.len(), pair.new.len()) > strictest => {
                Judgement::TooFew
            }
            _ => Judgement::Steady,
        };
        Compared {
            scenario: pair.place.scenario.clone(),
            figure: pair.place.figure.clone(),
            unit: pair.place.unit.clone(),
            judgement,
            before: Sample::of(&pair.old),
            now: Sample::of(&pair.new),
            probability: measured.then_some(probability),
            needed: (judgement == Judgement::TooFew).then(|| repeats_needed(pair.old.len(), strictest)).flatten(),
        }
    };
    pairs.iter().zip(probabilities.iter().copied().zip(significant)).map(compared).collect()
}

/// Holm's procedure: the smallest probability is held against the level divided by the number of tests, the next against
/// that by one fewer, until one is too large. Which of them pass.
fn holm(probabilities: &[f64], tests: usize, level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut passes = vec![false; probabilities.len()];
    for (done, place) in order.into_iter().take(tests).enumerate() {
        if probabilities[place] > level / (tests - done) as f64 {
            break;
        }
        passes[place] = true;
    }
    passes
}

/// How many new values could pass that level at the best.
pub fn repeats_needed(old: usize, level: f64) -> Option<u32> {
    let enough = (1..=MOST_REPEATS).find(|new| rank::smallest(old, *new) <= level)?;
    u32::try_from(enough).ok()
}

/// Whether the difference is large enough to matter to anybody.
fn is_relevant(pair: &Pair<'_>) -> bool {
    let more = mean(&pair.new) - mean(&pair.old);
    match Kind::of(&pair.place.unit) {
        Some(Kind::Time) => {
            let of_all = |by: fn(f64, f64) -> f64| {
                let mut all: Vec<f64> =
                    pair.new.iter().flat_map(|new| pair.old.iter().map(move |old| by(*new, *old))).collect();
                all.sort_by(f64::total_cmp);
                median(&all)
            };
            of_all(|new, old| new - RELEVANT_RATIO * old) >= 0.0 && of_all(|new, old| new - old) >= RELEVANT_SECONDS
        }
        Some(Kind::Share) => more >= RELEVANT_PERCENT,
        Some(Kind::Count) => more >= RELEVANT_COUNT,
        None => false,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Of values in order; 0 where there are none.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
