//! What each command asks, and how its answer is printed.

use serde_json::{Value, json};

use super::{
    CliError,
    client::Client,
    commands::{
        Cli, Command, Edges, LoginArgs, Move, Nas, PageArgs, Plans, Sessions, Subscribers,
        Subscriptions,
    },
    login::{self, Login},
    table::{self, Column},
};

impl Cli {
    pub async fn run(self) -> Result<(), CliError> {
        let out = Out { json: self.json };
        if let Command::Login(arguments) = self.command {
            return log_in(arguments, out).await;
        }
        let client = Client::logged_in(Login::fresh().await?);
        match self.command {
            Command::Login(_) => Ok(()),
            Command::Logout => {
                client.post("/api/auth/logout", &Value::Null).await?;
                Login::forget()
            }
            Command::Whoami => out.one(&client.get("/api/auth/me", &[]).await?),
            Command::Subscribers(command) => subscribers(command, &client, out).await,
            Command::Plans(command) => plans(command, &client, out).await,
            Command::Subscriptions(command) => subscriptions(command, &client, out).await,
            Command::Nas(command) => nas(command, &client, out).await,
            Command::Edges(command) => edges(command, &client, out).await,
            Command::Sessions(command) => sessions(command, &client, out).await,
        }
    }
}

/// How answers are printed.
#[derive(Clone, Copy)]
struct Out {
    json: bool,
}

impl Out {
    fn one(self, value: &Value) -> Result<(), CliError> {
        let text = if self.json { format!("{value:#}") } else { table::one(value) };
        table::print(&text).map_err(CliError::Print)
    }

    fn list(self, page: &Value, columns: &[Column]) -> Result<(), CliError> {
        if self.json {
            return self.one(page);
        }
        let items = page.get("items").and_then(Value::as_array).ok_or(CliError::Lacks("items"))?;
        let mut text = table::list(items, columns);
        if let Some(next) = page.get("next").and_then(Value::as_str) {
            text.push_str("\nmore: --after ");
            text.push_str(next);
        }
        table::print(&text).map_err(CliError::Print)
    }
}

async fn log_in(arguments: LoginArgs, out: Out) -> Result<(), CliError> {
    let LoginArgs { url, email, password_file, code } = arguments;
    let password = login::password(password_file.as_deref())?;
    let client = Client::anonymous(&url);
    let program = "kennet on the command line";
    let body = present(json!({
        "email": email, "password": password, "code": code, "program": program,
    }));
    let answer = client.post("/api/auth/login", &body).await?;
    Login::of(client.server(), &answer)?.write()?;
    // The tokens are in the file; they have no business on a screen.
    out.one(answer.get("user").ok_or(CliError::Lacks("user"))?)
}

async fn subscribers(command: Subscribers, client: &Client, out: Out) -> Result<(), CliError> {
    match command {
        Subscribers::List { search, page } => {
            let query = page.query([("search", search)]);
            let columns = [
                ("ID", "/id"),
                ("Account", "/account_no"),
                ("Username", "/username"),
                ("Name", "/full_name"),
                ("Mobile", "/msisdn"),
                ("Status", "/status"),
            ];
            out.list(&client.get("/api/subscribers", &query).await?, &columns)
        }
        Subscribers::Show { id } => show(client, out, "/api/subscribers", &id).await,
        Subscribers::Create {
            username,
            full_name,
            password_file,
            msisdn,
            email,
            static_ip,
            macs,
        } => {
            let password = password_file.map(|file| login::password(Some(&file))).transpose()?;
            let body = present(json!({
                "username": username, "full_name": full_name, "password": password,
                "msisdn": msisdn, "email": email, "static_ip": static_ip, "macs": macs,
            }));
            out.one(&client.post("/api/subscribers", &body).await?)
        }
    }
}

async fn plans(command: Plans, client: &Client, out: Out) -> Result<(), CliError> {
    match command {
        Plans::List { page } => {
            let columns = [
                ("ID", "/id"),
                ("Code", "/code"),
                ("Name", "/name"),
                ("Down kbit/s", "/latest/terms/down_kbps"),
                ("Up kbit/s", "/latest/terms/up_kbps"),
                ("Cents", "/latest/terms/price_cents"),
                ("Version", "/latest/version"),
            ];
            out.list(&client.get("/api/plans", &page.query([])).await?, &columns)
        }
        Plans::Show { id } => show(client, out, "/api/plans", &id).await,
        Plans::Create {
            code,
            name,
            down_kbps,
            up_kbps,
            price_cents,
            access,
            billing,
            seconds,
            months,
            data_bytes,
            online_seconds,
            max_devices,
        } => {
            let terms = present(json!({
                "access": access, "billing": billing, "price_cents": price_cents,
                "validity_seconds": seconds, "validity_months": months,
                "data_bytes": data_bytes, "online_seconds": online_seconds,
                "down_kbps": down_kbps, "up_kbps": up_kbps, "max_devices": max_devices,
            }));
            let body = json!({ "code": code, "name": name, "terms": terms });
            out.one(&client.post("/api/plans", &body).await?)
        }
    }
}

async fn subscriptions(command: Subscriptions, client: &Client, out: Out) -> Result<(), CliError> {
    let (verb, Move { id, reason }) = match command {
        Subscriptions::List { subscriber, state, page } => {
            let query = page.query([("subscriber", subscriber), ("state", state)]);
            let columns = [
                ("ID", "/id"),
                ("Subscriber", "/subscriber"),
                ("State", "/state"),
                ("Desired", "/desired_rev"),
                ("Applied", "/applied_rev"),
            ];
            return out.list(&client.get("/api/subscriptions", &query).await?, &columns);
        }
        Subscriptions::Show { id } => {
            return show(client, out, "/api/subscriptions", &id).await;
        }
        Subscriptions::Create { subscriber, plan, activate, auto_renew } => {
            let body = json!({
                "subscriber": subscriber, "plan_version": latest(client, &plan).await?,
                "activate": activate, "auto_renew": auto_renew,
            });
            return out.one(&client.post("/api/subscriptions", &body).await?);
        }
        Subscriptions::Activate(to) => ("activate", to),
        Subscriptions::Suspend(to) => ("suspend", to),
        Subscriptions::Resume(to) => ("resume", to),
        Subscriptions::Expire(to) => ("expire", to),
        Subscriptions::Cancel(to) => ("cancel", to),
    };
    let body = present(json!({ "reason": reason }));
    out.one(&client.post(&format!("/api/subscriptions/{id}/{verb}"), &body).await?)
}

/// The latest version of a plan that is named by its id or its code.
async fn latest(client: &Client, plan: &str) -> Result<Value, CliError> {
    let mut after = None;
    loop {
        let query = PageArgs { limit: 500, after }.query([]);
        let page = client.get("/api/plans", &query).await?;
        let items = page.get("items").and_then(Value::as_array).ok_or(CliError::Lacks("items"))?;
        let names = |item: &&Value| {
            let is = |key| item.get(key).and_then(Value::as_str) == Some(plan);
            is("id") || is("code")
        };
        if let Some(found) = items.iter().find(names) {
            return found.pointer("/latest/id").cloned().ok_or(CliError::Lacks("latest.id"));
        }
        let next = page.get("next").and_then(Value::as_str);
        let Some(next) = next else { return Err(CliError::NoSuchPlan(plan.to_owned())) };
        after = Some(next.to_owned());
    }
}

async fn nas(command: Nas, client: &Client, out: Out) -> Result<(), CliError> {
    match command {
        Nas::List { page } => {
            let columns = [
                ("ID", "/id"),
                ("Name", "/name"),
                ("Address", "/address"),
                ("Edge", "/edge"),
                ("Enforce", "/enforce"),
                ("Vendor", "/vendor"),
            ];
            out.list(&client.get("/api/network/nas", &page.query([])).await?, &columns)
        }
        Nas::Show { id } => show(client, out, "/api/network/nas", &id).await,
        Nas::Create {
            edge,
            name,
            address,
            secret_file,
            enforce,
            vendor,
            without_message_authenticator,
        } => {
            let body = json!({
                "edge": edge, "name": name, "address": address, "enforce": enforce,
                "secret": login::password(Some(&secret_file))?, "vendor": vendor,
                "require_message_authenticator": !without_message_authenticator,
            });
            out.one(&client.post("/api/network/nas", &body).await?)
        }
    }
}

async fn edges(command: Edges, client: &Client, out: Out) -> Result<(), CliError> {
    match command {
        Edges::List { page } => {
            let columns = [
                ("ID", "/id"),
                ("Name", "/name"),
                ("Site", "/site"),
                ("On-line", "/online"),
                ("Last seen", "/last_seen"),
                ("Desired", "/desired_revision"),
                ("Applied", "/applied_revision"),
            ];
            out.list(&client.get("/api/network/edges", &page.query([])).await?, &columns)
        }
        Edges::Show { id } => show(client, out, "/api/network/edges", &id).await,
        Edges::Create { name, site } => {
            let body = present(json!({ "name": name, "site": site }));
            out.one(&client.post("/api/network/edges", &body).await?)
        }
        Edges::RenewSecret { id } => {
            let path = format!("/api/network/edges/{id}/secret");
            out.one(&client.post(&path, &json!({})).await?)
        }
    }
}

async fn sessions(command: Sessions, client: &Client, out: Out) -> Result<(), CliError> {
    match command {
        Sessions::List { state, subscriber, edge, page } => {
            let query = page.query([("state", state), ("subscriber", subscriber), ("edge", edge)]);
            let columns = [
                ("ID", "/id"),
                ("Username", "/username"),
                ("MAC", "/mac"),
                ("IP", "/ip"),
                ("Started", "/started_at"),
                ("Stopped", "/stopped_at"),
                ("Down bytes", "/down_bytes"),
                ("Up bytes", "/up_bytes"),
            ];
            out.list(&client.get("/api/sessions", &query).await?, &columns)
        }
        Sessions::Show { id } => show(client, out, "/api/sessions", &id).await,
        Sessions::End { id } => {
            let path = format!("/api/sessions/{id}/end");
            out.one(&client.post(&path, &json!({})).await?)
        }
    }
}

async fn show(client: &Client, out: Out, path: &str, id: &str) -> Result<(), CliError> {
    out.one(&client.get(&format!("{path}/{id}"), &[]).await?)
}

impl PageArgs {
    fn query<const N: usize>(
        self,
        filters: [(&'static str, Option<String>); N],
    ) -> Vec<(&'static str, String)> {
        let more = [("limit", Some(self.limit.to_string())), ("after", self.after)];
        let all = filters.into_iter().chain(more);
        all.filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// Without the fields that were not given.
fn present(mut body: Value) -> Value {
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    body
}
