//! What is agreed on with a reseller, by dates: what was sold stays as it was.

use jiff::civil::Date;
use shared::id::ResellerId;

use super::{Reseller, ResellerError, Resellers, Rule, Terms, find, record, store, today};
use crate::{actor::Actor, billing, db::StoreError, tenants};

impl Resellers {
    /// All rules there ever were: first what is for all plans, oldest first.
    pub async fn rules(&self, actor: &Actor, id: ResellerId) -> Result<Vec<Rule>, ResellerError> {
        let mut tx = self.db.staff(actor).await?;
        find(&mut tx, actor.tenant, id).await?;
        let rules = store::rules(&mut tx, actor.tenant, &[*id.as_uuid()], None).await?;
        Ok(rules.into_iter().map(|(_, rule)| rule).collect())
    }

    /// From that day on, or from tomorrow, instead of what was said before for the same plan. Said
    /// twice, it is the same.
    pub async fn set_rule(
        &self,
        actor: &Actor,
        id: ResellerId,
        terms: Terms,
        from: Option<Date>,
        until: Option<Date>,
    ) -> Result<Reseller, ResellerError> {
        let mut tx = self.db.staff(actor).await?;
        let before = find(&mut tx, actor.tenant, id).await?;
        let today = today(&mut tx, actor.tenant).await?;
        let from = match from {
            Some(from) => from,
            None => today.tomorrow().map_err(|_| billing::TooMuch)?,
        };
        if from < today {
            return Err(ResellerError::Past);
        }
        if until.is_some_and(|until| until <= from) {
            return Err(ResellerError::NoDays);
        }
        let zone = tenants::zone(&mut tx, actor.tenant).await?;
        let since = billing::start_of(today, &zone)?;
        // The plan's own first rule takes nothing away, so that the database would not object.
        if store::lock_sales(&mut tx, actor.tenant, id, since).await? && from == today {
            return Err(ResellerError::Used);
        }
        let set = store::set_rule(&mut tx, actor.tenant, id, Rule { terms, from, until }).await;
        set.map_err(|error| match error.constraint() {
            Some("rate_guard") => ResellerError::Used,
            Some(_) if error.is_dangling() => ResellerError::UnknownPlan,
            Some(_) | None => error.into(),
        })?;
        let after = find(&mut tx, actor.tenant, id).await?;
        record(&mut tx, actor, "reseller.set-commission", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }
}
