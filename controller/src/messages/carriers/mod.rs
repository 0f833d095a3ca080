//! Message providers behind one trait: what is sent by them, and what they report.
//!
//! A carrier speaks one provider's words and decides nothing: it tells apart what was taken, what
//! was refused for good, what was not taken this time, and what nobody knows. To add one: a file
//! with the trait, a kind in [`Setup`] and in the check of the table `message_provider`.

mod africastalking;
mod cloud;
mod http;
mod smtp;

use std::{collections::BTreeMap, pin::Pin};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::secret::Secret;
use utoipa::ToSchema;
use uuid::Uuid;

use super::words::MessageChannel;
use crate::{prints::Language, reach::Outward, words::choices};

choices! {
    /// How the way to a mail server is kept private.
    Security {
        // STARTTLS, and nothing without it.
        Starttls = "starttls",
        // TLS from the first octet.
        Tls = "tls",
        // Not at all: for a server on the same machine, without a password.
        None = "none",
    }
}

/// Where a provider is, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[schema(example = json!({ "kind": "smtp", "host": "mail.savanna.example", "port": 587,
    "security": "starttls", "from": "billing@savanna.example", "username": "kennet" }))]
pub enum Setup {
    /// E-mail, over a mail server.
    Smtp {
        host: String,
        port: u16,
        security: Security,
        /// The address of the sender.
        from: String,
        /// With the secret as password; none: without a login.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        username: Option<String>,
        /// Who vouches for the server, in PEM; none: who does for the public internet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
    /// SMS, over Africa's Talking; the secret is the API key.
    Africastalking {
        username: String,
        /// A short code or a name that was registered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<String>,
        /// None: their own; for the sandbox and for tests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// SMS, over a program of your own: `{"id", "to", "text"}` with the secret as bearer.
    Http { url: String },
    /// WhatsApp, over Meta's Cloud API; the secret is the access token, the other the app secret.
    Cloud {
        /// What Meta calls the number.
        phone_number_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
}

impl Setup {
    pub(super) const fn channel(&self) -> MessageChannel {
        match self {
            Self::Smtp { .. } => MessageChannel::Email,
            Self::Africastalking { .. } | Self::Http { .. } => MessageChannel::Sms,
            Self::Cloud { .. } => MessageChannel::Whatsapp,
        }
    }

    /// What is wrong with it: where, and what would be right.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        match self {
            Self::Smtp { host, from, security, username, ca, port } => {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
                if host.is_empty() || host.len() > 253 || !host.chars().all(plain) {
                    return Err(("setup.host", "expected a host like mail.example.com"));
                }
                if *port == 0 {
                    return Err(("setup.port", "expected 1 to 65535"));
                }
                if from.parse::<lettre::message::Mailbox>().is_err() {
                    return Err(("setup.from", "expected an address like billing@example.com"));
                }
                if *security == Security::None && username.is_some() {
                    return Err(("setup.security", "a password is not sent in the clear"));
                }
                let readable = |pem: &String| smtp::certificate(pem).is_some();
                if ca.as_ref().is_some_and(|pem| !readable(pem)) {
                    return Err(("setup.ca", "expected a certificate in PEM"));
                }
                Ok(())
            }
            Self::Africastalking { username, sender: _, url } => {
                if username.is_empty() {
                    return Err(("setup.username", "expected the name of the account"));
                }
                url.as_ref().map_or(Ok(()), |url| is_url(url))
            }
            Self::Http { url } => is_url(url),
            Self::Cloud { phone_number_id, url } => {
                let digits = phone_number_id.bytes().all(|b| b.is_ascii_digit());
                if phone_number_id.is_empty() || !digits {
                    return Err(("setup.phone_number_id", "expected the digits of Meta's id"));
                }
                url.as_ref().map_or(Ok(()), |url| is_url(url))
            }
        }
    }

    /// What cannot be left out of the secrets.
    pub(super) const fn needs(&self) -> (bool, bool) {
        match self {
            Self::Smtp { username, .. } => (username.is_some(), false),
            Self::Africastalking { .. } | Self::Http { .. } => (true, false),
            Self::Cloud { .. } => (true, true),
        }
    }
}

fn is_url(url: &str) -> Result<(), (&'static str, &'static str)> {
    let fits = url.parse::<crate::webhooks::Url>().is_ok();
    if fits { Ok(()) } else { Err(("setup.url", "expected a place like https://host/path")) }
}

/// What opens a provider, and what signs its reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Secrets {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) report_secret: Option<Secret>,
}

/// A message as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) id: Uuid,
    /// An e-mail address, or the digits of a number.
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) body: Secret,
    pub(super) language: Language,
    /// WhatsApp: the facts in the order in which the approved text names them.
    pub(super) facts: Vec<String>,
    pub(super) attachment: Option<Attachment>,
    pub(super) at: Timestamp,
}

/// A PDF.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// It was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// What the provider calls it in its reports.
    pub(super) reference: Option<String>,
    /// Millionths of a currency.
    pub(super) cost: Option<(i64, String)>,
}

/// It was not taken, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It never will be.
    Never(String),
    /// It was not, for certain; it may be another time.
    Later(String),
    /// The answer is lost. To send it again may be to send it twice.
    Unknown(String),
}

/// What a provider says about something that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) reference: String,
    pub(super) fate: Fate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Failed(String),
    /// Still on its way.
    Underway,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is not signed, or not by the provider")]
    Forged,
    #[error("it is not what this provider reports")]
    Malformed,
    #[error("this provider reports nothing")]
    Mute,
}

pub(super) type Sending<'a> = Pin<Box<dyn Future<Output = Result<Taken, Refusal>> + Send + 'a>>;

pub(super) trait Carrier: Send + Sync {
    fn send<'a>(&'a self, letter: &'a Letter) -> Sending<'a>;

    fn read(
        &self,
        raw: &[u8],
        headers: &BTreeMap<String, String>,
        received_at: Timestamp,
    ) -> Result<Vec<Report>, Unreadable>;
}

pub(super) fn open(setup: &Setup, secrets: Secrets, outward: &Outward) -> Box<dyn Carrier> {
    let outward = outward.clone();
    let secret = secrets.secret.unwrap_or_else(|| Secret::new(String::new()));
    match setup.clone() {
        Setup::Smtp { host, port, security, from, username, ca } => {
            let login = username.map(|name| (name, secret));
            Box::new(smtp::Smtp { outward, host, port, security, from, login, ca })
        }
        Setup::Africastalking { username, sender, url } => {
            let url = url.unwrap_or_else(|| africastalking::URL.to_owned());
            let key = secret;
            Box::new(africastalking::AfricasTalking { outward, url, username, sender, key })
        }
        Setup::Http { url } => Box::new(http::Http { outward, url, secret }),
        Setup::Cloud { phone_number_id, url } => {
            let base = url.unwrap_or_else(|| cloud::URL.to_owned());
            let url = format!("{}/{phone_number_id}/messages", base.trim_end_matches('/'));
            let app_secret = secrets.report_secret.unwrap_or_else(|| Secret::new(String::new()));
            Box::new(cloud::Cloud { outward, url, token: secret, app_secret })
        }
    }
}

/// What came of a request: an answer, or a refusal that says whether it can have arrived.
async fn answer(
    request: reqwest::RequestBuilder,
) -> Result<(reqwest::StatusCode, Vec<u8>), Refusal> {
    let lost = |error: reqwest::Error| {
        let connect = error.is_connect();
        let text = shared::daemon::Chain(&error.without_url()).to_string();
        if connect { Refusal::Later(text) } else { Refusal::Unknown(text) }
    };
    let answer = request.send().await.map_err(lost)?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(lost)?;
    Ok((status, bytes.to_vec()))
}

/// What is said by a status that says no more.
fn refused(status: reqwest::StatusCode, said: &str) -> Refusal {
    let said: String = said.chars().take(SAID_MAX).collect();
    let text = format!("answered {status}: {said}");
    let away = status.is_server_error()
        || status == reqwest::StatusCode::TOO_MANY_REQUESTS
        || status == reqwest::StatusCode::UNAUTHORIZED
        || status == reqwest::StatusCode::FORBIDDEN;
    if away { Refusal::Later(text) } else { Refusal::Never(text) }
}

const SAID_MAX: usize = 300;
