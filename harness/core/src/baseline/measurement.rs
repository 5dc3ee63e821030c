//! One figure of one run, and the file that keeps them: JSON lines in a fixed order, one a measurement, so that what a
//! run adds is told by the lines that it adds.

use crate::event::RunHeader;
use crate::verdict::Figure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is measured where. Only what agrees in all of it is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
pub struct Place {
    pub system: String,
    pub overlay: String,
    pub provider: String,
    /// Without the number of its round.
    pub scenario: String,
    pub figure: String,
    pub unit: String,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    pub system: String,
    pub overlay: String,
    pub provider: String,
    pub scenario: String,
    pub figure: String,
    pub unit: String,
    pub run: String,
    /// Which of the run's repeats, counted from 1.
    pub round: u32,
    pub value: f64,
}

impl Measurement {
    pub fn place(&self) -> Place {
        Place {
            system: self.system.clone(),
            overlay: self.overlay.clone(),
            provider: self.provider.clone(),
            scenario: self.scenario.clone(),
            figure: self.figure.clone(),
            unit: self.unit.clone(),
        }
    }

    fn order(&self) -> (Place, &str, u32) {
        (self.place(), &self.run, self.round)
    }
}

/// Where the figures of a run come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub system: String,
    pub overlay: String,
    pub provider: String,
    pub run: String,
}

impl Origin {
    pub fn of(header: &RunHeader) -> Self {
        Self {
            system: header.system.clone(),
            overlay: header.overlay.clone(),
            provider: header.provider.clone(),
            run: header.run.to_string(),
        }
    }

    /// What can be compared of the figures of that scenario, whose name may end in the number of its round.
    pub fn measurements(&self, scenario: &str, figures: &[Figure]) -> Vec<Measurement> {
        let (name, round) = scenario.split_once('#').unwrap_or((scenario, "1"));
        let measurement = |(figure, unit, value): (String, String, f64)| Measurement {
            system: self.system.clone(),
            overlay: self.overlay.clone(),
            provider: self.provider.clone(),
            scenario: name.to_owned(),
            figure,
            unit,
            run: self.run.clone(),
            round: round.parse().unwrap_or(1),
            value,
        };
        measured(figures).into_iter().map(measurement).collect()
    }
}

/// How a figure is compared. What is of no kind is not: numbers of probes, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In seconds; longer is worse.
    Time,
    /// In percent; more is worse.
    Share,
    /// Things that were lost; more is worse.
    Count,
}

impl Kind {
    pub fn of(unit: &str) -> Option<Self> {
        match unit {
            "s" => Some(Self::Time),
            "%" => Some(Self::Share),
            "writes" | "messages" => Some(Self::Count),
            _ => None,
        }
    }
}

/// Figures whose names go on with what chance or the cluster chose: the worst of them is one figure.
const FAMILIES: [(&str, &str); 2] = [("drain of ", "longest drain"), ("slowest refusal with ", "slowest refusal")];

/// How long the harness itself took is nobody's figure.
const OURS: [&str; 1] = ["sweep"];

/// What can be compared of the figures of one scenario: name, unit and value, in the order of names.
fn measured(figures: &[Figure]) -> Vec<(String, String, f64)> {
    let mut worst: BTreeMap<(String, String), f64> = BTreeMap::new();
    let ours = |figure: &&Figure| OURS.contains(&figure.name.as_str());
    for figure in figures.iter().filter(|figure| Kind::of(&figure.unit).is_some() && !ours(figure)) {
        let family = FAMILIES.iter().find(|(begins, _)| figure.name.starts_with(begins));
        let name = family.map_or(figure.name.as_str(), |(_, name)| name);
        let value = worst.entry((name.to_owned(), figure.unit.clone())).or_insert(figure.value);
        *value = value.max(figure.value);
    }
    worst.into_iter().map(|((name, unit), value)| (name, unit, value)).collect()
}

/// Reads the file's text.
///
/// # Errors
/// The number of a line and why it is no measurement.
pub fn parse(text: &str) -> Result<Vec<Measurement>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            let measurement: Measurement =
                serde_json::from_str(line).map_err(|error| format!("line {}: no measurement: {error}", n + 1))?;
            if measurement.value.is_finite() && measurement.value >= 0.0 {
                return Ok(measurement);
            }
            Err(format!("line {}: {} is no value of a figure", n + 1, measurement.value))
        })
        .collect()
}

/// The file's text: in order, and each measurement once. Of several of the same round of the same run the last counts.
pub fn render(measurements: &[Measurement]) -> String {
    let by_order: BTreeMap<_, &Measurement> = measurements.iter().map(|one| (one.order(), one)).collect();
    let line = |one: &&Measurement| serde_json::to_string(one).map(|line| line + "\n").unwrap_or_default();
    by_order.values().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, value: f64, unit: &str) -> Figure {
        Figure { name: name.into(), value, unit: unit.into(), limit: None }
    }

    fn measurement(figure: &str, run: &str, value: f64) -> Measurement {
        Measurement {
            system: "shop".into(),
            overlay: "production".into(),
            provider: "embedded".into(),
            scenario: "redis.failover".into(),
            figure: figure.into(),
            unit: "s".into(),
            run: run.into(),
            round: 1,
            value,
        }
    }

    #[test]
    fn the_file_is_in_order_whatever_was_added_first_and_the_same_run_counts_once() {
        let (a, b) = (measurement("failover time", "r2", 9.5), measurement("failover time", "r1", 9.0));
        let other = measurement("rejoin time", "r1", 5.0);
        let again = measurement("failover time", "r2", 9.6);
        let text = render(&[other.clone(), a, b.clone(), again.clone()]);
        assert_eq!(parse(&text).unwrap(), [b, again, other]);
        let first = r#"{"system":"shop","overlay":"production","provider":"embedded","scenario":"redis.failover","figure":"failover time","unit":"s","run":"r1","round":1,"value":9.0}"#;
        assert_eq!(text.lines().next(), Some(first));
        assert_eq!(render(&parse(&text).unwrap()), text);
    }

    #[test]
    fn a_bad_line_is_named() {
        let good = render(&[measurement("a", "r", 1.0)]);
        for (bad, says) in [
            ("{}", "line 2: no measurement: missing field `system`"),
            (&good.replace("1.0", "-1.0"), "line 2: -1 is no value of a figure"),
            (&good.replace("\"run\"", "\"ran\""), "line 2: no measurement: unknown field `ran`"),
        ] {
            let error = parse(&format!("{good}{bad}\n")).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }

    #[test]
    fn what_chance_named_is_one_figure_and_what_is_no_measure_is_none() {
        let figures = [
            figure("drain of worker-1", 30.0, "s"),
            figure("drain of worker-2", 44.0, "s"),
            figure("redis: acknowledged writes lost", 0.2, "%"),
            figure("redis: fewest ready", 5.0, "pods"),
            figure("sweep", 9.0, "s"),
            figure("slowest refusal with most servers down", 5.1, "s"),
        ];
        let expected = [
            ("longest drain", "s", 44.0),
            ("redis: acknowledged writes lost", "%", 0.2),
            ("slowest refusal", "s", 5.1),
        ];
        let expected = expected.map(|(name, unit, value)| (name.to_owned(), unit.to_owned(), value));
        assert_eq!(measured(&figures), expected);
        let origin = Origin { system: "s".into(), overlay: "o".into(), provider: "p".into(), run: "r".into() };
        let third = origin.measurements("drain.quorum#3", &figures);
        assert_eq!((third[0].scenario.as_str(), third[0].round, third.len()), ("drain.quorum", 3, 3));
    }
}
