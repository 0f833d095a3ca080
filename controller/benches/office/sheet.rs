//! What was measured: for each figure, case and system one value a round. Pure.

use std::time::Duration;

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    figure: &'static str,
    case: String,
    system: &'static str,
    unit: &'static str,
    values: Vec<f64>,
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
        let is_it =
            |row: &&mut Row| row.figure == figure && row.case == case && row.system == system;
        if let Some(row) = self.0.iter_mut().find(is_it) {
            row.values.push(value);
        } else {
            self.0.push(Row { figure, case: case.to_owned(), system, unit, values: vec![value] });
        }
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.0
    }
}

/// How long each of many took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// So many of a thousand are not longer, in milliseconds.
    pub(crate) fn within(&self, permille: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * permille / 1_000).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) const fn float(number: u64) -> f64 {
    number as f64
}
