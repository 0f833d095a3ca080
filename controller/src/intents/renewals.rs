//! Asks the phones of those who want to be renewed and whose wallet lacks something.

use shared::id::{IntentId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{Intent, Intents, NewIntent, PROMPT_MAX, store};
use crate::{
    actor::Actor,
    audit,
    billing::Cents,
    clock,
    db::{StoreError, Tx},
    merchants::{self, Merchant},
    payments::Provider,
    token,
};

impl Intents {
    /// Through which account phones are asked; none: the tenant has none.
    pub(crate) async fn asker(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
    ) -> Result<Option<Merchant>, StoreError> {
        let all = merchants::all(tx, tenant).await?;
        Ok(all.into_iter().find(|one| one.provider == Provider::Mpesa && !one.disabled))
    }

    /// Intents of which the provider is told after the transaction. Who has no phone, or lacks more
    /// than a phone can pay, is not asked.
    pub(crate) async fn write_down(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        asker: &Merchant,
        lacks: &[(SubscriberId, Cents)],
    ) -> Result<(), StoreError> {
        let actor = Actor::program(tenant, BILLING);
        let some: Vec<_> = lacks.iter().map(|(subscriber, _)| *subscriber).collect();
        let phones = store::phones(tx, tenant, &some).await?;
        for (subscriber, cents) in lacks {
            let amount = whole(*cents);
            let Some(msisdn) = phones.get(subscriber) else { continue };
            if !(1..=PROMPT_MAX).contains(&amount.get()) {
                continue;
            }
            let new = NewIntent {
                merchant: asker.id,
                subscriber: *subscriber,
                amount,
                msisdn: Some(msisdn.clone()),
                email: None,
            };
            let (id, now) = (IntentId::from_uuid(Uuid::now_v7()), clock::now());
            let intent = Intent {
                send_again: true,
                next_check_at: Some(now),
                ..Intent::new(id, asker, new, now)
            };
            let mark = merchants::mark(&self.seal, tenant, *id.as_uuid());
            store::insert(tx, &actor, &intent, &token::hash(&mark)).await?;
            audit::change(tx, &actor, "intent.create", None, &intent).await?;
        }
        Ok(())
    }
}

/// Phones pay whole shillings; what is too much stays in the wallet.
fn whole(cents: Cents) -> Cents {
    Cents::new(cents.get().saturating_add(99) / 100 * 100)
}

const BILLING: &str = "billing";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_whole_shillings_and_enough() {
        for (cents, want) in [(1, 100), (100, 100), (101, 200), (66_667, 66_700)] {
            assert_eq!(whole(Cents::new(cents)), Cents::new(want));
        }
    }
}
