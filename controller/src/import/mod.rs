//! Takes over the SQLite file of the old `isp_manager.py`: clients, plans, subscriptions, invoices,
//! payments, tickets, through the verbs of the product and into its books.
//!
//! Every row has its idempotency key, so that a file can be taken over again after it was
//! corrected: what is there stays, what was missing is added.

mod file;
mod read;

use std::{collections::BTreeMap, fmt, num::NonZeroU64, path::Path};

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use shared::{
    daemon::Chain,
    id::{PlanVersionId, SubscriberId},
    rate::Kbps,
};

pub use self::file::FileError;
use self::{
    file::{File, Row},
    read::Why,
};
use crate::{
    actor::Actor,
    app::App,
    billing::Cents,
    clock,
    idempotency::Key,
    invoices::{InvoiceState, NewInvoice, NewLine},
    payments::{NewPayment, Provider},
    plans::{
        Access, Anchor, Billing, FairUse, Limits, Network, NewPlan, OnExhaust, Terms, Validity,
    },
    subscribers::NewSubscriber,
    subscriptions::NewSubscription,
    tickets::{NewTicket, Priority, TicketChannel},
    words::{Shortcode, TimeZone as Zone},
};

/// What became of a row, or would.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub table: &'static str,
    pub id: String,
    pub outcome: Outcome,
    /// What was left out, or why it was not taken.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Taken,
    /// It was taken before.
    There,
    Refused,
}

/// For people.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, id, outcome, notes } = self;
        let word = match outcome {
            Outcome::Taken => "taken",
            Outcome::There => "there already",
            Outcome::Refused => "REFUSED",
        };
        write!(f, "{table} {id}: {word}")?;
        notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

/// How the file is read.
#[derive(Clone, Debug)]
pub struct Import {
    /// For plans without a speed.
    pub kbps: u32,
    /// Only read, and say what would happen.
    pub dry: bool,
    pub zone: Zone,
}

impl Import {
    /// A line for each row, in the order of the tables.
    pub async fn isp_manager(
        &self,
        app: &App,
        actor: &Actor,
        path: &Path,
    ) -> Result<Vec<Line>, FileError> {
        let file = File::open(path)?;
        let zone = TimeZone::get(self.zone.as_str()).unwrap_or(TimeZone::UTC);
        let mut taker = Taker {
            import: self,
            app,
            actor,
            zone,
            clients: BTreeMap::new(),
            plans: BTreeMap::new(),
        };
        let mut lines = Vec::new();
        for table in ["clients", "plans", "subscriptions", "invoices", "payments", "tickets"] {
            for (n, row) in file.rows(table)?.iter().enumerate() {
                let id = row.id().map_or_else(|| format!("row {}", n + 1), ToOwned::to_owned);
                let (outcome, notes) = match taker.take(table, row, &id).await {
                    Ok((true, notes)) => (Outcome::Taken, notes),
                    Ok((false, notes)) => (Outcome::There, notes),
                    Err(why) => (Outcome::Refused, vec![why]),
                };
                lines.push(Line { table, id, outcome, notes });
            }
        }
        Ok(lines)
    }
}

/// If it is new, and what was left out of it.
type Taken = Result<(bool, Vec<String>), Why>;

struct Taker<'a> {
    import: &'a Import,
    app: &'a App,
    actor: &'a Actor,
    zone: TimeZone,
    /// By their ids in the file; in a dry run nobody has an id here yet.
    clients: BTreeMap<String, Option<SubscriberId>>,
    plans: BTreeMap<String, Option<PlanVersionId>>,
}

impl Taker<'_> {
    async fn take(&mut self, table: &'static str, row: &Row, id: &str) -> Taken {
        let at = read::moment(row, &MOMENTS, &self.zone).unwrap_or_else(clock::now);
        let key = key(table, id);
        match table {
            "clients" => self.client(row, id, &key).await,
            "plans" => self.plan(row, id, &key).await,
            "subscriptions" => clock::at(at, self.subscription(row, &key)).await,
            "invoices" => clock::at(at, self.invoice(row, id, &key)).await,
            "payments" => clock::at(at, self.payment(row, id, at, &key)).await,
            _ => clock::at(at, self.ticket(row, &key)).await,
        }
    }

    async fn client(&mut self, row: &Row, id: &str, key: &Key) -> Taken {
        let (client, notes) = read::client(row)?;
        if self.import.dry {
            self.clients.insert(id.to_owned(), None);
            return Ok((true, notes));
        }
        let new = NewSubscriber {
            username: client.username,
            password: None,
            full_name: client.full_name,
            msisdn: client.msisdn,
            email: client.email,
            static_ip: None,
            delegated_prefix: None,
            macs: Vec::new(),
        };
        let made = self.app.subscribers().create(self.actor, Some(key), new).await.map_err(why)?;
        self.clients.insert(id.to_owned(), Some(made.value.id));
        Ok((!made.replayed, notes))
    }

    async fn plan(&mut self, row: &Row, id: &str, key: &Key) -> Taken {
        let (plan, notes) = read::plan(row, self.import.kbps)?;
        if self.import.dry {
            self.plans.insert(id.to_owned(), None);
            return Ok((true, notes));
        }
        let rate = |kbps| Kbps::new(kbps).ok_or_else(|| "a rate of nothing".to_owned());
        let bytes: Option<u64> = row.get(&["data_bytes"]).and_then(|text| text.parse().ok());
        let terms = Terms {
            access: Access::Pppoe,
            billing: Billing::Postpaid,
            limits: Limits { online_seconds: None, data_bytes: bytes.and_then(NonZeroU64::new) },
            price_cents: plan.price_cents,
            price_includes_tax: true,
            validity: Validity::Months(1),
            down_kbps: rate(plan.down_kbps)?,
            up_kbps: rate(plan.up_kbps)?,
            max_devices: 1,
            idle_timeout_seconds: None,
            anchor: Anchor::Purchase,
            grace_seconds: 0,
            on_exhaust: OnExhaust::Block,
            slow: None,
            fair_use: FairUse::Period,
            steps: Vec::new(),
            network: Network::default(),
        };
        let code = plan.code.parse().map_err(why)?;
        let new = NewPlan { code, name: plan.name, terms };
        let made = self.app.plans().create(self.actor, Some(key), new).await.map_err(why)?;
        self.plans.insert(id.to_owned(), Some(made.value.latest.id));
        Ok((!made.replayed, notes))
    }

    async fn subscription(&self, row: &Row, key: &Key) -> Taken {
        let subscriber = self.of_client(row)?;
        let plan = row.get(&["plan_id", "plan"]).ok_or("there is no plan")?;
        let plan = self.plans.get(plan).ok_or_else(|| format!("plan {plan} was not taken"))?;
        let (Some(subscriber), Some(plan_version)) = (subscriber, *plan) else {
            return Ok((true, Vec::new()));
        };
        let state = row.get(&["status", "state"]).unwrap_or("active").to_lowercase();
        let activate = matches!(state.as_str(), "active" | "1" | "true" | "enabled");
        let new = NewSubscription { subscriber, plan_version, auto_renew: false, activate };
        let made = self.app.subscriptions().create(self.actor, Some(key), new).await;
        let made = made.map_err(why)?;
        let notes = if activate { Vec::new() } else { vec![format!("{state}: kept as pending")] };
        Ok((!made.replayed, notes))
    }

    async fn invoice(&self, row: &Row, id: &str, key: &Key) -> Taken {
        let subscriber = self.of_client(row)?;
        let price = read::cents(row, &read::AMOUNT).ok_or("there is no amount")?;
        let descr = row.get(&["description", "notes", "period"]);
        let descr = descr.map_or_else(|| format!("Invoice {id}"), ToOwned::to_owned);
        let descr = descr.parse().map_err(|error| format!("`{descr}`: {error}"))?;
        let due_on = read::day(row, &["due_date", "due_on", "due"]);
        let Some(subscriber) = subscriber else { return Ok((true, Vec::new())) };
        let line = NewLine { descr, price: Cents::new(price), includes_tax: true };
        let new = NewInvoice { subscriber, due_on: None, notes: None, lines: vec![line] };
        let invoices = self.app.invoices();
        let made = invoices.create(self.actor, Some(key), new).await.map_err(why)?;
        let mut notes = Vec::new();
        if made.value.state == InvoiceState::Draft {
            let issued = invoices.finalise(self.actor, made.value.id, due_on).await.map_err(why)?;
            notes.extend(issued.number);
        }
        Ok((!made.replayed, notes))
    }

    async fn payment(&self, row: &Row, id: &str, at: Timestamp, key: &Key) -> Taken {
        let subscriber = self.of_client(row)?;
        let amount = read::cents(row, &read::AMOUNT).ok_or("there is no amount")?;
        let method = row.get(&["method", "payment_method", "provider", "channel"]);
        let method = method.unwrap_or("cash").to_lowercase();
        let reference = row.get(&["reference", "ref", "receipt", "transaction_id", "mpesa_code"]);
        // Its number in the file is what an old payment is called if nobody else named it.
        let receipt = reference.map_or_else(|| format!("isp-manager-{id}"), ToOwned::to_owned);
        let (provider, shortcode) = match method.as_str() {
            method if method.contains("pesa") => (Provider::Mpesa, "isp-manager"),
            method if method.contains("bank") => (Provider::Bank, "isp-manager"),
            _ => (Provider::Cash, "till"),
        };
        let receipt = receipt.parse().map_err(|error| format!("`{receipt}`: {error}"))?;
        let shortcode: Shortcode = shortcode.parse().map_err(why)?;
        if self.import.dry {
            return Ok((true, Vec::new()));
        }
        let new = NewPayment {
            provider,
            receipt: Some(receipt),
            shortcode,
            subscriber,
            amount: Cents::new(amount),
            paid_at: Some(at),
            allocate: true,
        };
        let made = self.app.payments().record(self.actor, Some(key), new).await.map_err(why)?;
        Ok((!made.replayed, Vec::new()))
    }

    async fn ticket(&self, row: &Row, key: &Key) -> Taken {
        let subscriber = self.of_client(row)?;
        let subject = row.get(&["subject", "title", "issue"]).ok_or("there is no subject")?;
        let body = row.get(&["description", "body", "message", "notes"]).unwrap_or(subject);
        let priority = row.get(&["priority"]).unwrap_or("normal").to_lowercase();
        let subject = subject.parse().map_err(|error| format!("`{subject}`: {error}"))?;
        let body = body.parse().map_err(|error| format!("`{body}`: {error}"))?;
        let priority = priority.parse().unwrap_or(Priority::Normal);
        if self.import.dry {
            return Ok((true, Vec::new()));
        }
        let new =
            NewTicket { subscriber, subject, channel: TicketChannel::Counter, priority, body };
        let made = self.app.tickets().create(self.actor, Some(key), new).await.map_err(why)?;
        Ok((!made.replayed, Vec::new()))
    }

    /// None in a dry run.
    fn of_client(&self, row: &Row) -> Result<Option<SubscriberId>, Why> {
        let client =
            row.get(&["client_id", "client", "customer_id"]).ok_or("there is no client")?;
        self.clients.get(client).copied().ok_or_else(|| format!("client {client} was not taken"))
    }
}

fn why(error: impl std::error::Error) -> Why {
    Chain(&error).to_string()
}

fn key(table: &str, id: &str) -> Key {
    let key = format!("isp-manager/{table}/{id}");
    let request_hash = Sha256::digest(key.as_bytes()).into();
    Key { key, request_hash }
}

const MOMENTS: [&str; 8] = [
    "paid_at",
    "payment_date",
    "issued_at",
    "issue_date",
    "start_date",
    "created_at",
    "created",
    "date",
];
