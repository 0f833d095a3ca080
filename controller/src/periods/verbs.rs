//! What people do to the billing of one subscription: renew it, move it to another plan, promise to
//! pay, buy more for it.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::id::{InvoiceId, PlanVersionId, SubscriptionId, TenantId};
use uuid::Uuid;

use super::{
    Batch, Due, PeriodError, Periods, batch, open, store,
    store::{Running, Used},
    used, write,
    write::{Change, Grant},
};
use crate::{
    actor::Actor,
    audit,
    billing::{self, Cents, Split, Term},
    clock,
    db::{self, StoreError, Tx},
    idempotency::{self, Claim, Key},
    invoices::{Bill, BillLine, LineKind},
    plans::{Access, Billing, Terms},
    subscriptions::{State, first_look},
};

impl Periods {
    /// Pays the next term from the wallet.
    pub async fn renew(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        id: SubscriptionId,
    ) -> Result<(), PeriodError> {
        db::retry(|| self.renew_once(actor, key, id)).await?;
        self.look_again.ring();
        Ok(())
    }

    async fn renew_once(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        id: SubscriptionId,
    ) -> Result<(), PeriodError> {
        let (mut tx, now) = (self.db.staff(actor).await?, clock::now());
        if !claim(&mut tx, actor, key, *id.as_uuid()).await? {
            return Ok(());
        }
        let one = lock(&mut tx, actor.tenant, id).await?;
        let mut batch = open(&mut tx, actor.tenant, now, std::slice::from_ref(&one), &[]).await?;
        let terms = batch.sold(one.next_version.unwrap_or(one.version))?.terms.clone();
        if terms.billing == Billing::Postpaid {
            return Err(PeriodError::Postpaid);
        }
        let anew = match one.state {
            State::Active | State::Grace => one.term.is_none(),
            State::Pending | State::Expired => true,
            State::Suspended if one.lapsed_at.is_some() => true,
            State::Suspended | State::Cancelled => {
                return Err(PeriodError::NotRenewable(one.state.as_str()));
            }
        };
        let ahead = store::periods(&mut tx, actor.tenant, id).await?;
        let ahead = ahead.iter().filter(|period| period.start > now).count();
        if ahead >= usize::from(batch.policy.stack_max) {
            return Err(PeriodError::StackedUp);
        }
        let term = batch.upcoming(&one, &terms, anew.then_some(now))?;
        enough(&one, batch.cost(&terms, &term, term.end)?)?;
        let mut change = Change::same(&one, None);
        batch.charge(&one, &term, &mut change)?;
        batch.writes.changes.push(change);
        batch.writes.apply(&mut tx, actor.tenant, now).await?;
        record(&mut tx, actor, "subscription.renew", id, json!({ "until": term.end })).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Who promises to pay stays on-line until then; once for each term.
    pub async fn promise(
        &self,
        actor: &Actor,
        id: SubscriptionId,
        until: Timestamp,
    ) -> Result<(), PeriodError> {
        let (mut tx, now) = (self.db.staff(actor).await?, clock::now());
        let one = lock(&mut tx, actor.tenant, id).await?;
        let batch = open(&mut tx, actor.tenant, now, std::slice::from_ref(&one), &[]).await?;
        let about = one.term.map(|term| term.1).or(one.lapsed_at);
        let owes = one.lapsed_at.is_some() || matches!(one.state, State::Active | State::Grace);
        if !owes || about.is_none() || one.promised_term == about {
            return Err(PeriodError::NoPromise);
        }
        let most = SignedDuration::from_hours(24 * i64::from(batch.policy.promise_days));
        if until <= now || now.duration_until(until) > most {
            return Err(PeriodError::PromiseTooFar(batch.policy.promise_days));
        }
        let change = Change {
            promise_until: Some(until),
            promised_term: about,
            ..Change::same(&one, Some(now))
        };
        let writes = write::Writes { changes: vec![change], ..write::Writes::default() };
        writes.apply(&mut tx, actor.tenant, now).await?;
        record(&mut tx, actor, "subscription.promise", id, json!({ "until": until })).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(())
    }

    /// Buys more bytes or time for who is on-line, from the wallet.
    pub async fn add_on(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        id: SubscriptionId,
        version: PlanVersionId,
    ) -> Result<(), PeriodError> {
        db::retry(|| self.add_on_once(actor, key, id, version)).await?;
        self.look_again.ring();
        Ok(())
    }

    async fn add_on_once(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        id: SubscriptionId,
        version: PlanVersionId,
    ) -> Result<(), PeriodError> {
        let (mut tx, now) = (self.db.staff(actor).await?, clock::now());
        let add_on = Uuid::now_v7();
        if !claim(&mut tx, actor, key, add_on).await? {
            return Ok(());
        }
        let one = lock(&mut tx, actor.tenant, id).await?;
        let one_only = std::slice::from_ref(&one);
        let mut batch = open(&mut tx, actor.tenant, now, one_only, &[version]).await?;
        let terms = batch.sold(version)?.terms.clone();
        let limits = terms.limits;
        let gives = limits.data_bytes.is_some() || limits.online_seconds.is_some();
        if terms.billing != Billing::Prepaid || !gives {
            return Err(PeriodError::NotAnAddOn);
        }
        if !one.state.is_live() {
            return Err(PeriodError::NotOnline);
        }
        let term = billing::first_term(now, terms.validity, terms.anchor, &batch.zone)?;
        let cost = batch.cost(&terms, &term, term.end)?;
        enough(&one, cost)?;
        if cost.total()? > Cents::ZERO {
            let line = batch.line(&one, version, add_on, LineKind::OneOff, &term, cost)?;
            batch.writes.bills.push(Bill {
                id: InvoiceId::from_uuid(Uuid::now_v7()),
                subscriber: one.subscriber,
                due_on: billing::day_of(now, &batch.zone),
                lines: vec![BillLine { period: None, ..line }],
                from_wallet: true,
                deferred: true,
            });
            batch.defer(add_on, cost.net, (term.start, term.end));
        }
        batch.writes.grants.push(Grant {
            subscriber: one.subscriber,
            source: "topup",
            source_id: add_on,
            version,
            valid: (term.start, term.end),
            bytes: limits.data_bytes.map(Into::into),
            seconds: limits.online_seconds.map(Into::into),
        });
        batch.writes.apply(&mut tx, actor.tenant, now).await?;
        let after = json!({ "plan_version": version, "until": term.end });
        record(&mut tx, actor, "subscription.add-on", id, after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// Staff said that it is on-line, paid or not; in the transaction that says so. What is in the
/// wallet pays for it; otherwise its first term is given.
pub(crate) async fn activated(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
    lapsed: bool,
    now: Timestamp,
) -> Result<(), PeriodError> {
    let one = lock(tx, tenant, id).await?;
    if one.term.is_some_and(|term| term.1 > now) {
        return Ok(());
    }
    let mut batch = open(tx, tenant, now, std::slice::from_ref(&one), &[]).await?;
    let terms = batch.sold(one.next_version.unwrap_or(one.version))?.terms.clone();
    let term = batch.upcoming(&one, &terms, Some(now))?;
    let mut change = Change::same(&one, Some(now));
    let cost = batch.cost(&terms, &term, term.end)?;
    if terms.billing == Billing::Postpaid {
        change.begin(&one, &term);
    } else if cost.total()? <= one.wallet {
        batch.charge(&one, &term, &mut change)?;
    } else if !lapsed {
        let version = one.next_version.unwrap_or(one.version);
        batch.period(&one, version, Uuid::now_v7(), &term, Cents::ZERO, true)?;
        change.begin(&one, &term);
        change.due_at = Some(first_look(term.end, &batch.policy, now));
    }
    if lapsed {
        // Whoever did not pay has some days to do so.
        let days = SignedDuration::from_hours(24 * i64::from(batch.policy.promise_days));
        change.promise_until = now.checked_add(days).ok();
        change.due_at = Some(now);
    }
    change.reason = None;
    batch.writes.changes.push(change);
    batch.writes.apply(tx, tenant, now).await
}

/// Moves a subscription to another plan, in the transaction of who asks: at once if that costs as
/// much or more, and at the end of the term if it costs less. True: at once.
pub(crate) async fn change_plan(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
    version: PlanVersionId,
    now: Timestamp,
) -> Result<bool, PeriodError> {
    let one = lock(tx, tenant, id).await?;
    let one_only = std::slice::from_ref(&one);
    let mut batch = open(tx, tenant, now, one_only, &[version]).await?;
    let old = batch.sold(one.version)?.terms.clone();
    let new = batch.sold(version)?.terms.clone();
    let mut change = Change { next_version: None, ..Change::same(&one, Some(now)) };
    if version == one.version {
        // Nothing but that no other follows it.
        batch.writes.changes.push(change);
        batch.writes.apply(tx, tenant, now).await?;
        return Ok(true);
    }
    let at_once = match one.term {
        Some((start, end)) if one.state.is_live() && start <= now && now < end => {
            let bundles = [&old, &new]
                .iter()
                .any(|terms| terms.access == Access::Hotspot && terms.billing == Billing::Prepaid);
            let same_way = old.billing == new.billing;
            let running = store::running(tx, tenant, id, now).await?;
            if old.billing == Billing::Prepaid && running.is_some_and(|it| it.given) {
                // Nothing was paid for it, so nothing is credited or charged.
                change.version = version;
                true
            } else if bundles || !same_way || !rises(&batch, &old, &new)? {
                change.next_version = Some(version);
                false
            } else {
                let used = used(tx, tenant, &batch, &one).await?;
                move_up(
                    tx,
                    tenant,
                    &mut batch,
                    &one,
                    (&old, &new),
                    version,
                    used,
                    running,
                    &mut change,
                )
                .await?;
                true
            }
        }
        Some((_, end)) if one.state.is_live() && now < end => {
            // The terms that are paid ahead stay as they were sold.
            change.next_version = Some(version);
            false
        }
        Some(_) | None => {
            change.version = version;
            true
        }
    };
    batch.writes.changes.push(change);
    batch.writes.apply(tx, tenant, now).await?;
    Ok(at_once)
}

/// Does a second cost as much, or more?
fn rises(batch: &Batch, old: &Terms, new: &Terms) -> Result<bool, PeriodError> {
    let by_second = |terms: &Terms| -> Result<(i128, i128), PeriodError> {
        let end = billing::end_of(batch.now, terms.validity, 1, &batch.zone)?;
        let seconds = batch.now.duration_until(end).as_secs();
        Ok((i128::from(batch::price(terms).get()), i128::from(seconds.max(1))))
    };
    let (old, new) = (by_second(old)?, by_second(new)?);
    Ok(new.0 * old.1 >= old.0 * new.1)
}

#[expect(clippy::too_many_arguments, reason = "what is known of one change of plan")]
async fn move_up(
    tx: &mut Tx,
    tenant: TenantId,
    batch: &mut Batch,
    one: &Due,
    (old, new): (&Terms, &Terms),
    version: PlanVersionId,
    used_bytes: Option<Used>,
    running: Option<Running>,
    change: &mut Change,
) -> Result<(), PeriodError> {
    let now = batch.now;
    let Some(term) = batch.current(one, old)? else { return Ok(()) };
    change.version = version;
    change.term = Some((now, term.end));
    change.reason = Some("another plan");
    let rest = Term { start: now, ..term };
    if old.billing == Billing::Postpaid {
        // What was had is invoiced; the rest is, when the term is over.
        return batch.bill(one, old, now, used_bytes.unwrap_or_default());
    }
    let Some(running) = running else { return Ok(()) };
    // The net price of the rest, by both plans; the taxes of today on the difference.
    let old_rest =
        billing::prorate(running.net, Cents::ZERO, (running.start, running.end), now)?.credit;
    let credit = Cents::ZERO.minus(old_rest)?;
    let whole = batch.cost(new, &Term { start: rest.whole.0, ..rest }, rest.end)?;
    // The same price, of parts that were rounded, is not less.
    let new_rest = rest.price(whole.net, rest.end)?.max(credit);
    let due = batch.rates.upon(new_rest.minus(credit)?)?;
    let taken = batch.rates.upon(credit)?;
    let charged = Split {
        net: new_rest,
        excise: due.excise.plus(taken.excise)?,
        vat: due.vat.plus(taken.vat)?,
    };
    let back = Split {
        net: old_rest,
        excise: Cents::ZERO.minus(taken.excise)?,
        vat: Cents::ZERO.minus(taken.vat)?,
    };
    enough(one, due)?;
    let period = Uuid::now_v7();
    let lines = vec![
        batch.line(one, one.version, running.id, LineKind::ProrationCredit, &rest, back)?,
        batch.line(one, version, period, LineKind::ProrationCharge, &rest, charged)?,
    ];
    let kept = running.net.minus(credit)?;
    write::shorten(tx, tenant, running.id, now, kept, credit, batch.recognised).await?;
    batch.period(one, version, period, &rest, new_rest, false)?;
    // Of the new quota, what was used of the old one is gone.
    if let Some(grant) = batch.writes.grants.last_mut()
        && grant.source_id == period
        && let Some(bytes) = grant.bytes
    {
        let span = (running.start, now);
        let used = store::used(tx, tenant, one.id, one.subscriber, span).await?.bytes;
        grant.bytes = Some(bytes.saturating_sub(used).max(1));
    }
    batch.defer(period, new_rest, (now, rest.end));
    if due.total()? > Cents::ZERO {
        batch.writes.bills.push(Bill {
            id: InvoiceId::from_uuid(Uuid::now_v7()),
            subscriber: one.subscriber,
            due_on: billing::day_of(now, &batch.zone),
            lines,
            from_wallet: true,
            deferred: true,
        });
    }
    Ok(())
}

/// All or nothing.
fn enough(one: &Due, cost: Split) -> Result<(), PeriodError> {
    let needed = cost.total()?;
    if one.wallet >= needed {
        return Ok(());
    }
    Err(PeriodError::WalletTooLow { wallet: one.wallet, needed })
}

/// Nobody else changes it until the transaction ends.
async fn lock(tx: &mut Tx, tenant: TenantId, id: SubscriptionId) -> Result<Due, PeriodError> {
    store::lock(tx, tenant, id).await?;
    let found = store::read(tx, tenant, &[*id.as_uuid()]).await?.pop();
    found.ok_or(PeriodError::Unknown)
}

/// False if the request has had its effect.
async fn claim(
    tx: &mut Tx,
    actor: &Actor,
    key: Option<&Key>,
    object: Uuid,
) -> Result<bool, PeriodError> {
    let claim = idempotency::claim(tx, actor, key, object, None).await?;
    Ok(matches!(claim, Claim::New))
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    id: SubscriptionId,
    after: serde_json::Value,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "subscription",
        object_id: id.to_string(),
        before: None,
        after: Some(after),
    };
    audit::record(tx, actor, entry).await
}
