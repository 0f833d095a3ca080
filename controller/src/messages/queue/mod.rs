//! Sends what is due. A message is leased before it is given to a provider; a lease that ran out
//! without a word leaves it unknown whether it was taken, and then it is not sent again.

mod store;

use jiff::{SignedDuration, Timestamp};
use shared::{
    daemon::Chain,
    id::{InvoiceId, MessageProviderId, TenantId},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    HIDDEN, MessageChannel, MessageError, MessageState, Messages,
    carriers::{Attachment, Letter, Refusal, Taken},
    place,
};
use crate::{actor::Actor, db::StoreError, prints::Language};

/// One that is ours for a while.
#[derive(Debug)]
struct Leased {
    id: Uuid,
    lease: Uuid,
    channel: MessageChannel,
    language: Language,
    recipient: String,
    subject: String,
    body: String,
    secret_sealed: Option<Vec<u8>>,
    facts: Vec<String>,
    attachment: Option<Uuid>,
    /// With this one.
    attempts: i32,
}

/// What is written down about it.
struct Outcome {
    state: MessageState,
    provider: Option<MessageProviderId>,
    taken: Taken,
    said: Option<String>,
    due_at: Timestamp,
}

impl Messages {
    /// Says how many were taken by a provider.
    pub(super) async fn send_due(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<u64, MessageError> {
        let mut tx = self.db.tenant(tenant).await?;
        store::give_up(&mut tx, tenant, now, LOST).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let mut taken = 0;
        loop {
            let mut tx = self.db.tenant(tenant).await?;
            let due = store::take(&mut tx, tenant, now, now + LEASE, TAKE).await?;
            tx.commit().await.map_err(StoreError::from)?;
            if due.is_empty() {
                return Ok(taken);
            }
            let mut sending = JoinSet::new();
            for leased in due {
                let messages = self.clone();
                sending.spawn(async move { messages.send_one(tenant, leased, now).await });
            }
            while let Some(sent) = sending.join_next().await {
                match sent {
                    Ok(sent) => taken += u64::from(sent?),
                    // Its lease runs out.
                    Err(error) => tracing::error!(error = %Chain(&error), "a message is lost"),
                }
            }
        }
    }

    async fn send_one(
        &self,
        tenant: TenantId,
        leased: Leased,
        now: Timestamp,
    ) -> Result<bool, MessageError> {
        let (provider, sent) = match self.give(tenant, &leased, now).await {
            Ok((provider, sent)) => (provider, sent),
            // It was given to nobody.
            Err(error) => (None, Err(Refusal::Later(Chain(&error).to_string()))),
        };
        let outcome = outcome(provider, sent, leased.attempts, now);
        let (state, channel) = (outcome.state, leased.channel);
        let mut tx = self.db.tenant(tenant).await?;
        let ours = store::done(&mut tx, tenant, &leased, &outcome, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        if !ours {
            tracing::warn!(message.id = %leased.id, "a message took longer than its lease");
        }
        let labels = [("channel", channel.as_str()), ("state", state.as_str())];
        metrics::counter!("kennet_messages_total", &labels).increment(1);
        Ok(state == MessageState::Sent)
    }

    async fn give(
        &self,
        tenant: TenantId,
        leased: &Leased,
        now: Timestamp,
    ) -> Result<(Option<MessageProviderId>, Result<Taken, Refusal>), MessageError> {
        let mut tx = self.db.tenant(tenant).await?;
        let found = self.carrier(&mut tx, tenant, leased.channel).await?;
        drop(tx);
        let Some((provider, carrier)) = found else {
            let said = "no provider is set up for this channel".to_owned();
            return Ok((None, Err(Refusal::Later(said))));
        };
        let secret = leased.secret_sealed.as_ref();
        let secret = secret.map(|sealed| self.seal.open(&place(tenant, leased.id), sealed));
        let body = match secret.transpose()? {
            Some(secret) => leased.body.replace(HIDDEN, secret.expose()),
            None => leased.body.clone(),
        };
        let attachment = match leased.attachment {
            Some(invoice) => Some(self.draw(tenant, invoice, leased.language).await?),
            None => None,
        };
        let letter = Letter {
            id: leased.id,
            to: leased.recipient.clone(),
            subject: leased.subject.clone(),
            body: shared::secret::Secret::new(body),
            language: leased.language,
            facts: leased.facts.clone(),
            attachment,
            at: now,
        };
        Ok((Some(provider), carrier.send(&letter).await))
    }

    async fn draw(
        &self,
        tenant: TenantId,
        invoice: Uuid,
        language: Language,
    ) -> Result<Attachment, MessageError> {
        let actor = Actor::program(tenant, PROGRAM);
        let id = InvoiceId::from_uuid(invoice);
        let (name, bytes) = self.prints.invoice(&actor, id, language).await?;
        Ok(Attachment { name: format!("{name}.pdf"), bytes })
    }
}

/// Pure.
fn outcome(
    provider: Option<MessageProviderId>,
    sent: Result<Taken, Refusal>,
    attempts: i32,
    now: Timestamp,
) -> Outcome {
    let dead = |said| Outcome {
        state: MessageState::Dead,
        provider,
        taken: Taken::default(),
        said: Some(said),
        due_at: now,
    };
    match sent {
        Ok(taken) => {
            Outcome { state: MessageState::Sent, provider, taken, said: None, due_at: now }
        }
        Err(Refusal::Never(said)) => dead(said),
        Err(Refusal::Unknown(said)) => dead(format!("nobody knows whether it was taken: {said}")),
        Err(Refusal::Later(said)) => match pause(attempts) {
            Some(pause) => {
                Outcome { state: MessageState::Waiting, due_at: now + pause, ..dead(said) }
            }
            None => dead(said),
        },
    }
}

/// How long after the `attempts`th time it is tried again; none: it is given up, after a day.
fn pause(attempts: i32) -> Option<SignedDuration> {
    let minutes = match attempts {
        ..=1 => return Some(SignedDuration::from_secs(10)),
        2 => 1,
        3 => 5,
        4 => 30,
        5 => 2 * 60,
        6 => 8 * 60,
        7 => 14 * 60,
        8.. => return None,
    };
    Some(SignedDuration::from_mins(minutes))
}

/// Longer than the slowest provider may take.
const LEASE: SignedDuration = SignedDuration::from_mins(3);
/// As many as are sent at once.
const TAKE: i64 = 8;
const LOST: &str = "nobody knows whether it was taken: the program stopped while it was sent";
const PROGRAM: &str = "messages";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_taken_for_certain_is_sent_again() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let said = || "no".to_owned();
        let of = |sent, attempts| outcome(None, sent, attempts, now);
        assert_eq!(of(Ok(Taken::default()), 1).state, MessageState::Sent);
        assert_eq!(of(Err(Refusal::Never(said())), 1).state, MessageState::Dead);
        assert_eq!(of(Err(Refusal::Unknown(said())), 1).state, MessageState::Dead);
        let later = of(Err(Refusal::Later(said())), 1);
        assert_eq!(later.state, MessageState::Waiting);
        assert_eq!(later.due_at, now + SignedDuration::from_secs(10));
        assert_eq!(of(Err(Refusal::Later(said())), 8).state, MessageState::Dead);
        let pauses: Vec<_> = (1..20).map_while(pause).collect();
        assert!(pauses.is_sorted() && pauses.len() == 7);
    }
}
