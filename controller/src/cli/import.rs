//! CSV: lists out, rows in. A dry run changes nothing and says what would happen to each row.

use std::{collections::BTreeMap, fs::File, io, process::ExitCode};

use clap::ArgMatches;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared::daemon::Chain;

use super::{
    CliError, body,
    client::Client,
    complain,
    nouns::{Action, Does, Field, Noun},
    run::{self, Out},
    table::Column,
};
use crate::token;

/// Amounts are in cents, as they are read in again.
pub(super) fn write(items: &[Value], columns: &[Column]) -> Result<(), CliError> {
    let mut out = csv::Writer::from_writer(io::stdout().lock());
    let mut lines = || -> Result<(), csv::Error> {
        out.write_record(columns.iter().map(|(_, at)| at.rsplit('/').next().unwrap_or(at)))?;
        for item in items {
            out.write_record(columns.iter().map(|(_, at)| cell(item.pointer(at))))?;
        }
        Ok(out.flush()?)
    };
    match lines() {
        // `kennet … | head` is no failure.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        result => result.map_err(CliError::Csv),
    }
}

fn is_broken_pipe(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(" ")
        }
        Some(value @ (Value::Bool(_) | Value::Number(_) | Value::Object(_))) => value.to_string(),
    }
}

/// A line of the file, and what it stands for.
struct Row {
    line: u64,
    body: Result<Value, CliError>,
}

/// What became of the rows, or would.
#[derive(Default)]
struct Tally {
    added: u32,
    there: u32,
    faults: u32,
}

pub(super) async fn run(
    noun: &'static Noun,
    matches: &ArgMatches,
    client: &Client,
    out: Out,
) -> Result<ExitCode, CliError> {
    let create = noun.action("create").ok_or(CliError::Lacks("create"))?;
    let file = matches.get_one::<String>("file").map(String::as_str).unwrap_or_default();
    let rows = read(file, create.fields, &known_columns(noun))?;
    let dry = matches.get_flag("dry-run");
    let there = there(noun, create, client).await?;
    let mut tally = Tally::default();
    let mut seen = BTreeMap::new();
    for Row { line, body } in rows {
        match one(create, client, dry, &there, &mut seen, line, body).await {
            Ok(Fate::Added) => tally.added += 1,
            Ok(Fate::There) => tally.there += 1,
            Err(error) => {
                tally.faults += 1;
                complain(&format!("{file}:{line}: {}", Chain(&error)));
            }
        }
    }
    let Tally { added, there, faults } = tally;
    out.one(&json!({ "dry_run": dry, "added": added, "there_already": there, "faults": faults }))?;
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

enum Fate {
    Added,
    There,
}

async fn one(
    create: &'static Action,
    client: &Client,
    dry: bool,
    there: &[(&'static str, String)],
    seen: &mut BTreeMap<(&'static str, String), u64>,
    line: u64,
    body: Result<Value, CliError>,
) -> Result<Fate, CliError> {
    let body = body?;
    for field in create.fields.iter().filter(|field| field.unique) {
        let Some(text) = body.pointer(field.at).and_then(Value::as_str) else { continue };
        let place = (field.column(), text.to_owned());
        if there.contains(&place) {
            return Ok(Fate::There);
        }
        if let Some(before) = seen.insert(place, line) {
            return Err(CliError::Twice { column: field.column(), line: before });
        }
    }
    // Also in a dry run: a plan that is not there is found by asking for it.
    let body = run::with_plan(client, create.fields, body).await?;
    if !dry {
        client.post_as(&key(create.path, &body), create.path, &body).await?;
    }
    Ok(Fate::Added)
}

/// The same row of the same file makes one thing, however often it is sent.
fn key(path: &str, body: &Value) -> String {
    let hash = Sha256::digest(format!("{path}\n{body}").as_bytes());
    format!("csv-{}", token::hex(hash.as_slice().split_at(16).0))
}

/// What a list of the noun prints: a file that came out goes in again.
fn known_columns(noun: &Noun) -> Vec<&'static str> {
    let Some(Does::List(columns)) = noun.action("list").map(|list| list.does) else {
        return Vec::new();
    };
    columns.iter().map(|(_, at)| at.rsplit('/').next().unwrap_or(at)).collect()
}

fn read(
    file: &str,
    fields: &'static [Field],
    known: &[&'static str],
) -> Result<Vec<Row>, CliError> {
    let opened = File::open(file).map_err(|source| {
        let path = file.into();
        CliError::File { attempt: "read", path, source }
    })?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(opened);
    let columns = reader.headers().map_err(CliError::Csv)?.clone();
    for column in &columns {
        let is_field = fields.iter().any(|field| field.column() == column);
        if !is_field && !known.contains(&column) {
            let names = fields.iter().map(Field::column).collect::<Vec<_>>().join(", ");
            return Err(CliError::Column { column: column.to_owned(), known: names });
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(CliError::Csv)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |name: &str| {
            let n = columns.iter().position(|column| column == name)?;
            record.get(n)
        };
        rows.push(Row { line, body: body::row(fields, cell) });
    }
    Ok(rows)
}

/// The unique fields of all that there is.
async fn there(
    noun: &Noun,
    create: &'static Action,
    client: &Client,
) -> Result<Vec<(&'static str, String)>, CliError> {
    let Some(list) = noun.action("list") else { return Ok(Vec::new()) };
    if !create.fields.iter().any(|field| field.unique) {
        return Ok(Vec::new());
    }
    let page = run::all(client, list.path, Vec::new()).await?;
    let items = page.get("items").and_then(Value::as_array).into_iter().flatten();
    let mut there = Vec::new();
    for item in items {
        for field in create.fields.iter().filter(|field| field.unique) {
            let text = item.pointer(field.at).and_then(Value::as_str);
            there.extend(text.map(|text| (field.column(), text.to_owned())));
        }
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_row_has_the_same_key() {
        let row = json!({ "username": "amina" });
        assert_eq!(key("/api/subscribers", &row), key("/api/subscribers", &row));
        assert_ne!(key("/api/subscribers", &row), key("/api/plans", &row));
        assert!((8..=128).contains(&key("/", &row).len()));
    }

    #[test]
    fn cells_are_what_is_read_in_again() {
        let item = json!({ "macs": ["a", "b"], "email": null, "price_cents": 5000 });
        let of = |at: &str| cell(item.pointer(at));
        assert_eq!(
            (of("/macs"), of("/email"), of("/price_cents")),
            ("a b".to_owned(), String::new(), "5000".to_owned())
        );
    }
}
