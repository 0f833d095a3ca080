//! The command line over the REST API. It decides nothing: it asks, and prints the answer.
//!
//! [`nouns`] says which commands there are, [`command`] makes flags of it, [`body`] reads them,
//! [`run`](mod@run) asks through [`client`], [`table`] and [`import`] print.

mod body;
mod client;
mod command;
mod import;
mod login;
mod nouns;
mod run;
mod table;

use std::{io, path::PathBuf};

use serde_json::Value;

pub use self::run::run;

/// What a command asks the API for.
#[derive(Clone, Debug)]
pub struct Request {
    /// A noun and an action.
    pub command: (&'static str, &'static str),
    pub method: &'static str,
    pub path: &'static str,
    /// Names of parameters of the query, or JSON pointers into the body.
    pub fields: Vec<&'static str>,
}

/// What all commands ask for, to compare it with what there is.
pub fn requests() -> Vec<Request> {
    let nouns = nouns::NOUNS.iter().copied().flatten();
    let actions = nouns.flat_map(|noun| noun.actions.iter().map(move |action| (noun, action)));
    let request = |(noun, action): (&nouns::Noun, &'static nouns::Action)| Request {
        command: (noun.name, action.name),
        method: action.does.method(),
        path: action.path,
        fields: action.fields.iter().map(|field| field.at).collect(),
    };
    actions.map(request).collect()
}

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("not logged in: `kennet login URL EMAIL`")]
    NotLoggedIn,
    #[error("cannot {attempt} {}", path.display())]
    File { attempt: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not a login: log in again", .0.display())]
    NotALogin(PathBuf),
    #[error("there is no HOME to keep the login in: set KENNET_LOGIN_FILE")]
    NoHome,
    #[error("cannot read the password")]
    Password(#[source] io::Error),
    #[error("cannot ask {url}")]
    Ask { url: String, source: reqwest::Error },
    #[error("{url} answered something that is not JSON ({status})")]
    NotJson { url: String, status: u16, source: reqwest::Error },
    #[error("{}", describe(.0))]
    Problem(Value),
    #[error("there is no plan `{0}`")]
    NoSuchPlan(String),
    #[error("{field}: expected {expected}")]
    Field { field: &'static str, expected: &'static str },
    #[error("there is no column `{column}`; there are {known}")]
    Column { column: String, known: String },
    #[error("the same {column} stands in line {line}")]
    Twice { column: &'static str, line: u64 },
    #[error("not CSV")]
    Csv(#[source] csv::Error),
    #[error("{0} has no ETag, so that a change could not be told from another")]
    NoEtag(String),
    #[error("the answer has no `{0}`")]
    Lacks(&'static str),
    #[error("cannot print")]
    Print(#[source] io::Error),
}

#[expect(clippy::print_stderr, reason = "a command line says on standard error what went wrong")]
fn complain(text: &str) {
    eprintln!("kennet: {text}");
}

/// The title of a problem, and what is wrong with which field.
fn describe(problem: &Value) -> String {
    let text = |pointer: &str| problem.pointer(pointer).and_then(Value::as_str);
    let mut lines = vec![text("/title").unwrap_or("the controller refused").to_owned()];
    let errors = problem.pointer("/errors").and_then(Value::as_array);
    for error in errors.into_iter().flatten() {
        let word = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or("?");
        lines.push(format!("  {}: {}", word("field"), word("message")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_names_its_fields() {
        let problem = json!({
            "title": "some fields do not fit",
            "errors": [{ "field": "msisdn", "message": "expected a mobile number" }],
        });
        let error = CliError::Problem(problem);
        assert_eq!(error.to_string(), "some fields do not fit\n  msisdn: expected a mobile number");
    }
}
