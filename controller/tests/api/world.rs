//! A controller that serves, and a client that asks it.

use std::{net::SocketAddr, sync::Arc};

use controller::{
    app::App,
    db::Db,
    settings::{Flags, Settings},
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use shared::daemon::Life;
use sqlx::{
    ConnectOptions as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::net::TcpListener;

use crate::cluster::Shared;

/// Everything stops when it is dropped.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) db: Db,
    /// Superuser: what row level security hides is there.
    pub(crate) admin: PgPool,
    /// To its database, as superuser.
    pub(crate) options: PgConnectOptions,
    pub(crate) url: String,
    http: reqwest::Client,
    life: Life,
    _cluster: Arc<Shared>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.ask_to_stop();
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// A problem of this type.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, kind: &str) -> Self {
        assert_eq!(self.text("/type"), kind, "{}", self.body);
        assert_eq!(self.body.pointer("/status"), Some(&Value::from(status)));
        assert_eq!(self.header("content-type"), "application/problem+json");
        self.is(status)
    }

    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no text at {pointer} in {}", self.body)).to_owned()
    }

    #[track_caller]
    pub(crate) fn number(&self, pointer: &str) -> i64 {
        let number = self.body.pointer(pointer).and_then(Value::as_i64);
        number.unwrap_or_else(|| panic!("no number at {pointer} in {}", self.body))
    }

    #[track_caller]
    pub(crate) fn items(&self, pointer: &str) -> &[Value] {
        let items = self.body.pointer(pointer).and_then(Value::as_array);
        items.unwrap_or_else(|| panic!("no list at {pointer} in {}", self.body))
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.to_str().expect("visible")
    }

    #[track_caller]
    pub(crate) fn etag(&self) -> String {
        self.header("etag").to_owned()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Flags)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = tokio::task::spawn_blocking(Shared::get).await.expect("it does not panic");
        let folder = cluster.make_folder();
        let options = cluster.make_database().await;
        let admin = PgPoolOptions::new()
            .max_connections(2)
            .after_connect(|conn, _| {
                Box::pin(async move {
                    sqlx::query("SET search_path = kennet").execute(conn).await.map(drop)
                })
            })
            .connect_with(options.clone())
            .await
            .expect("a superuser's connection");
        let db = Db::open(&options);
        let data_dir = folder.to_str().expect("a path in UTF-8").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let public_url = Some(url.clone());
        // The programs that tests tell things are on this machine.
        let private_targets = Some("allow".to_owned());
        let mut flags =
            Flags { data_dir: Some(data_dir), public_url, private_targets, ..Flags::default() };
        change(&mut flags);
        let settings = Settings::read(&flags).expect("settings");
        let app = App::new(&settings, db.clone()).expect("an app");
        let service = app.clone().router().into_make_service_with_connect_info::<SocketAddr>();
        let life = Life::default();
        life.spawn_short(async move {
            axum::serve(listener, service).await.expect("it serves");
        });
        let http = reqwest::Client::new();
        Self { app, db, admin, options, url, http, life, _cluster: cluster }
    }

    /// Another program that listens; says where.
    pub(crate) async fn serve(&self, router: axum::Router) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        self.life.spawn_short(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        url
    }

    /// Its database, for programs.
    pub(crate) fn address(&self) -> String {
        self.address_of(self.options.get_database().expect("it has a name"))
    }

    /// Of another database in its cluster.
    pub(crate) fn address_of(&self, database: &str) -> String {
        let mut url = self.options.clone().database(database).to_url_lossy();
        // What only this program's driver knows.
        url.set_query(None);
        url.to_string()
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("a body");
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Reply { status, headers, body }
    }

    /// An answer that goes on and on.
    pub(crate) async fn open(&self, path: &str, token: &str) -> reqwest::Response {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(token);
        request.send().await.expect("an answer")
    }

    /// The first tenant, and its owner at a desk.
    pub(crate) async fn owner(&self) -> Staff<'_> {
        let reply = self.register("First", "owner@first.example").await.is(201);
        self.staff(&reply.text("/token"))
    }

    pub(crate) async fn register(&self, tenant: &str, email: &str) -> Reply {
        let body = json!({
            "tenant": tenant, "name": "Olive Owner", "email": email, "password": PASSWORD,
        });
        self.ask("POST", "/api/auth/register", &[], Some(body)).await
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Reply {
        let body = json!({ "email": email, "password": password });
        self.ask("POST", "/api/auth/login", &[], Some(body)).await
    }

    /// As [`World::ask`], for futures that live on their own.
    pub(crate) async fn ask_owned(
        &self,
        method: &'static str,
        path: &'static str,
        body: Value,
    ) -> Reply {
        self.ask(method, path, &[], Some(body)).await
    }

    pub(crate) fn staff(&self, token: &str) -> Staff<'_> {
        Staff { world: self, bearer: format!("Bearer {token}") }
    }

    /// One number that a superuser reads.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.admin).await.expect("a number")
    }
}

/// Somebody who is logged in.
pub(crate) struct Staff<'w> {
    world: &'w World,
    bearer: String,
}

impl<'w> Staff<'w> {
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        let mut all = vec![("authorization", self.bearer.as_str())];
        all.extend_from_slice(headers);
        self.world.ask(method, path, &all, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], None).await
    }

    /// What is no text.
    pub(crate) async fn bytes(&self, method: &str, path: &str, body: Option<Value>) -> Vec<u8> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.world.http.request(method, format!("{}{path}", self.world.url));
        let mut request = request.header("authorization", &self.bearer);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.bytes().await.expect("a body").to_vec()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask("POST", path, &[], Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, etag: &str, body: Value) -> Reply {
        self.ask("PATCH", path, &[("if-match", etag)], Some(body)).await
    }

    /// Adds a colleague, and logs them in.
    pub(crate) async fn hire(&self, role: &str) -> Staff<'w> {
        let email = format!("{role}@first.example");
        let body = json!({ "email": email, "name": role, "role": role, "password": PASSWORD });
        self.post("/api/operators", body).await.is(201);
        let reply = self.world.login(&email, PASSWORD).await.is(200);
        self.world.staff(&reply.text("/token"))
    }

    pub(crate) async fn subscriber(&self, username: &str) -> String {
        let body = json!({ "username": username, "full_name": "A Name", "password": "radius" });
        self.post("/api/subscribers", body).await.is(201).text("/id")
    }

    /// A plan's first version.
    pub(crate) async fn plan_version(&self, code: &str) -> String {
        let body = json!({ "code": code, "name": "A plan", "terms": terms() });
        self.post("/api/plans", body).await.is(201).text("/latest/id")
    }

    /// Debits less credits of an account; the books balance.
    pub(crate) async fn balance(&self, code: &str) -> i64 {
        let books = self.get("/api/finance/accounts").await.is(200);
        assert_eq!(books.number("/debit_cents"), books.number("/credit_cents"));
        let mut sum = 0;
        for (n, account) in books.items("/accounts").iter().enumerate() {
            if account.get("code").and_then(Value::as_str) == Some(code) {
                sum += books.number(&format!("/accounts/{n}/debit_cents"));
                sum -= books.number(&format!("/accounts/{n}/credit_cents"));
            }
        }
        sum
    }

    pub(crate) async fn edge(&self) -> String {
        let body = json!({ "name": "north" });
        self.post("/api/network/edges", body).await.is(201).text("/id")
    }
}

/// All at once, on one task.
pub(crate) async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}

pub(crate) fn terms() -> Value {
    json!({
        "access": "hotspot", "billing": "prepaid", "price_cents": 5000,
        "validity_seconds": 86_400, "down_kbps": 10_000, "up_kbps": 5_000,
    })
}

pub(crate) const PASSWORD: &str = "correct horse";
