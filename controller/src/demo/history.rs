//! Writes a story down with the verbs of the product, each at the moment at which it happened.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;
use shared::id::{
    InvoiceId, OperatorId, PaymentId, ResellerId, SubscriberId, SubscriptionId, TenantId, TicketId,
};

use super::{
    SeededPlan,
    story::{self, Deed, Dice, SHOPS, Scale, tell},
};
use crate::{
    actor::Actor,
    app::App,
    billing::{BasisPoints, Cents, TooMuch},
    clock,
    invoices::{InvoiceError, NewInvoice, NewLine},
    jobs::JobError,
    operators::{NewOperator, OperatorError, Role},
    payments::{NewPayment, PaymentError, Provider},
    payouts::{End, NewPayout, PayoutError},
    plans::Billing,
    resellers::{NewReseller, ResellerError},
    settlements::SettlementError,
    subscribers::{NewSubscriber, SubscriberChange, SubscriberError, SubscriberStatus},
    subscriptions::{NewSubscription, SubscriptionError, Verb},
    tickets::{NewTicket, Priority, TicketChannel, TicketError, TicketVerb},
    vouchers::{NewBatch, VoucherCode, VoucherError},
    words::{NotAWord, Passphrase, Shortcode},
};

/// How much was written.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Written {
    pub subscribers: u32,
    pub installations: u32,
    pub payments: u32,
    pub vouchers_redeemed: u32,
    pub settlements: u32,
    pub payouts: u32,
    pub tickets: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("{deed} on {day} was not written")]
pub struct HistoryError {
    day: Date,
    deed: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl HistoryError {
    fn of(day: Date, deed: &str, error: DeedError) -> Self {
        Self { day, deed: deed.to_owned(), source: Box::new(error) }
    }
}

#[derive(Debug, thiserror::Error)]
enum DeedError {
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Payment(#[from] PaymentError),
    #[error(transparent)]
    Payout(#[from] PayoutError),
    #[error(transparent)]
    Reseller(#[from] ResellerError),
    #[error(transparent)]
    Settlement(#[from] SettlementError),
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    #[error(transparent)]
    Ticket(#[from] TicketError),
    #[error(transparent)]
    Voucher(#[from] VoucherError),
    #[error(transparent)]
    Word(#[from] NotAWord),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error("{0} jobs failed")]
    Failed(u64),
    #[error("somebody who is not there")]
    Nobody,
}

/// Into a tenant that has nothing yet but the plans.
pub(super) async fn write(
    app: &App,
    tenant: TenantId,
    owner: OperatorId,
    plans: &[SeededPlan],
    scale: &Scale,
    password: Passphrase,
) -> Result<Written, HistoryError> {
    let mut book = Book {
        app,
        owner: Actor { operator: Some(owner), ..Actor::command_line(tenant) },
        finance: Actor::command_line(tenant),
        dice: story::dice(scale),
        plans,
        people: Vec::new(),
        shops: Vec::new(),
        complaints: Vec::new(),
        strays: Vec::new(),
        receipts: 0,
        written: Written::default(),
    };
    let story = tell(scale, PLANS_SOLD);
    let first = story.first().map_or(scale.until, |(day, _)| *day);
    let opened = clock::at(moment(first, 0), book.open(password)).await;
    opened.map_err(|error| HistoryError::of(first, "the opening", error))?;
    let (mut today, mut nth) = (first, 0);
    for (day, deed) in story {
        nth = if day == today { nth + 1 } else { 1 };
        if day != today {
            bill(app, today, day).await?;
        }
        today = day;
        let done = clock::at(moment(day, nth), book.write(&deed)).await;
        done.map_err(|error| HistoryError::of(day, &format!("{deed:?}"), error))?;
    }
    bill(app, today, scale.until).await?;
    Ok(book.written)
}

/// What is due by itself between the mornings of two days.
async fn bill(app: &App, from: Date, until: Date) -> Result<(), HistoryError> {
    let step = jiff::SignedDuration::from_hours(12);
    let ran = app.jobs().run_between(moment(from, 0), moment(until, -1), step).await;
    match ran {
        Ok(ran) if ran.failed == 0 => Ok(()),
        Ok(ran) => Err(HistoryError::of(until, "billing", DeedError::Failed(ran.failed))),
        Err(error) => Err(HistoryError::of(until, "billing", error.into())),
    }
}

/// From eight in the morning on, two minutes apart.
fn moment(day: Date, nth: i32) -> Timestamp {
    let zone = TimeZone::get("Africa/Nairobi").unwrap_or(TimeZone::UTC);
    let morning = day.at(8, 0, 0, 0).to_zoned(zone).map(|zoned| zoned.timestamp());
    let morning = morning.unwrap_or(Timestamp::UNIX_EPOCH);
    morning + jiff::SignedDuration::from_secs(i64::from(nth) * 120)
}

struct Book<'a> {
    app: &'a App,
    owner: Actor,
    finance: Actor,
    dice: Dice,
    plans: &'a [SeededPlan],
    people: Vec<Somebody>,
    shops: Vec<Shop>,
    complaints: Vec<TicketId>,
    strays: Vec<PaymentId>,
    receipts: u64,
    written: Written,
}

/// In the order in which they joined; `who` is their number in the story.
struct Somebody {
    who: u16,
    id: SubscriberId,
    subscription: SubscriptionId,
    installation: InvoiceId,
}

struct Shop {
    id: ResellerId,
    codes: Vec<VoucherCode>,
}

impl Book<'_> {
    /// A second member of staff, and the shops.
    async fn open(&mut self, password: Passphrase) -> Result<(), DeedError> {
        let finance = NewOperator {
            email: "finance@demo.kennet.example".parse()?,
            name: "Felix Mutua".parse()?,
            role: Role::Finance,
            password,
        };
        let finance = self.app.operators().create(&self.owner, None, finance).await?.value;
        self.finance.operator = Some(finance.id);
        for n in 0..SHOPS {
            let name = SHOP_NAMES.get(n).copied().unwrap_or("Shop");
            let new = NewReseller {
                name: name.parse()?,
                msisdn: Some(format!("25472200000{n}").parse()?),
                commission: BasisPoints::new(1000).ok_or(DeedError::Nobody)?,
            };
            let made = self.app.resellers().create(&self.owner, None, new).await?.value;
            self.shops.push(Shop { id: made.id, codes: Vec::new() });
        }
        Ok(())
    }

    async fn write(&mut self, deed: &Deed) -> Result<(), DeedError> {
        match *deed {
            Deed::Join { who, plan } => self.join(who, plan).await,
            Deed::Pay { who, plan, cash } => {
                let price = Self::price(plan)?;
                self.pay(Some(self.one(who)?.id), price, cash).await.map(drop)
            }
            Deed::PayInstallation { who } => {
                self.pay(Some(self.one(who)?.id), INSTALLATION, true).await.map(drop)
            }
            Deed::Leave { who } => self.leave(who).await,
            Deed::Complain { who, about } => self.complain(who, about).await,
            Deed::Resolve { complaint } => {
                let id = *self.complaints.get(complaint).ok_or(DeedError::Nobody)?;
                for verb in [TicketVerb::Start, TicketVerb::Resolve, TicketVerb::Close] {
                    self.app.tickets().change_state(&self.owner, id, verb).await?;
                }
                Ok(())
            }
            Deed::PayIn { shop } => {
                let id = self.shop(shop)?.id;
                let cents = Cents::new(600_000);
                Ok(self.app.resellers().pay_in(&self.finance, None, id, cents).await.map(drop)?)
            }
            Deed::Print { shop } => self.print(shop).await,
            Deed::Redeem { shop, who } => self.redeem(shop, who).await,
            Deed::Settle { shop, from, until } => {
                let id = self.shop(shop)?.id;
                let days = (from, until);
                self.app.settlements().close(&self.finance, None, id, days).await?;
                self.written.settlements += 1;
                Ok(())
            }
            Deed::PayOut { shop } => self.pay_out(shop).await,
            Deed::Stray { cents } => {
                let made = self.pay(None, cents, false).await?;
                self.strays.push(made);
                Ok(())
            }
            Deed::Claim { stray, who } => {
                let id = *self.strays.get(stray).ok_or(DeedError::Nobody)?;
                let Ok(one) = self.one(who) else { return Ok(()) };
                Ok(self.app.payments().assign(&self.finance, id, one.id).await.map(drop)?)
            }
        }
    }

    async fn join(&mut self, who: u16, plan: usize) -> Result<(), DeedError> {
        let n = u64::from(who);
        let pick = |names: &[&'static str], of: &str| {
            let at = self.dice.roll(of, n, u64::try_from(names.len()).unwrap_or(1));
            usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or("Amina")
        };
        let (first, last) = (pick(&FIRST, "first"), pick(&LAST, "last"));
        let username = format!("{}.{}{who}", first.to_lowercase(), last.to_lowercase());
        let new = NewSubscriber {
            username: username.parse()?,
            password: Some(format!("{}-{who}", last.to_lowercase()).parse()?),
            full_name: format!("{first} {last}").parse()?,
            msisdn: Some(format!("254711{who:06}").parse()?),
            email: (n % 3 == 0).then(|| format!("{username}@mail.example").parse()).transpose()?,
            static_ip: None,
            delegated_prefix: None,
            macs: Vec::new(),
        };
        let made = self.app.subscribers().create(&self.owner, None, new).await?.value;
        let new = NewSubscription {
            subscriber: made.id,
            plan_version: self.plans.get(plan + 1).ok_or(DeedError::Nobody)?.version,
            auto_renew: true,
            // Who pays later is on-line at once; the others when they have paid.
            activate: super::PLANS.get(plan + 1).is_some_and(|p| p.billing == Billing::Postpaid),
        };
        let subscription = self.app.subscriptions().create(&self.owner, None, new).await?.value;
        let installation = self.invoice(made.id, "Installation", INSTALLATION).await?;
        let (id, subscription) = (made.id, subscription.id);
        self.people.push(Somebody { who, id, subscription, installation });
        self.written.subscribers += 1;
        Ok(())
    }

    async fn invoice(
        &mut self,
        subscriber: SubscriberId,
        what: &str,
        cents: i64,
    ) -> Result<InvoiceId, DeedError> {
        let line = NewLine { descr: what.parse()?, price: Cents::new(cents), includes_tax: true };
        let new = NewInvoice { subscriber, due_on: None, notes: None, lines: vec![line] };
        let draft = self.app.invoices().create(&self.finance, None, new).await?.value;
        self.app.invoices().finalise(&self.finance, draft.id, None).await?;
        self.written.installations += 1;
        Ok(draft.id)
    }

    async fn pay(
        &mut self,
        subscriber: Option<SubscriberId>,
        cents: i64,
        cash: bool,
    ) -> Result<PaymentId, DeedError> {
        self.receipts += 1;
        let (provider, receipt, shortcode) = if cash {
            (Provider::Cash, None, Shortcode::till())
        } else {
            let receipt = self.dice.receipt(self.receipts).parse()?;
            (Provider::Mpesa, Some(receipt), "600000".parse()?)
        };
        let amount = Cents::new(cents);
        let new = NewPayment {
            provider,
            receipt,
            shortcode,
            subscriber,
            amount,
            paid_at: None,
            allocate: true,
        };
        let made = self.app.payments().record(&self.finance, None, new).await?.value;
        self.written.payments += 1;
        Ok(made.id)
    }

    /// The installation that was not paid is forgiven.
    async fn leave(&mut self, who: u16) -> Result<(), DeedError> {
        let one = self.one(who)?;
        let (subscription, why) = (one.subscription, "moved away".parse()?);
        let subscriptions = self.app.subscriptions();
        subscriptions.change_state(&self.owner, subscription, Verb::Cancel, Some(&why)).await?;
        let before = self.app.subscribers().find(&self.owner, one.id).await?;
        let invoice = self.app.invoices().find(&self.finance, one.installation).await?;
        if invoice.open()? > Cents::ZERO {
            let reason = "forgiven".parse()?;
            let open = invoice.open()?;
            self.app.invoices().credit(&self.finance, None, invoice.id, open, reason).await?;
        }
        let change = SubscriberChange {
            status: Some(SubscriberStatus::Closed),
            ..SubscriberChange::default()
        };
        let subscribers = self.app.subscribers();
        Ok(subscribers.update(&self.owner, one.id, before.version, change).await.map(drop)?)
    }

    async fn complain(&mut self, who: u16, about: usize) -> Result<(), DeedError> {
        let (subject, body) = COMPLAINTS.get(about).copied().unwrap_or(("Help", "Please call."));
        let new = NewTicket {
            subscriber: Some(self.one(who)?.id),
            subject: subject.parse()?,
            channel: if who.is_multiple_of(2) {
                TicketChannel::Phone
            } else {
                TicketChannel::Whatsapp
            },
            priority: if about == 0 { Priority::High } else { Priority::Normal },
            body: body.parse()?,
        };
        let made = self.app.tickets().create(&self.owner, None, new).await?.value;
        self.complaints.push(made.id);
        self.written.tickets += 1;
        Ok(())
    }

    async fn print(&mut self, shop: usize) -> Result<(), DeedError> {
        let reseller = Some(self.shop(shop)?.id);
        let new = NewBatch {
            plan_version: self.plans.first().ok_or(DeedError::Nobody)?.version,
            reseller,
            qty: 10,
            face: Some(Cents::new(5_000)),
            redeem_by: None,
            length: 10,
            presold: true,
        };
        let issued = self.app.vouchers().issue(&self.finance, None, new).await?.value;
        let shop = self.shops.get_mut(shop).ok_or(DeedError::Nobody)?;
        shop.codes.extend(issued.codes);
        Ok(())
    }

    /// Who is not there yet, or gone, buys nothing.
    async fn redeem(&mut self, shop: usize, who: u16) -> Result<(), DeedError> {
        let Ok(one) = self.one(who) else { return Ok(()) };
        let subscriber = one.id;
        let found = self.app.subscribers().find(&self.owner, subscriber).await?;
        let shop = self.shops.get_mut(shop).ok_or(DeedError::Nobody)?;
        if found.status != SubscriberStatus::Active || shop.codes.is_empty() {
            return Ok(());
        }
        let code = shop.codes.remove(0);
        self.app.vouchers().redeem(&self.owner, None, &code, subscriber).await?;
        self.written.vouchers_redeemed += 1;
        Ok(())
    }

    async fn pay_out(&mut self, shop: usize) -> Result<(), DeedError> {
        let reseller = self.shop(shop)?.id;
        let msisdn = format!("25472200000{shop}").parse()?;
        let amount = Cents::new(100_000);
        let new = NewPayout { reseller, msisdn, amount, merchant: None };
        let held = self.app.payouts().request(&self.finance, None, new).await?.value;
        self.app.payouts().approve(&self.owner, held.id).await?;
        self.receipts += 1;
        let provider_txn = self.dice.receipt(self.receipts).parse()?;
        self.app.payouts().resolve(&self.owner, held.id, End::Paid { provider_txn }).await?;
        self.written.payouts += 1;
        Ok(())
    }

    fn one(&self, who: u16) -> Result<&Somebody, DeedError> {
        self.people.iter().find(|one| one.who == who).ok_or(DeedError::Nobody)
    }

    fn shop(&self, shop: usize) -> Result<&Shop, DeedError> {
        self.shops.get(shop).ok_or(DeedError::Nobody)
    }

    /// Of a month; the first plan is for vouchers.
    fn price(plan: usize) -> Result<i64, DeedError> {
        let plan = super::PLANS.get(plan + 1).ok_or(DeedError::Nobody)?;
        Ok(i64::try_from(plan.price_cents).map_err(|_| TooMuch)?)
    }
}

/// Of the demo's plans those that are billed by the month.
const PLANS_SOLD: usize = 2;
const INSTALLATION: i64 = 300_000;

const SHOP_NAMES: [&str; SHOPS] = ["Mama Njeri's shop", "Karatina Cyber", "Stage Kiosk"];
const FIRST: [&str; 16] = [
    "Achieng", "Amina", "Baraka", "Chebet", "Dennis", "Esther", "Fatuma", "Grace", "Hassan",
    "Jomo", "Kamau", "Lilian", "Mercy", "Njoki", "Otieno", "Wanjiku",
];
const LAST: [&str; 16] = [
    "Abdi",
    "Cheruiyot",
    "Gitau",
    "Kariuki",
    "Kiprono",
    "Kosgei",
    "Maina",
    "Mutua",
    "Mwangi",
    "Ndegwa",
    "Njoroge",
    "Nyambura",
    "Ochieng",
    "Odhiambo",
    "Wafula",
    "Wekesa",
];
const COMPLAINTS: [(&str, &str); story::COMPLAINTS] = [
    ("No internet", "Since this morning. The lamp on the router is red."),
    ("Slow in the evening", "From eight on, every day."),
    ("Paid and still off", "Paid by M-Pesa an hour ago."),
    ("Wants another plan", "Asks what the faster one costs."),
    ("Moved house", "New place two streets away, wants to take the line along."),
    ("Wrong name on the invoice", "Should be the name of the shop."),
];
