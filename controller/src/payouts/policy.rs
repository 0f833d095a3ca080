//! How long payouts wait when they go to a number that is new: whoever has taken over a login, or
//! a phone number, is found out in the meantime.

use jiff::SignedDuration;
use serde_json::json;
use shared::id::TenantId;

use super::{PayoutError, Payouts, store};
use crate::{
    actor::Actor,
    audit,
    db::{StoreError, Tx},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayoutPolicy {
    /// 0: they do not wait.
    pub new_number_hours: u16,
    pub version: i64,
}

impl PayoutPolicy {
    /// Of a tenant that has said nothing.
    pub(super) const DEFAULT: Self = Self { new_number_hours: 72, version: 0 };

    /// None: they do not wait.
    pub(super) fn wait(self) -> Option<SignedDuration> {
        let hours = i64::from(self.new_number_hours);
        (hours > 0).then(|| SignedDuration::from_hours(hours))
    }
}

impl Payouts {
    pub async fn policy(&self, actor: &Actor) -> Result<PayoutPolicy, StoreError> {
        read(&mut self.db.staff(actor).await?, actor.tenant).await
    }

    pub async fn set_policy(
        &self,
        actor: &Actor,
        version: i64,
        new_number_hours: u16,
    ) -> Result<PayoutPolicy, PayoutError> {
        let mut tx = self.db.staff(actor).await?;
        let before = read(&mut tx, actor.tenant).await?;
        if !store::set_policy(&mut tx, actor.tenant, new_number_hours, version).await? {
            return Err(PayoutError::Stale);
        }
        let entry = audit::Entry {
            action: "payout-policy.set",
            object_kind: "payout_policy",
            object_id: actor.tenant.to_string(),
            before: Some(json!({ "new_number_hours": before.new_number_hours })),
            after: Some(json!({ "new_number_hours": new_number_hours })),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(PayoutPolicy { new_number_hours, version: version + 1 })
    }
}

pub(super) async fn read(tx: &mut Tx, tenant: TenantId) -> Result<PayoutPolicy, StoreError> {
    Ok(store::policy(tx, tenant).await?.unwrap_or(PayoutPolicy::DEFAULT))
}
