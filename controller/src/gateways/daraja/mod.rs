//! M-Pesa, by Safaricom's Daraja API: prompts, the paybill, pull, payouts and reversals.
//!
//! Its callbacks are not signed and come once, never or often; a prompt that was not answered for
//! may have been paid. So `push` tells refusal from silence, and what a callback says of money is
//! a claim.

mod answers;
pub(crate) mod clock;
mod codes;
mod letters;

pub(crate) use self::letters::{Question, question};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, header::AUTHORIZATION};
use serde_json::{Value, json};
use shared::secret::Secret;

use super::{
    About, Answer, Ask, AskError, Can, Collected, Fact, Gateway, GiveBack, Identity, Letter,
    NewSend, Register, Reply, Secrets, Submit, Unreadable, Window,
    wire::{Said, Wire},
};

#[derive(Debug)]
pub(super) struct Daraja {
    wire: Wire,
    shortcode: String,
    till: Option<String>,
    secrets: Secrets,
}

impl Daraja {
    pub(super) fn new(wire: Wire, identity: Identity, secrets: Secrets) -> Self {
        let Identity { shortcode, till, .. } = identity;
        Self { wire, shortcode: shortcode.as_str().to_owned(), till, secrets }
    }

    async fn token(&self) -> Option<Secret> {
        self.wire
            .token(|| async {
                let words = |secret: &Option<Secret>| {
                    secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default()
                };
                let login = format!("{}:{}", words(&self.secrets.key), words(&self.secrets.secret));
                let request = self.wire.request(Method::GET, TOKEN);
                let request =
                    request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(login)));
                answers::token(&self.wire.send(request).await?)
            })
            .await
    }

    /// Once more if the token was not taken: a new one anywhere ends the old one.
    async fn post(&self, path: &str, body: &Value) -> Option<Said> {
        for again in [true, false] {
            let token = self.token().await?;
            let request = self.wire.request(Method::POST, path).bearer_auth(token.expose());
            let said = self.wire.send(request.json(body)).await?;
            if !(again && answers::error_code(&said) == Some("404.001.03")) {
                return Some(said);
            }
            self.wire.forget(&token).await;
        }
        None
    }

    /// What signs a prompt, and when that was.
    fn password(&self, now: Timestamp) -> (String, String) {
        let stamp = clock::pack(now);
        let passkey = self.secrets.passkey.as_ref().map(Secret::expose).unwrap_or_default();
        (STANDARD.encode(format!("{}{passkey}{stamp}", self.shortcode)), stamp)
    }

    async fn prompt(&self, ask: Ask<'_>, now: Timestamp) -> Submit {
        let Some(msisdn) = ask.msisdn else {
            return Submit::Refused { code: "no-msisdn".to_owned(), again: false };
        };
        let (password, stamp) = self.password(now);
        let kind = match self.till {
            Some(_) => "CustomerBuyGoodsOnline",
            None => "CustomerPayBillOnline",
        };
        let body = json!({
            "BusinessShortCode": self.shortcode, "Password": password, "Timestamp": stamp,
            "TransactionType": kind, "Amount": whole(ask.amount.get()),
            "PartyA": msisdn, "PartyB": self.till.as_ref().unwrap_or(&self.shortcode),
            "PhoneNumber": msisdn, "CallBackURL": ask.callback,
            "AccountReference": ask.reference, "TransactionDesc": "Internet",
        });
        match self.post("/mpesa/stkpush/v1/processrequest", &body).await {
            Some(said) => answers::prompt(&said),
            None => Submit::NoAnswer,
        }
    }

    async fn came_of(&self, about: About<'_>, now: Timestamp) -> Answer {
        // It knows what it called the prompt, and nothing of ours.
        let Some(checkout) = about.provider_ref else { return Answer::NoAnswer };
        let (password, stamp) = self.password(now);
        let body = json!({
            "BusinessShortCode": self.shortcode, "Password": password, "Timestamp": stamp,
            "CheckoutRequestID": checkout,
        });
        match self.post("/mpesa/stkpushquery/v1/query", &body).await {
            Some(said) => answers::query(&said),
            None => Answer::NoAnswer,
        }
    }

    async fn rows(&self, window: Window) -> Result<Vec<Collected>, AskError> {
        let mut rows = Vec::new();
        for page in 0..PAGES_MAX {
            let body = json!({
                "ShortCode": self.shortcode, "StartDate": clock::write(window.from),
                // Seconds are cut off, so that the last one would be left out.
                "EndDate": clock::write(window.until + SignedDuration::from_secs(1)),
                "OffSetValue": rows.len().to_string(),
            });
            let said = self.post("/pulltransactions/v1/query", &body).await;
            let more = answers::rows(&said.ok_or(AskError::NoAnswer)?)?;
            if more.is_empty() {
                return Ok(rows);
            }
            for row in &more {
                match letters::pulled(row) {
                    Ok(row) => rows.push(row),
                    // The others are worth more than to wait for this one.
                    Err(error) => tracing::error!(%error, page, "a pulled row is unreadable"),
                }
            }
        }
        Err(AskError::Refused(format!("more than {PAGES_MAX} pages of one window")))
    }

    async fn tell(&self, at: Register<'_>) -> Result<(), AskError> {
        let body = json!({
            "ShortCode": self.shortcode, "ResponseType": "Completed",
            "ConfirmationURL": at.confirmation, "ValidationURL": at.validation,
        });
        let said = self.post("/mpesa/c2b/v2/registerurl", &body).await;
        answers::taken(&said.ok_or(AskError::NoAnswer)?)?;
        let body = json!({
            "ShortCode": self.shortcode, "RequestType": "Pull", "NominatedNumber": "",
            "CallBackURL": at.confirmation,
        });
        let said = self.post("/pulltransactions/v1/register", &body).await;
        answers::pull_registered(&said.ok_or(AskError::NoAnswer)?)
    }

    fn initiator(&self) -> (&str, &str) {
        let Secrets { initiator, credential, .. } = &self.secrets;
        let name = initiator.as_ref().map(Secret::expose).unwrap_or_default();
        (name, credential.as_ref().map(Secret::expose).unwrap_or_default())
    }

    async fn pay_out(&self, new: NewSend<'_>) -> Submit {
        let (initiator, credential) = self.initiator();
        let body = json!({
            "OriginatorConversationID": new.payout.as_uuid(), "InitiatorName": initiator,
            "SecurityCredential": credential, "CommandID": "BusinessPayment",
            "Amount": whole(new.amount.get()), "PartyA": self.shortcode, "PartyB": new.msisdn,
            "Remarks": "Settlement", "QueueTimeOutURL": new.timeout, "ResultURL": new.result,
            "Occassion": "",
        });
        match self.post("/mpesa/b2c/v3/paymentrequest", &body).await {
            Some(said) => answers::submitted(&said),
            None => Submit::NoAnswer,
        }
    }

    async fn status(&self, new: NewSend<'_>) -> Result<(), AskError> {
        let (initiator, credential) = self.initiator();
        let body = json!({
            "Initiator": initiator, "SecurityCredential": credential,
            "CommandID": "TransactionStatusQuery", "TransactionID": "",
            "OriginalConversationID": new.payout.as_uuid(), "PartyA": self.shortcode,
            "IdentifierType": "4", "ResultURL": new.result, "QueueTimeOutURL": new.timeout,
            "Remarks": "OK", "Occasion": "OK",
        });
        let said = self.post("/mpesa/transactionstatus/v1/query", &body).await;
        answers::taken(&said.ok_or(AskError::NoAnswer)?)
    }

    async fn reverse(&self, what: GiveBack<'_>) -> Submit {
        let (initiator, credential) = self.initiator();
        let body = json!({
            "Initiator": initiator, "SecurityCredential": credential,
            "CommandID": "TransactionReversal", "TransactionID": what.receipt,
            "Amount": whole(what.amount.get()), "ReceiverParty": self.shortcode,
            "RecieverIdentifierType": "11", "ResultURL": what.result,
            "QueueTimeOutURL": what.timeout, "Remarks": "Refund", "Occasion": "",
        });
        match self.post("/mpesa/reversal/v1/request", &body).await {
            Some(said) => answers::submitted(&said),
            None => Submit::NoAnswer,
        }
    }
}

impl Gateway for Daraja {
    fn can(&self) -> Can {
        let initiates = self.secrets.initiator.is_some() && self.secrets.credential.is_some();
        Can {
            push: true,
            pull: true,
            payout: initiates,
            give_back: initiates,
            query_give_back: false,
            query_by_our_id: false,
            signs: false,
        }
    }

    fn push<'a>(&'a self, ask: Ask<'a>, now: Timestamp) -> Reply<'a, Submit> {
        Box::pin(self.prompt(ask, now))
    }

    fn query<'a>(&'a self, about: About<'a>, now: Timestamp) -> Reply<'a, Answer> {
        Box::pin(self.came_of(about, now))
    }

    fn read(&self, letter: &Letter<'_>) -> Result<Vec<Fact>, Unreadable> {
        letters::read(letter)
    }

    fn pull(&self, window: Window) -> Reply<'_, Result<Vec<Collected>, AskError>> {
        Box::pin(self.rows(window))
    }

    fn register<'a>(&'a self, at: Register<'a>) -> Reply<'a, Result<(), AskError>> {
        Box::pin(self.tell(at))
    }

    fn send<'a>(&'a self, new: NewSend<'a>) -> Reply<'a, Submit> {
        Box::pin(self.pay_out(new))
    }

    fn ask_about<'a>(&'a self, new: NewSend<'a>) -> Reply<'a, Result<(), AskError>> {
        Box::pin(self.status(new))
    }

    fn give_back<'a>(&'a self, what: GiveBack<'a>) -> Reply<'a, Submit> {
        Box::pin(self.reverse(what))
    }
}

/// M-Pesa moves whole shillings, and writes them as text.
fn whole(cents: i64) -> String {
    (cents / 100).to_string()
}

const TOKEN: &str = "/oauth/v1/generate?grant_type=client_credentials";
/// A day of a busy paybill, a thousand rows each.
const PAGES_MAX: usize = 100;
