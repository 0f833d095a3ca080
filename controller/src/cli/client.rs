//! Asks the controller.

use reqwest::{
    Method, RequestBuilder, Response,
    header::{ETAG, IF_MATCH},
};
use serde_json::Value;
use shared::secret::Secret;
use uuid::Uuid;

use super::{CliError, login::Login};

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    server: String,
    token: Option<Secret>,
}

impl Client {
    /// Who is not logged in yet.
    pub(super) fn anonymous(server: &str) -> Self {
        // Fails only if a provider is there already, which is as good.
        let _there = rustls::crypto::ring::default_provider().install_default();
        let server = server.trim_end_matches('/').to_owned();
        Self { http: reqwest::Client::new(), server, token: None }
    }

    pub(super) fn logged_in(login: Login) -> Self {
        Self { token: Some(login.token), ..Self::anonymous(&login.server) }
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }

    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Value, CliError> {
        let request = self.request(Method::GET, path).query(query);
        self.send(path, request).await
    }

    /// A key of its own lets the controller tell a retry from a second wish.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.post_as(&Uuid::now_v7().to_string(), path, body).await
    }

    /// The same key is the same wish.
    pub(super) async fn post_as(
        &self,
        key: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, CliError> {
        let request = self.request(Method::POST, path).json(body);
        self.send(path, request.header("idempotency-key", key)).await
    }

    /// Changes what is there now.
    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let seen = self.answer(path, self.request(Method::GET, path)).await?;
        let etag = seen.headers().get(ETAG).cloned();
        read(path, seen).await?;
        let etag = etag.ok_or_else(|| CliError::NoEtag(path.to_owned()))?;
        let request = self.request(Method::PATCH, path).json(body).header(IF_MATCH, etag);
        self.send(path, request).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), CliError> {
        self.send(path, self.request(Method::DELETE, path)).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Value, CliError> {
        read(path, self.answer(path, request).await?).await
    }

    async fn answer(&self, path: &str, request: RequestBuilder) -> Result<Response, CliError> {
        let url = || format!("{}{path}", self.server);
        request.send().await.map_err(|source| CliError::Ask { url: url(), source })
    }
}

async fn read(path: &str, response: Response) -> Result<Value, CliError> {
    let status = response.status();
    if status == reqwest::StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    let (url, code) = (path.to_owned(), status.as_u16());
    let body = response.json().await;
    let body = body.map_err(|source| CliError::NotJson { url, status: code, source })?;
    if status.is_success() { Ok(body) } else { Err(CliError::Problem(body)) }
}
