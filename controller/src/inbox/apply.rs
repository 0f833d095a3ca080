//! One event: what it says, whether it is believed, and what is done about it.

use shared::id::{IntentId, PayoutId, RefundId};
use subtle::ConstantTimeEq as _;

use super::{ApplyError, Event, Inbox};
use crate::{
    actor::Actor,
    clock, db,
    db::{StoreError, Tx},
    doubts::{self, DoubtKind, NewDoubt},
    gateways::{Channel, Collected, Fact, Letter},
    intents::{
        self,
        heard::{self, At},
    },
    merchants::{self, Opened},
    token,
};

impl Inbox {
    /// All of them came to one account.
    pub(super) async fn apply_all(&self, tx: &mut Tx, events: &[Event]) -> Result<(), ApplyError> {
        let Some(first) = events.first() else { return Ok(()) };
        let route = first.route.ok_or(ApplyError::NoTenant)?;
        let opened =
            self.merchants.open_version(route.tenant, route.merchant, route.version).await?;
        db::enter(tx, route.tenant).await?;
        let actor = Actor::program(route.tenant, intents::PROGRAM);
        let at = self.intents.at(&actor, &opened);
        let mut confirmed = Vec::new();
        for event in events {
            confirmed.extend(self.apply(tx, &at, event, &opened).await?);
        }
        if !confirmed.is_empty() {
            intents::confirmed::confirmed(tx, &at, &confirmed).await?;
        }
        Ok(())
    }

    /// What of it is confirmed and is about no intent that it names is left to do.
    async fn apply(
        &self,
        tx: &mut Tx,
        at: &At<'_>,
        event: &Event,
        opened: &Opened,
    ) -> Result<Vec<Collected>, ApplyError> {
        let mut left = Vec::new();
        if !self.is_marked(event, opened) {
            let said = "the mark in its address is wrong";
            doubt(tx, event, opened, DoubtKind::Forged, said).await?;
            return Ok(left);
        }
        let letter = Letter {
            channel: event.channel,
            raw: &event.raw,
            headers: &event.headers,
            received_at: event.received_at,
        };
        for fact in opened.gateway.read(&letter)? {
            match (fact, sender(event, opened)) {
                (Fact::Collected(_), Sender::Elsewhere) => {
                    // The provider's own list says whether it is true.
                    let said = "it came from an address that is not the provider's";
                    doubt(tx, event, opened, DoubtKind::Foreign, said).await?;
                    heard::hurry(tx, at).await?;
                    return Ok(left);
                }
                (Fact::Collected(paid), Sender::Anybody) => {
                    heard::unconfirmed(tx, at, &paid).await?;
                }
                (Fact::Collected(paid), Sender::Provider) if event.channel == Channel::C2b => {
                    left.push(paid);
                }
                (fact, _) => self.believe(tx, at, event, &fact).await?,
            }
        }
        Ok(left)
    }

    async fn believe(
        &self,
        tx: &mut Tx,
        at: &At<'_>,
        event: &Event,
        fact: &Fact,
    ) -> Result<(), ApplyError> {
        let intent = match event.channel {
            Channel::Stk | Channel::Hook => event.subject.map(IntentId::from_uuid),
            Channel::C2b
            | Channel::Check
            | Channel::B2c
            | Channel::B2cLate
            | Channel::Status
            | Channel::StatusLate
            | Channel::Back
            | Channel::BackLate => None,
        };
        match fact {
            Fact::Collected(paid) => {
                heard::collected(tx, at, paid, intent).await?;
            }
            Fact::Claimed(paid) => heard::claimed(tx, at, paid, intent).await?,
            Fact::NotCollected { intent: told, provider_ref, code, verdict } => {
                let intent = intent.or(*told);
                heard::not_collected(tx, at, intent, provider_ref.as_deref(), code, *verdict)
                    .await?;
            }
            Fact::Look { intent: told, provider_ref } => {
                heard::look(tx, at, intent.or(*told), provider_ref.as_deref()).await?;
            }
            Fact::PaidOut(done) => {
                if let Some(subject) = event.subject {
                    let id = PayoutId::from_uuid(subject);
                    self.payouts.heard(tx, at.actor, id, done).await?;
                }
            }
            Fact::GivenBack(done) => {
                if let Some(subject) = event.subject {
                    let id = RefundId::from_uuid(subject);
                    self.refunds.heard(tx, at.actor, id, done).await?;
                }
            }
            Fact::LookBack { intent, receipt, went } => {
                let (tenant, provider) = (at.actor.tenant, at.merchant.provider);
                let receipt = receipt.as_ref();
                if !self.refunds.look(tx, tenant, provider, *intent, receipt).await? && *went {
                    let kind = DoubtKind::Contradiction;
                    let said = "the provider gives a payment back, and nobody here asked for it";
                    raise(tx, at, kind, event.id.to_string(), said.to_owned()).await?;
                }
            }
        }
        Ok(())
    }

    /// Does it come to an address that only the provider was told?
    fn is_marked(&self, event: &Event, opened: &Opened) -> bool {
        match (event.subject, &event.proof) {
            (Some(subject), Some(proof)) => {
                let mark = merchants::mark(&self.seal, opened.tenant, subject);
                token::hash(&mark).ct_eq(proof.as_slice()).into()
            }
            (None, None) => !needs_a_subject(event.channel),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// What came of something is said to an address of its own.
const fn needs_a_subject(channel: Channel) -> bool {
    match channel {
        Channel::Stk
        | Channel::B2c
        | Channel::B2cLate
        | Channel::Status
        | Channel::StatusLate
        | Channel::Back
        | Channel::BackLate => true,
        Channel::C2b | Channel::Check | Channel::Hook => false,
    }
}

/// Who may have sent it.
#[derive(Clone, Copy, Debug)]
enum Sender {
    /// It is signed, or it comes from where the provider is known to be.
    Provider,
    /// Nobody has said where the provider is: whoever knows the address.
    Anybody,
    Elsewhere,
}

fn sender(event: &Event, opened: &Opened) -> Sender {
    let sources = &opened.merchant.sources;
    let within = |source| sources.iter().any(|network| network.contains(source));
    if opened.gateway.can().signs || event.source.is_some_and(within) {
        Sender::Provider
    } else if sources.is_empty() {
        Sender::Anybody
    } else {
        Sender::Elsewhere
    }
}

async fn raise(
    tx: &mut Tx,
    at: &At<'_>,
    kind: DoubtKind,
    about: String,
    said: String,
) -> Result<(), StoreError> {
    let new = NewDoubt { kind, about, merchant: Some(at.merchant.id), intent: None, said };
    doubts::raise(tx, at.actor.tenant, &new, at.now).await
}

async fn doubt(
    tx: &mut Tx,
    event: &Event,
    opened: &Opened,
    kind: DoubtKind,
    said: &str,
) -> Result<(), StoreError> {
    let from = event.source.map(|source| format!(" ({source})")).unwrap_or_default();
    let new = NewDoubt {
        kind,
        about: event.id.to_string(),
        merchant: Some(opened.merchant.id),
        intent: None,
        said: format!("{} callback: {said}{from}", event.channel.as_str()),
    };
    doubts::raise(tx, opened.tenant, &new, clock::now()).await
}
