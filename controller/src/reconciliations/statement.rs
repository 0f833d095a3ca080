//! A provider's statement as CSV. Pure.
//!
//! M-Pesa's organisation portal writes some lines of its own above the names of the columns; only
//! the columns `Receipt No.` and `Paid In` are needed, or `receipt` and `amount`. With `Details` and
//! `Withdrawn` it also says what the provider has kept for itself.

use csv::ReaderBuilder;
use serde_json::Value;

use crate::{billing::Cents, gateways, words::Receipt};

#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    #[error("no line has the columns `Receipt No.` and `Paid In`, or `receipt` and `amount`")]
    NoColumns,
    #[error("line {line}: {what}")]
    Line { line: u64, what: &'static str },
    #[error("it is not CSV")]
    NotCsv(#[from] csv::Error),
}

/// A row of money that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) receipt: Receipt,
    pub(super) amount: Cents,
    /// What the payer typed, if there is such a column.
    pub(super) reference: Option<String>,
}

/// What the provider has kept for moving money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fee {
    /// Of what was moved.
    pub(super) receipt: Receipt,
    pub(super) descr: String,
    pub(super) amount: Cents,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Statement {
    pub(super) rows: Vec<Row>,
    pub(super) fees: Vec<Fee>,
}

/// Rows in which nothing came in, and that are no fees, are left out.
pub(super) fn read(text: &str) -> Result<Statement, StatementError> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut columns: Option<Columns> = None;
    let mut statement = Statement::default();
    for record in reader.records() {
        let record = record?;
        let Some(columns) = columns else {
            columns = Columns::find(&record);
            continue;
        };
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| record.get(at).map(str::trim).unwrap_or_default();
        let (receipt, amount) = (cell(columns.receipt), cell(columns.amount));
        let money = |text: &str| match text {
            "" => Ok(Cents::ZERO),
            text => gateways::shillings(&Value::from(text))
                .ok_or(StatementError::Line { line, what: "expected an amount like 1,500.00" }),
        };
        let amount = money(amount)?;
        let descr = columns.details.map(cell).unwrap_or_default();
        let is_fee = amount == Cents::ZERO && is_fee(descr);
        if amount == Cents::ZERO && !is_fee {
            continue;
        }
        let receipt = receipt
            .parse()
            .map_err(|_| StatementError::Line { line, what: "expected a receipt" })?;
        if is_fee {
            // Some write what goes out below zero.
            let amount = money(columns.withdrawn.map(cell).unwrap_or_default().trim_matches('-'))?;
            if amount > Cents::ZERO {
                let descr = descr.chars().take(DESCR_MAX).collect();
                statement.fees.push(Fee { receipt, descr, amount });
            }
            continue;
        }
        let reference = columns.reference.map(cell).filter(|text| !text.is_empty());
        let reference = reference.map(str::to_owned);
        statement.rows.push(Row { receipt, amount, reference });
    }
    if columns.is_none() { Err(StatementError::NoColumns) } else { Ok(statement) }
}

/// As M-Pesa words them: "Pay Bill Charge", "B2C Payment Fee".
fn is_fee(details: &str) -> bool {
    let details = details.to_lowercase();
    ["charge", "fee"].iter().any(|word| details.split_whitespace().any(|one| one.contains(word)))
}

const DESCR_MAX: usize = 200;

#[derive(Clone, Copy, Debug)]
struct Columns {
    receipt: usize,
    amount: usize,
    reference: Option<usize>,
    details: Option<usize>,
    withdrawn: Option<usize>,
}

impl Columns {
    fn find(record: &csv::StringRecord) -> Option<Self> {
        let at = |names: &[&str]| {
            let fits = |cell: &str| {
                let cell = cell.trim().trim_start_matches('\u{feff}').to_lowercase();
                names.contains(&cell.as_str())
            };
            record.iter().position(fits)
        };
        Some(Self {
            receipt: at(&["receipt no.", "receipt no", "receipt"])?,
            amount: at(&["paid in", "amount"])?,
            reference: at(&["a/c no.", "account no.", "account", "reference"]),
            details: at(&["details"]),
            withdrawn: at(&["withdrawn"]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portals_file_and_a_plain_one_are_read() {
        let portal = "Organization: KenNet,,,\nFrom 28-11-2026,,,\n\
            \u{feff}Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,\
            Balance,A/C No.\n\
            TK60708BHZ,28-11-2026 10:00:00,Pay Bill,Completed,\"1,500.00\",,41880264.80,100001\n\
            TK60708BHY,28-11-2026 10:01:00,Charge,Completed,,22.40,41880242.40,\n";
        let Statement { rows, fees } = read(portal).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(fees.len(), 1);
        assert_eq!((fees[0].receipt.as_str(), fees[0].amount.get()), ("TK60708BHY", 2240));
        assert_eq!((rows[0].receipt.as_str(), rows[0].amount.get()), ("TK60708BHZ", 150_000));
        assert_eq!(rows[0].reference.as_deref(), Some("100001"));
        let plain = read("receipt,amount\nA,1\nB,2.50\n").unwrap();
        assert!(plain.fees.is_empty());
        assert_eq!(plain.rows.iter().map(|row| row.amount.get()).sum::<i64>(), 350);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(matches!(read("a,b\n1,2\n"), Err(StatementError::NoColumns)));
        let wrong = read("receipt,amount\nA,x\n").unwrap_err().to_string();
        assert_eq!(wrong, "line 2: expected an amount like 1,500.00");
        let wrong = read("receipt,amount\nA B,1\n").unwrap_err().to_string();
        assert_eq!(wrong, "line 2: expected a receipt");
    }
}
