//! HTTP to providers: one client, the right machine, and a token that is shared.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use shared::secret::Secret;
use tokio::{sync::Mutex, time::Instant};

use super::{Environment, OpenError};
use crate::payments::Provider;

/// Where the providers' machines are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hosts {
    http: reqwest::Client,
    simulator: Option<Arc<str>>,
}

impl Hosts {
    /// `simulator`: where `kennet-paysim` is, if accounts may use it.
    pub fn new(simulator: Option<&str>) -> Self {
        // Fails only if a provider is there already, which is as good.
        let _there = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(ANSWER_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap_or_default();
        Self { http, simulator: simulator.map(|url| url.trim_end_matches('/').into()) }
    }

    pub(super) fn wire(
        &self,
        provider: Provider,
        environment: Environment,
    ) -> Result<Wire, OpenError> {
        let base = match (environment, provider) {
            (_, Provider::Cash | Provider::Bank) => return Err(OpenError::NoProvider),
            (Environment::Simulator, _) => {
                self.simulator.as_deref().ok_or(OpenError::NoSimulator)?
            }
            (Environment::Production, Provider::Mpesa) => "https://api.safaricom.co.ke",
            (Environment::Sandbox, Provider::Mpesa) => "https://sandbox.safaricom.co.ke",
            (Environment::Production, Provider::Airtel) => "https://openapi.airtel.africa",
            (Environment::Sandbox, Provider::Airtel) => "https://openapiuat.airtel.africa",
            // Their sandboxes are told apart by the key.
            (Environment::Production | Environment::Sandbox, Provider::Paystack) => {
                "https://api.paystack.co"
            }
            (Environment::Production | Environment::Sandbox, Provider::Stripe) => {
                "https://api.stripe.com"
            }
        };
        Ok(Wire { http: self.http.clone(), base: base.into(), token: Arc::default() })
    }
}

/// What was answered. Nobody knows what a request without an answer did.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// To one account at one machine.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    http: reqwest::Client,
    base: Arc<str>,
    token: Arc<Mutex<Option<Token>>>,
}

#[derive(Clone, Debug)]
struct Token {
    secret: Secret,
    renew_at: Instant,
}

impl Wire {
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// None: no answer, or none that is JSON.
    pub(super) async fn send(&self, request: RequestBuilder) -> Option<Said> {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                // Its URL may hold an id, never a secret: those are in headers and bodies.
                tracing::debug!(%error, "a provider does not answer");
                return None;
            }
        };
        let status = response.status();
        let body = response.json().await.ok()?;
        Some(Said { status, body })
    }

    /// The token of the account; who comes while it is fetched waits for it.
    pub(super) async fn token<F>(&self, fetch: impl FnOnce() -> F) -> Option<Secret>
    where
        F: Future<Output = Option<(Secret, Duration)>>,
    {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Some(token.secret.clone());
        }
        let (secret, life) = fetch().await?;
        let renew_at = Instant::now() + life * 4 / 5;
        *token = Some(Token { secret: secret.clone(), renew_at });
        Some(secret)
    }

    /// The provider does not take this one any more.
    pub(super) async fn forget(&self, used: &Secret) {
        let mut token = self.token.lock().await;
        if token.as_ref().is_some_and(|token| token.secret == *used) {
            *token = None;
        }
    }
}

/// What a provider may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
