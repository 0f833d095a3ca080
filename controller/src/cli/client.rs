//! Asks the controller.

use reqwest::{Method, RequestBuilder};
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
        let request = self.request(Method::POST, path).json(body);
        let request = request.header("idempotency-key", Uuid::now_v7().to_string());
        self.send(path, request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Value, CliError> {
        let url = format!("{}{path}", self.server);
        let response = request.send().await;
        let response = response.map_err(|source| CliError::Ask { url: url.clone(), source })?;
        let status = response.status();
        if status == reqwest::StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let body = response.json().await;
        let status_code = status.as_u16();
        let body = body.map_err(|source| CliError::NotJson { url, status: status_code, source })?;
        if status.is_success() { Ok(body) } else { Err(CliError::Problem(body)) }
    }
}
