//! From what was typed, or stands in a row of CSV, to a query or a body. Pure but for the files of
//! secrets.

use std::path::Path;

use clap::{ArgMatches, parser::ValueSource};
use serde_json::{Map, Value, json};

use super::{
    CliError, login,
    nouns::{Field, Kind, Need},
};

/// The filters of a list.
pub(super) fn query(fields: &[Field], matches: &ArgMatches) -> Vec<(&'static str, String)> {
    let given = |field: &Field| {
        let value = matches.get_one::<String>(field.flag)?;
        Some((field.at, value.clone()))
    };
    fields.iter().filter_map(given).collect()
}

/// The body of a request. What a plan is called is looked up later: see [`Kind::Plan`].
pub(super) fn typed(fields: &[Field], matches: &ArgMatches) -> Result<Value, CliError> {
    let mut body = Value::Object(Map::new());
    for field in fields {
        let one = || matches.get_one::<String>(field.flag);
        let value = match field.kind {
            Kind::Truth(meant) => {
                let given = matches.value_source(field.flag) == Some(ValueSource::CommandLine);
                given.then_some(Value::Bool(meant))
            }
            Kind::Many | Kind::Lines => {
                let given = matches.get_many::<String>(field.flag).into_iter().flatten();
                let values: Result<Vec<_>, _> = given.map(|text| part(field, text)).collect();
                Some(Value::Array(values?)).filter(|all| *all != json!([]))
            }
            Kind::Secret => match one() {
                Some(file) => Some(json!(login::password(Some(Path::new(file)))?)),
                None => None,
            },
            Kind::Free | Kind::Text(_) | Kind::Number | Kind::Plan => {
                one().map(|text| scalar(field, text)).transpose()?
            }
        };
        if let Some(value) = value {
            put(&mut body, field.at, value);
        }
    }
    Ok(body)
}

/// The body that a row of CSV stands for; an empty cell is not there.
pub(super) fn row<'r>(
    fields: &[Field],
    cell: impl Fn(&str) -> Option<&'r str>,
) -> Result<Value, CliError> {
    let mut body = Value::Object(Map::new());
    for field in fields {
        let text = cell(field.column()).map(str::trim).filter(|text| !text.is_empty());
        let default = match field.need {
            Need::Else(value) => Some(value),
            Need::Must | Need::May | Need::Or(_) => None,
        };
        let Some(text) = text.or(default) else {
            if matches!(field.need, Need::Must) {
                return Err(CliError::Field { field: field.column(), expected: "a value" });
            }
            continue;
        };
        let value = match field.kind {
            Kind::Truth(meant) => match text {
                "yes" | "true" | "1" => Value::Bool(meant),
                "no" | "false" | "0" => Value::Bool(!meant),
                _ => return Err(CliError::Field { field: field.column(), expected: "yes or no" }),
            },
            Kind::Many => Value::Array(text.split_whitespace().map(Value::from).collect()),
            Kind::Lines => {
                let lines: Result<Vec<_>, _> =
                    text.split(';').map(|one| part(field, one)).collect();
                Value::Array(lines?)
            }
            Kind::Secret => Value::from(text),
            Kind::Free | Kind::Text(_) | Kind::Number | Kind::Plan => scalar(field, text)?,
        };
        put(&mut body, field.at, value);
    }
    Ok(body)
}

fn scalar(field: &Field, text: &str) -> Result<Value, CliError> {
    match field.kind {
        Kind::Number => text
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| CliError::Field { field: field.column(), expected: "a whole number" }),
        Kind::Text(check) => match check(text) {
            Ok(()) => Ok(Value::from(text)),
            Err(word) => Err(CliError::Field { field: field.column(), expected: word.0 }),
        },
        Kind::Free | Kind::Truth(_) | Kind::Secret | Kind::Many | Kind::Lines | Kind::Plan => {
            Ok(Value::from(text))
        }
    }
}

fn part(field: &Field, text: &str) -> Result<Value, CliError> {
    if !matches!(field.kind, Kind::Lines) {
        return Ok(Value::from(text));
    }
    let line = text.rsplit_once('=').and_then(|(descr, cents)| {
        let cents: i64 = cents.trim().parse().ok()?;
        Some(json!({ "descr": descr.trim(), "price_cents": cents }))
    });
    let expected = "DESCRIPTION=CENTS";
    line.ok_or(CliError::Field { field: field.column(), expected })
}

/// Makes the objects on the way.
fn put(body: &mut Value, at: &str, value: Value) {
    let mut here = body;
    let mut words = at.split('/').skip(1).peekable();
    while let Some(word) = words.next() {
        let Value::Object(fields) = here else { return };
        if words.peek().is_none() {
            fields.insert(word.to_owned(), value);
            return;
        }
        here = fields.entry(word).or_insert_with(|| Value::Object(Map::new()));
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            command::{Chosen, chosen, command},
            nouns::NOUNS,
        },
        *,
    };

    fn body(words: &str) -> Result<Value, CliError> {
        let matches = command().try_get_matches_from(words.split('_')).expect("it parses");
        let Some(Chosen::Action(action, matches)) = chosen(&matches) else { panic!("an action") };
        typed(action.fields, matches)
    }

    #[test]
    fn flags_become_a_body() {
        let plan = body(
            "kennet_plans_create_--code_home_--name_Home 20_--down-kbps_20000_--up-kbps_9_\
             --price-cents_250000_--months_1",
        );
        let terms = json!({
            "access": "hotspot", "billing": "prepaid", "down_kbps": 20_000, "up_kbps": 9,
            "price_cents": 250_000, "validity_months": 1, "max_devices": 1,
        });
        assert_eq!(plan.unwrap(), json!({ "code": "home", "name": "Home 20", "terms": terms }));
        let invoice =
            body("kennet_invoices_create_--subscriber_s_--line_Set up = 100_--line_Off=-5");
        let lines = json!([{ "descr": "Set up", "price_cents": 100 },
                           { "descr": "Off", "price_cents": -5 }]);
        assert_eq!(invoice.unwrap(), json!({ "subscriber": "s", "lines": lines }));
        let keep = body("kennet_payments_create_--provider_cash_--amount-cents_5_--keep").unwrap();
        assert_eq!(keep["allocate"], false);
        let wrong = body("kennet_subscribers_create_--username_a_--full-name_A_--msisdn_0712");
        let says = "msisdn: expected a Kenyan mobile number like 254712345678";
        assert_eq!(wrong.unwrap_err().to_string(), says);
    }

    #[test]
    fn a_row_becomes_the_same_body() {
        let subscribers = NOUNS.iter().copied().flatten().find(|noun| noun.name == "subscribers");
        let create = subscribers.unwrap().action("create").unwrap();
        let cells = |username: &'static str| {
            move |column: &str| match column {
                "username" => Some(username),
                "full_name" => Some("Amina Wanjiru"),
                "macs" => Some("02:00:00:00:00:01 02:00:00:00:00:02"),
                _ => Some(" "),
            }
        };
        let macs = json!(["02:00:00:00:00:01", "02:00:00:00:00:02"]);
        let want = json!({ "username": "amina", "full_name": "Amina Wanjiru", "macs": macs });
        assert_eq!(row(create.fields, cells("amina")).unwrap(), want);
        let error = row(create.fields, cells("")).unwrap_err().to_string();
        assert_eq!(error, "username: expected a value");
        assert!(row(create.fields, cells("a b")).unwrap_err().to_string().contains("username: "));
    }
}
