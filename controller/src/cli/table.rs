//! Prints answers: a list as a table, one object as its fields. Pure but for the last step.

use std::io::{self, Write as _};

use comfy_table::{Table, presets::NOTHING};
use serde_json::Value;

/// A column's title, and where its value is in an item.
pub(super) type Column = (&'static str, &'static str);

pub(super) fn list(items: &[Value], columns: &[Column]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns.iter().map(|(title, _)| *title));
    for item in items {
        table.add_row(columns.iter().map(|(_, at)| amount(at, item.pointer(at))));
    }
    table.to_string()
}

/// Fields of fields are named by their path.
pub(super) fn one(object: &Value) -> String {
    let mut rows = Vec::new();
    flatten("", object, &mut rows);
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(String, String)| format!("{name:width$}  {value}");
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}") {
        // `kennet … | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn flatten(prefix: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    let Value::Object(fields) = value else {
        rows.push((prefix.to_owned(), cell(Some(value))));
        return;
    };
    for (name, value) in fields {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        flatten(&name, value, rows);
    }
}

/// Cents are for programs: people read whole units.
fn amount(at: &str, value: Option<&Value>) -> String {
    match value.and_then(Value::as_i64) {
        Some(cents) if at.ends_with("_cents") => {
            let sign = if cents < 0 { "-" } else { "" };
            let cents = cents.unsigned_abs();
            format!("{sign}{}.{:02}", cents / 100, cents % 100)
        }
        Some(_) | None => cell(value),
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(" ")
        }
        Some(value @ (Value::Number(_) | Value::Object(_))) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_has_a_line_for_each_item() {
        let items = [json!({ "id": 1, "plan": { "name": "Home" } }), json!({ "id": 2 })];
        let text = list(&items, &[("ID", "/id"), ("Plan", "/plan/name")]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines.iter().any(|line| line.contains('1') && line.contains("Home")), "{text}");
        assert!(lines.iter().any(|line| line.contains('2') && line.contains('-')), "{text}");
    }

    #[test]
    fn cents_are_written_as_people_read_them() {
        let item = [json!({ "a_cents": 5005, "b_cents": -7, "n": 5005 })];
        let text = list(&item, &[("A", "/a_cents"), ("B", "/b_cents"), ("N", "/n")]);
        assert!(
            text.contains("50.05") && text.contains("-0.07") && text.contains("5005"),
            "{text}"
        );
    }

    #[test]
    fn an_object_has_a_line_for_each_field() {
        let text = one(&json!({ "id": "a", "terms": { "macs": ["x", "y"], "grace": null } }));
        assert_eq!(text, "id           a\nterms.grace  -\nterms.macs   x y");
    }
}
