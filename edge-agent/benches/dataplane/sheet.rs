//! What was measured: for each figure, case and system one value a round.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) figure: &'static str,
    pub(crate) case: String,
    pub(crate) system: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
}

/// In the order in which rows were first seen.
#[derive(Debug, Default)]
pub(crate) struct Sheet(Vec<Row>);

impl Sheet {
    pub(crate) fn add(
        &mut self,
        (figure, unit): (&'static str, &'static str),
        case: &str,
        system: &'static str,
        value: f64,
    ) {
        let there = self
            .0
            .iter_mut()
            .find(|row| row.figure == figure && row.case == case && row.system == system);
        if let Some(row) = there {
            row.values.push(value);
        } else {
            let case = case.to_owned();
            self.0.push(Row { figure, case, system, unit, values: vec![value] });
        }
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.0
    }
}

/// Of sorted values.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Jain's index: one when all have the same.
pub(crate) fn jain(values: &[f64]) -> f64 {
    let (sum, squares) =
        values.iter().fold((0.0, 0.0), |(sum, squares), it| (sum + it, squares + it * it));
    sum * sum / (count(values.len()) * squares)
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) const fn count(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a bench are far below 2^52")]
pub(crate) const fn float(number: u64) -> f64 {
    number as f64
}
