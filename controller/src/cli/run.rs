//! What each command asks the controller, and how its answer is printed.

use std::process::ExitCode;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::{
    CliError, body,
    client::Client,
    command::{Chosen, chosen, command},
    import,
    login::{self, Login},
    nouns::{Action, Does, Field, Kind},
    table::{self, Column},
};

/// Runs what was typed.
pub async fn run() -> Result<ExitCode, CliError> {
    let matches = command().get_matches();
    let out = Out { json: matches.get_flag("json"), csv: matches.get_flag("csv") };
    let chosen = chosen(&matches).ok_or(CliError::Lacks("subcommand"))?;
    if let Chosen::Login(matches) = chosen {
        return log_in(matches, out).await.map(|()| ExitCode::SUCCESS);
    }
    let client = Client::logged_in(Login::fresh().await?);
    match chosen {
        Chosen::Login(_) => {}
        Chosen::Logout => {
            client.post("/api/auth/logout", &Value::Null).await?;
            Login::forget()?;
        }
        Chosen::Whoami => out.one(&client.get("/api/auth/me", &[]).await?)?,
        Chosen::Verify => return verify(&client, out).await,
        Chosen::Import(noun, matches) => return import::run(noun, matches, &client, out).await,
        Chosen::Action(action, matches) => act(action, matches, &client, out).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// How answers are printed.
#[derive(Clone, Copy)]
pub(super) struct Out {
    json: bool,
    csv: bool,
}

impl Out {
    pub(super) fn one(self, value: &Value) -> Result<(), CliError> {
        if value.is_null() {
            return Ok(());
        }
        let text = if self.json { format!("{value:#}") } else { table::one(value) };
        table::print(&text).map_err(CliError::Print)
    }

    /// `whole` is what was answered, `items` the list in it.
    pub(super) fn list(
        self,
        whole: &Value,
        items: &[Value],
        columns: &[Column],
    ) -> Result<(), CliError> {
        if self.json {
            return self.one(whole);
        }
        if self.csv {
            return import::write(items, columns);
        }
        let mut text = table::list(items, columns);
        if let Some(next) = whole.get("next").and_then(Value::as_str) {
            text.push_str("\nmore: --all, or --after ");
            text.push_str(next);
        }
        table::print(&text).map_err(CliError::Print)
    }
}

async fn log_in(matches: &ArgMatches, out: Out) -> Result<(), CliError> {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let password = login::password(text("password-file").map(std::path::Path::new))?;
    let client = Client::anonymous(text("url").unwrap_or_default());
    let program = "kennet on the command line";
    let mut body = json!({ "email": text("email"), "password": password, "program": program });
    if let (Some(code), Value::Object(fields)) = (text("code"), &mut body) {
        fields.insert("code".to_owned(), json!(code));
    }
    let answer = client.post("/api/auth/login", &body).await?;
    Login::of(client.server(), &answer)?.write()?;
    // The tokens are in the file; they have no business on a screen.
    out.one(answer.get("user").ok_or(CliError::Lacks("user"))?)
}

async fn verify(client: &Client, out: Out) -> Result<ExitCode, CliError> {
    let answer = client.get("/api/audit/books", &[]).await?;
    let checks = answer.get("checks").and_then(Value::as_array).ok_or(CliError::Lacks("checks"))?;
    let columns = [("Faults", "/faults"), ("Rows", "/rows"), ("Of", "/name"), ("Holds", "/holds")];
    out.list(&answer, checks, &columns)?;
    let fault = checks.iter().find(|check| check.get("first").is_some_and(Value::is_string));
    let Some(fault) = fault else { return Ok(ExitCode::SUCCESS) };
    let word = |name| fault.get(name).and_then(Value::as_str).unwrap_or_default();
    super::complain(&format!("{}: {}", word("name"), word("first")));
    Ok(ExitCode::from(FAULT))
}

async fn act(
    action: &'static Action,
    matches: &ArgMatches,
    client: &Client,
    out: Out,
) -> Result<(), CliError> {
    let path = match matches.try_get_one::<String>("id") {
        Ok(Some(id)) => action.path.replace("{id}", id),
        Ok(None) | Err(_) => action.path.to_owned(),
    };
    match action.does {
        Does::List(columns) => {
            let query = body::query(action.fields, matches);
            let page = pages(client, &path, query, matches).await?;
            let items = page.get("items").and_then(Value::as_array);
            out.list(&page, items.ok_or(CliError::Lacks("items"))?, columns)
        }
        Does::ShowList(at, columns) => {
            let answer = client.get(&path, &body::query(action.fields, matches)).await?;
            let items = answer.pointer(at).and_then(Value::as_array);
            out.list(&answer, items.ok_or(CliError::Lacks("a list"))?, columns)
        }
        Does::Show => out.one(&client.get(&path, &body::query(action.fields, matches)).await?),
        Does::Post => {
            let body = body::typed(action.fields, matches)?;
            let body = with_plan(client, action.fields, body).await?;
            out.one(&client.post(&path, &body).await?)
        }
        Does::Patch => {
            let body = body::typed(action.fields, matches)?;
            out.one(&client.patch(&path, &body).await?)
        }
        Does::Delete => client.delete(&path).await,
    }
}

/// One page, or all of them as one.
async fn pages(
    client: &Client,
    path: &str,
    query: Vec<(&'static str, String)>,
    matches: &ArgMatches,
) -> Result<Value, CliError> {
    if matches.get_flag("all") {
        return all(client, path, query).await;
    }
    let mut query = query;
    if let Some(limit) = matches.get_one::<u32>("limit") {
        query.push(("limit", limit.to_string()));
    }
    if let Some(after) = matches.get_one::<String>("after") {
        query.push(("after", after.clone()));
    }
    client.get(path, &query).await
}

/// Every item that there is, in the form of a page.
pub(super) async fn all(
    client: &Client,
    path: &str,
    query: Vec<(&'static str, String)>,
) -> Result<Value, CliError> {
    let mut items = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = query.clone();
        query.push(("limit", "500".to_owned()));
        query.extend(after.take().map(|after| ("after", after)));
        let mut page = client.get(path, &query).await?;
        let more = page.get_mut("items").and_then(Value::as_array_mut);
        items.append(more.ok_or(CliError::Lacks("items"))?);
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(json!({ "items": items, "next": null })),
        }
    }
}

/// In the place of a plan's code or id goes its latest version.
pub(super) async fn with_plan(
    client: &Client,
    fields: &[Field],
    mut body: Value,
) -> Result<Value, CliError> {
    for field in fields.iter().filter(|field| matches!(field.kind, Kind::Plan)) {
        let Some(value) = body.pointer_mut(field.at) else { continue };
        let plan = value.as_str().unwrap_or_default().to_owned();
        *value = latest(client, &plan).await?;
    }
    Ok(body)
}

/// The latest version of a plan that is named by its id or its code.
async fn latest(client: &Client, plan: &str) -> Result<Value, CliError> {
    let plans = all(client, "/api/plans", Vec::new()).await?;
    let items = plans.get("items").and_then(Value::as_array);
    let names = |item: &&Value| {
        let is = |key| item.get(key).and_then(Value::as_str) == Some(plan);
        is("id") || is("code")
    };
    let found = items.into_iter().flatten().find(names);
    let found = found.ok_or_else(|| CliError::NoSuchPlan(plan.to_owned()))?;
    found.pointer("/latest/id").cloned().ok_or(CliError::Lacks("latest.id"))
}

/// As `kennet-controller verify`.
const FAULT: u8 = 2;
