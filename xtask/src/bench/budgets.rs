//! What was promised, held against what was measured (pure, but for printing).

use serde_json::{Value, json};

use super::rows::{Row, short};

/// What a median, or of several cases the worst one, must come to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Either way from zero.
    Within(f64),
}

impl Bound {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Within(most) => value.abs() <= most,
        }
    }

    fn text(self, unit: &str) -> String {
        let (sign, bound) = match self {
            Self::AtLeast(bound) => (">=", bound),
            Self::AtMost(bound) => ("<=", bound),
            Self::Within(bound) => ("within", bound),
        };
        format!("{sign} {bound} {unit}").trim_end().to_owned()
    }
}

#[derive(Debug)]
pub(super) struct Budget {
    figure: &'static str,
    /// The case; all when it is empty, and with `~` those that have the rest in their name.
    case: &'static str,
    system: &'static str,
    bound: Bound,
}

pub(super) const fn budget(
    figure: &'static str,
    case: &'static str,
    system: &'static str,
    bound: Bound,
) -> Budget {
    Budget { figure, case, system, bound }
}

/// A budget, and whether it is kept.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) budget: String,
    pub(super) measured: String,
    pub(super) is_met: bool,
}

/// One line for each budget that these rows have measured. Of a figure of `every_round` the worst
/// round counts, else the median.
pub(super) fn judge(rows: &[Row], budgets: &[Budget], every_round: &[&str]) -> Vec<Line> {
    let mut lines = Vec::new();
    for Budget { figure, case, system, bound } in budgets {
        let is_it = |row: &&Row| {
            let is_case = match case.strip_prefix('~') {
                Some(part) => row.case.contains(part),
                None => case.is_empty() || row.case == *case,
            };
            row.figure == *figure && row.system == *system && is_case
        };
        let value = |row: &Row| match bound {
            _ if !every_round.contains(figure) => row.median(),
            Bound::AtLeast(_) => row.least(),
            Bound::AtMost(_) | Bound::Within(_) => row.most(),
        };
        let worst = rows.iter().filter(is_it).max_by(|one, other| {
            let (one, other) = (value(one), value(other));
            match bound {
                Bound::AtLeast(_) => other.total_cmp(&one),
                Bound::AtMost(_) => one.total_cmp(&other),
                Bound::Within(_) => one.abs().total_cmp(&other.abs()),
            }
        });
        let Some(worst) = worst else { continue };
        let unit = &worst.unit;
        lines.push(Line {
            budget: format!("{figure} {}: {system}, {}", bound.text(unit), worst.case),
            measured: format!("{} {unit}", short(value(worst))),
            is_met: bound.is_met(value(worst)),
        });
    }
    lines
}

/// For people, and the same for programs.
pub(super) fn print(lines: &[Line]) -> Vec<Value> {
    if !lines.is_empty() {
        println!("\nbudgets:");
    }
    for Line { budget, measured, is_met } in lines {
        let verdict = if *is_met { "ok" } else { "MISSED" };
        println!("{budget:<94} {measured:>12}  {verdict}");
    }
    let json = |Line { budget, measured, is_met }: &Line| json!({ "budget": budget, "measured": measured, "is_met": is_met });
    lines.iter().map(json).collect()
}
