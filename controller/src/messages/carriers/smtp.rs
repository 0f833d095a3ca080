//! E-mail, over a mail server (RFC 5321), with STARTTLS or TLS and a login.
//!
//! The library's pool is not used: it does not say whether what failed was the way to the server
//! or the message, and connects to whatever a name resolves to.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use lettre::{
    Message,
    message::{Attachment, Mailbox, MultiPart, SinglePart, header::ContentType},
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        extension::ClientId,
    },
};
use shared::{daemon::Chain, secret::Secret};

use super::{Carrier, Letter, Refusal, Report, Security, Sending, Taken, Unreadable};
use crate::reach::Outward;

pub(super) struct Smtp {
    pub(super) outward: Outward,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) from: String,
    pub(super) login: Option<(String, Secret)>,
    pub(super) ca: Option<String>,
}

impl Carrier for Smtp {
    fn send<'a>(&'a self, letter: &'a Letter) -> Sending<'a> {
        Box::pin(self.post(letter))
    }

    fn read(
        &self,
        _raw: &[u8],
        _headers: &BTreeMap<String, String>,
        _received_at: Timestamp,
    ) -> Result<Vec<Report>, Unreadable> {
        Err(Unreadable::Mute)
    }
}

impl Smtp {
    async fn post(&self, letter: &Letter) -> Result<Taken, Refusal> {
        let (message, id) = self.write(letter).map_err(Refusal::Never)?;
        let opened = tokio::time::timeout(TIMEOUT, self.connect()).await;
        let late = || "the mail server does not answer".to_owned();
        let mut connection = opened.map_err(|_| Refusal::Later(late()))??;
        let bytes = message.formatted();
        let sent = connection.send(message.envelope(), &bytes);
        let sent = match tokio::time::timeout(TIMEOUT, sent).await {
            Ok(sent) => sent,
            // The last thing that was heard of it may be that all of it was there.
            Err(_late) => return Err(Refusal::Unknown(late())),
        };
        match sent {
            Ok(_taken) => {
                // It has the message; how it says goodbye changes nothing.
                let _gone = tokio::time::timeout(GOODBYE, connection.quit()).await;
                Ok(Taken { reference: Some(id), cost: None })
            }
            Err(error) => {
                let text = Chain(&error).to_string();
                if error.is_permanent() || error.is_client() {
                    Err(Refusal::Never(text))
                } else if error.is_transient() {
                    Err(Refusal::Later(text))
                } else {
                    Err(Refusal::Unknown(text))
                }
            }
        }
    }

    /// Up to where a message can be given. Whatever goes wrong here, none was.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Refusal> {
        let addresses = self.outward.addresses(self.host.trim_matches(['[', ']']), self.port).await;
        let addresses = addresses.map_err(|error| Refusal::Later(Chain(&error).to_string()))?;
        let tls = || match self.parameters() {
            Ok(parameters) => Ok(parameters),
            Err(error) => Err(Refusal::Later(Chain(&error).to_string())),
        };
        let said =
            |error: lettre::transport::smtp::Error| Refusal::Later(Chain(&error).to_string());
        let at_once = match self.security {
            Security::Tls => Some(tls()?),
            Security::Starttls | Security::None => None,
        };
        let hello = self.hello();
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            addresses.as_slice(),
            Some(TIMEOUT),
            &hello,
            at_once,
            None,
        )
        .await
        .map_err(said)?;
        if self.security == Security::Starttls {
            connection.starttls(tls()?, &hello).await.map_err(said)?;
        }
        if let Some((name, password)) = &self.login {
            let credentials = Credentials::new(name.clone(), password.expose().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(said)?;
        }
        Ok(connection)
    }

    fn parameters(&self) -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let builder = TlsParameters::builder(self.host.trim_matches(['[', ']']).to_owned());
        match self.ca.as_deref().and_then(certificate) {
            Some(ca) => builder.certificate_store(CertificateStore::None).add_root_certificate(ca),
            None => builder,
        }
        .build_rustls()
    }

    /// As who it is that says hello: the sender's domain.
    fn hello(&self) -> ClientId {
        let mailbox = self.from.parse::<Mailbox>().ok();
        mailbox.map_or_else(ClientId::default, |mailbox| {
            ClientId::Domain(mailbox.email.domain().to_owned())
        })
    }

    /// The message, and what it is called.
    fn write(&self, letter: &Letter) -> Result<(Message, String), String> {
        let from: Mailbox = self.from.parse().map_err(|error| format!("sender: {error}"))?;
        let to: Mailbox = letter.to.parse().map_err(|error| format!("recipient: {error}"))?;
        let id = format!("<{}@{}>", letter.id.simple(), from.email.domain());
        let seconds = u64::try_from(letter.at.as_second()).unwrap_or_default();
        let message = Message::builder()
            .from(from)
            .to(to)
            .subject(&letter.subject)
            .message_id(Some(id.clone()))
            .date(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
            .header(AutoSubmitted);
        let text = SinglePart::plain(letter.body.expose().to_owned());
        let message = match &letter.attachment {
            None => message.singlepart(text),
            Some(attachment) => {
                let kind = ContentType::parse("application/pdf")
                    .map_err(|error| format!("attachment: {error}"))?;
                let file =
                    Attachment::new(attachment.name.clone()).body(attachment.bytes.clone(), kind);
                message.multipart(MultiPart::mixed().singlepart(text).singlepart(file))
            }
        };
        Ok((message.map_err(|error| error.to_string())?, id))
    }
}

/// RFC 3834: nobody's absence is to be told about it.
#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        let (name, value) = (<Self as lettre::message::header::Header>::name(), "auto-generated");
        lettre::message::header::HeaderValue::new(name, value.to_owned())
    }
}

/// One certificate in PEM.
pub(super) fn certificate(pem: &str) -> Option<Certificate> {
    Certificate::from_pem(pem.as_bytes()).ok().filter(|_| pem.contains("BEGIN CERTIFICATE"))
}

const TIMEOUT: Duration = Duration::from_secs(30);
const GOODBYE: Duration = Duration::from_secs(2);
