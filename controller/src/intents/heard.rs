//! What is done about what was said of an intent, in the transaction of whoever heard it.
//!
//! All that is certain ends in `payments::receive`, which credits a receipt once. Money that comes
//! late, or after a failure, is money.

use jiff::Timestamp;
use shared::id::{IntentId, SubscriberId, TenantId};

use super::{ClaimedReceipt, Intent, IntentState, Reference, Typed, schedule, store};
use crate::{
    actor::Actor,
    db::{StoreError, Tx},
    doubts::{self, DoubtKind, NewDoubt},
    gateways::{Answer, Collected, Pace, Verdict},
    merchants::{self, Merchant},
    payments::{self, Incoming, PaymentError, Received},
    subscribers,
};

/// Who said something, and when it was heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) merchant: &'a Merchant,
    pub(crate) now: Timestamp,
    pub(crate) pace: Pace,
}

impl At<'_> {
    const fn tenant(&self) -> TenantId {
        self.actor.tenant
    }

    async fn doubt(
        &self,
        tx: &mut Tx,
        kind: DoubtKind,
        about: &str,
        intent: Option<IntentId>,
        said: String,
    ) -> Result<(), StoreError> {
        let merchant = Some(self.merchant.id);
        let new = NewDoubt { kind, about: about.to_owned(), merchant, intent, said };
        doubts::raise(tx, self.tenant(), &new, self.now).await
    }
}

/// Money has come in, for certain.
pub(crate) async fn collected(
    tx: &mut Tx,
    at: &At<'_>,
    paid: &Collected,
    subject: Option<IntentId>,
) -> Result<Received, PaymentError> {
    let typed = typed(paid);
    let reference = typed.reference().map(Reference::as_str);
    let intent = locate(tx, at, subject.or(paid.intent), paid, reference).await?;
    let subscriber: Option<SubscriberId> = match (&intent, typed.account()) {
        (Some(intent), _) => Some(intent.subscriber),
        (None, Some(account)) => {
            let found = subscribers::by_accounts(tx, at.tenant(), &[account]).await?;
            found.first().map(|(_, subscriber)| *subscriber)
        }
        (None, None) => None,
    };
    // A second receipt for what was paid already is money of the subscriber, and of no intent.
    let open = intent.filter(|intent| intent.state != IntentState::Succeeded);
    let incoming = incoming(at, paid, subscriber, open.as_ref().map(|intent| intent.id));
    let received = payments::receive(tx, at.actor, &incoming, at.now).await?;
    if received.fresh {
        let (kind, about) = (DoubtKind::Unconfirmed, [paid.receipt.as_str()]);
        doubts::settle(tx, at.actor, kind, &about, CONFIRMED, at.now).await?;
    }
    if let Some(intent) = open {
        store::settle(tx, at.tenant(), intent.id, IntentState::Succeeded, Some("0"), None).await?;
        if intent.amount != paid.amount {
            let said = format!(
                "{} cents came in with the receipt {}, {} were asked for",
                paid.amount.get(),
                paid.receipt,
                intent.amount.get()
            );
            let about = intent.id.to_string();
            at.doubt(tx, DoubtKind::Amount, &about, Some(intent.id), said).await?;
        }
    }
    Ok(received)
}

/// What the payer typed.
pub(super) fn typed(paid: &Collected) -> Typed {
    paid.reference.as_deref().map_or(Typed::Nothing, Typed::read)
}

/// What came in, and of what it is known whose it is.
pub(super) fn incoming<'a>(
    at: &At<'a>,
    paid: &'a Collected,
    subscriber: Option<SubscriberId>,
    intent: Option<IntentId>,
) -> Incoming<'a> {
    Incoming {
        provider: at.merchant.provider,
        receipt: &paid.receipt,
        shortcode: &at.merchant.shortcode,
        subscriber,
        intent,
        amount: paid.amount,
        paid_at: paid.paid_at,
        reference: paid.reference.as_deref(),
        payer: paid.payer.as_deref(),
    }
}

/// Somebody whose address is not known to be the provider's says that money has come in. It is
/// booked when the provider's own list has it, or a statement, or a prompt that was paid with it.
pub(crate) async fn unconfirmed(
    tx: &mut Tx,
    at: &At<'_>,
    paid: &Collected,
) -> Result<(), StoreError> {
    let receipts = [paid.receipt.to_string()];
    if !payments::known(tx, at.tenant(), at.merchant.provider, &receipts).await?.is_empty() {
        return Ok(());
    }
    let said = format!(
        "somebody says that {} cents came in with the receipt {}; the provider's list is waited for",
        paid.amount.get(),
        paid.receipt
    );
    at.doubt(tx, DoubtKind::Unconfirmed, paid.receipt.as_str(), None, said).await?;
    hurry(tx, at).await
}

/// An unsigned callback says that money has come in. The provider is asked at once.
pub(crate) async fn claimed(
    tx: &mut Tx,
    at: &At<'_>,
    paid: &Collected,
    subject: Option<IntentId>,
) -> Result<(), PaymentError> {
    let Some(intent) = locate(tx, at, subject, paid, None).await? else {
        let said = format!("a callback says that {} was paid, and nobody was asked", paid.receipt);
        let about = paid.receipt.as_str();
        return Ok(at.doubt(tx, DoubtKind::Contradiction, about, None, said).await?);
    };
    note_checkout(tx, at, &intent, paid.provider_ref.as_deref()).await?;
    let receipts = [paid.receipt.to_string()];
    let provider = at.merchant.provider;
    if !payments::known(tx, at.tenant(), provider, &receipts).await?.is_empty() {
        // A confirmation was faster. Who paid may be known only now.
        collected(tx, at, paid, Some(intent.id)).await?;
        return Ok(());
    }
    let other = intent.claim.as_ref().is_some_and(|claim| claim.receipt != paid.receipt);
    if other || intent.state == IntentState::Succeeded {
        let said = format!("a callback says {}, after another receipt was said", paid.receipt);
        let about = paid.receipt.as_str();
        return Ok(at.doubt(tx, DoubtKind::Contradiction, about, Some(intent.id), said).await?);
    }
    if intent.claim.is_none() {
        let claim =
            ClaimedReceipt { receipt: paid.receipt.clone(), amount: paid.amount, at: paid.paid_at };
        store::claim(tx, at.tenant(), intent.id, Some(&claim)).await?;
        let state = match intent.state {
            // It had ended without money.
            IntentState::Failed | IntentState::Expired => IntentState::Unknown,
            state @ (IntentState::Created
            | IntentState::Submitted
            | IntentState::Unknown
            | IntentState::Succeeded) => state,
        };
        let code = intent.code.as_deref();
        store::settle(tx, at.tenant(), intent.id, state, code, Some(at.now)).await?;
    }
    Ok(())
}

/// Somebody says that an intent was not paid.
pub(crate) async fn not_collected(
    tx: &mut Tx,
    at: &At<'_>,
    subject: Option<IntentId>,
    provider_ref: Option<&str>,
    code: &str,
    verdict: Verdict,
) -> Result<(), StoreError> {
    let tenant = at.tenant();
    let id = match (subject, provider_ref) {
        (Some(id), _) => Some(id),
        (None, Some(_)) => {
            store::locate(tx, tenant, at.merchant.provider, provider_ref, None, None).await?
        }
        (None, None) => None,
    };
    let Some(id) = id else { return Ok(()) };
    let Some(intent) = store::lock(tx, tenant, id).await? else { return Ok(()) };
    note_checkout(tx, at, &intent, provider_ref).await?;
    // What the provider has said itself, and what a claim waits for, is not undone by hearsay.
    let open = matches!(
        intent.state,
        IntentState::Created | IntentState::Submitted | IntentState::Unknown
    );
    if !open || intent.claim.is_some() {
        return Ok(());
    }
    let (state, next) = match verdict {
        Verdict::Failed => (IntentState::Failed, None),
        Verdict::Unknown | Verdict::Pending => {
            let next = schedule::next(intent.created_at, intent.checks, at.now, at.pace);
            (IntentState::Unknown, next)
        }
    };
    store::settle(tx, tenant, id, state, Some(code), next).await
}

/// Something came of an intent: the provider is asked at once.
pub(crate) async fn look(
    tx: &mut Tx,
    at: &At<'_>,
    subject: Option<IntentId>,
    provider_ref: Option<&str>,
) -> Result<(), StoreError> {
    let tenant = at.tenant();
    let id = match subject {
        Some(id) => Some(id),
        None => store::locate(tx, tenant, at.merchant.provider, provider_ref, None, None).await?,
    };
    let Some(id) = id else { return Ok(()) };
    match store::lock(tx, tenant, id).await? {
        Some(intent) if intent.state != IntentState::Succeeded => {
            let (state, code) = (intent.state, intent.code.as_deref());
            store::settle(tx, tenant, id, state, code, Some(at.now)).await
        }
        Some(_) | None => Ok(()),
    }
}

/// What the provider said when it was asked.
pub(super) async fn answered(
    tx: &mut Tx,
    at: &At<'_>,
    id: IntentId,
    answer: Answer,
) -> Result<(), PaymentError> {
    let tenant = at.tenant();
    let Some(intent) = store::lock(tx, tenant, id).await? else { return Ok(()) };
    if intent.state == IntentState::Succeeded {
        return Ok(store::settle(tx, tenant, id, intent.state, Some("0"), None).await?);
    }
    let claim = intent.claim.as_ref();
    match answer {
        Answer::Paid { receipt, amount } => {
            let receipt = receipt.or_else(|| claim.map(|claim| claim.receipt.clone()));
            // M-Pesa says that it was paid, and not how much: another amount than was asked for
            // has to be seen on the provider's list.
            let claimed = claim.map(|claim| claim.amount).filter(|cents| *cents == intent.amount);
            if let (Some(receipt), Some(amount)) = (receipt, amount.or(claimed)) {
                let paid = Collected {
                    receipt,
                    amount,
                    paid_at: claim.and_then(|claim| claim.at),
                    reference: None,
                    provider_ref: None,
                    payer: None,
                    intent: None,
                };
                collected(tx, at, &paid, Some(id)).await?;
                return Ok(());
            }
            if let Some(claim) = claim {
                let said = format!(
                    "a callback says {} cents, {} were asked for",
                    claim.amount.get(),
                    intent.amount.get()
                );
                let about = intent.id.to_string();
                at.doubt(tx, DoubtKind::Amount, &about, Some(id), said).await?;
            }
            later(tx, at, &intent, Some("0")).await?;
            hurry(tx, at).await?;
        }
        Answer::Failed { code } => match claim {
            None => store::settle(tx, tenant, id, IntentState::Failed, Some(&code), None).await?,
            Some(claim) => {
                let said = format!(
                    "a callback says that {} was paid; the provider says {code}",
                    claim.receipt
                );
                let about = intent.id.to_string();
                at.doubt(tx, DoubtKind::Contradiction, &about, Some(id), said).await?;
                store::claim(tx, tenant, id, None).await?;
                later(tx, at, &intent, Some(&code)).await?;
                hurry(tx, at).await?;
            }
        },
        Answer::Pending | Answer::NoAnswer => {
            later(tx, at, &intent, intent.code.as_deref()).await?;
        }
    }
    Ok(())
}

/// Asks again, or leaves it to people.
async fn later(
    tx: &mut Tx,
    at: &At<'_>,
    intent: &Intent,
    code: Option<&str>,
) -> Result<(), StoreError> {
    let next = schedule::next(intent.created_at, intent.checks + 1, at.now, at.pace);
    if next.is_none() {
        let about = intent.id.to_string();
        let said = "nobody could say what came of it".to_owned();
        at.doubt(tx, DoubtKind::Stuck, &about, Some(intent.id), said).await?;
    }
    let state = match intent.state {
        IntentState::Created if !intent.send_again => IntentState::Unknown,
        state @ (IntentState::Created
        | IntentState::Submitted
        | IntentState::Unknown
        | IntentState::Succeeded
        | IntentState::Failed
        | IntentState::Expired) => state,
    };
    let state = if next.is_none() || code == Some("0") { IntentState::Unknown } else { state };
    store::settle(tx, at.tenant(), intent.id, state, code, next).await?;
    store::checked(tx, at.tenant(), intent.id, next).await
}

/// What came in is on the provider's list, and somebody waits for it.
pub(crate) async fn hurry(tx: &mut Tx, at: &At<'_>) -> Result<(), StoreError> {
    let soon = at.now + at.pace.span(HURRY);
    merchants::hurry(tx, at.tenant(), at.merchant.id, soon).await
}

async fn locate(
    tx: &mut Tx,
    at: &At<'_>,
    subject: Option<IntentId>,
    paid: &Collected,
    reference: Option<&str>,
) -> Result<Option<Intent>, StoreError> {
    let tenant = at.tenant();
    let id = if subject.is_some() {
        subject
    } else {
        let checkout = paid.provider_ref.as_deref();
        let claim = Some(&paid.receipt);
        store::locate(tx, tenant, at.merchant.provider, checkout, claim, reference).await?
    };
    match id {
        Some(id) => store::lock(tx, tenant, id).await,
        None => Ok(None),
    }
}

async fn note_checkout(
    tx: &mut Tx,
    at: &At<'_>,
    intent: &Intent,
    checkout: Option<&str>,
) -> Result<(), StoreError> {
    match (&intent.checkout, checkout) {
        (None, Some(checkout)) => store::set_checkout(tx, at.tenant(), intent.id, checkout).await,
        (Some(_) | None, _) => Ok(()),
    }
}

/// What closes a doubt about money that only somebody had said came in.
pub(super) const CONFIRMED: &str = "the provider has it";
/// Seconds until the list has what has just been paid.
const HURRY: i64 = 10;
