//! What a bench that runs as a program of its own has measured, round for round.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::budgets::{self, Line};

/// Its last line that is JSON.
#[derive(Debug, Deserialize)]
pub(super) struct Measured {
    pub(super) machine: Value,
    pub(super) rows: Vec<Row>,
}

impl Measured {
    pub(super) fn read(said: &str) -> Result<Self> {
        let line =
            said.lines().rfind(|line| line.starts_with('{')).context("the bench says nothing")?;
        let measured: Self =
            serde_json::from_str(line).context("the bench measured something else")?;
        ensure!(!measured.rows.is_empty(), "no part of the bench has such a name");
        Ok(measured)
    }

    /// As tables, with what was promised of it.
    pub(super) fn report(&self, judge: fn(&[Row]) -> Vec<Line>) -> Value {
        println!("machine: {}", self.machine);
        print(&self.rows);
        let budgets = budgets::print(&judge(&self.rows));
        let rows: Vec<Value> = self.rows.iter().map(Row::to_json).collect();
        json!({ "machine": self.machine, "rows": rows, "budgets": budgets })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) figure: String,
    pub(super) case: String,
    pub(super) system: String,
    pub(super) unit: String,
    values: Vec<f64>,
}

impl Row {
    /// Of the rounds the one in the middle.
    pub(super) fn median(&self) -> f64 {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(super) fn most(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    pub(super) fn to_json(&self) -> Value {
        let Self { figure, case, system, unit, values } = self;
        json!({
            "figure": figure,
            "case": case,
            "system": system,
            "unit": unit,
            "median": self.median(),
            "min": self.least(),
            "max": self.most(),
            "values": values,
        })
    }
}

/// A table for each figure and case: the median, and the least and the most of all rounds.
fn print(rows: &[Row]) {
    let mut printed: Vec<(&str, &str)> = Vec::new();
    for first in rows {
        let key = (first.figure.as_str(), first.case.as_str());
        if printed.contains(&key) {
            continue;
        }
        printed.push(key);
        println!("\n{}, {}", first.figure, first.case);
        for row in rows.iter().filter(|row| (row.figure.as_str(), row.case.as_str()) == key) {
            let [median, least, most] = [row.median(), row.least(), row.most()].map(short);
            let (system, unit) = (&row.system, &row.unit);
            if row.values.len() == 1 {
                println!("  {system:<20} {median:>12} {unit}");
            } else {
                println!("  {system:<20} {median:>12} {unit:<7} {least:>12} to {most}");
            }
        }
    }
}

/// As many digits as say something.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        10_000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_round_counts() {
        let row: Row = serde_json::from_value(json!({
            "figure": "f", "case": "c", "system": "s", "unit": "ms", "values": [9.0, 1.0, 5.0]
        }))
        .expect("a row");
        let found = [row.median(), row.least(), row.most()].map(|value| value.to_string());
        assert_eq!(found, ["5", "1", "9"]);
    }
}
