//! Redeeming: a voucher becomes what it was sold for, once. Who redeems at about the same time
//! shares a transaction, and each has an answer of their own.

mod store;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::id::{EntitlementId, SubscriberId};
use uuid::Uuid;

use self::store::{Outcome, Planned, Redeeming};
use super::{Redeemed, VoucherError, VoucherState};
use crate::{
    actor::Actor,
    audit, billing,
    db::{Db, Share, StoreError},
    edges::LookAgain,
    group::{Answer, Work},
    idempotency::{self, Asked, Key, Made},
    tenants,
};

/// Somebody wants to redeem a code, now.
#[derive(Clone, Debug)]
pub(super) struct Redemption {
    pub(super) actor: Actor,
    pub(super) key: Option<Key>,
    /// What the code is compared with.
    pub(super) mark: [u8; 32],
    pub(super) subscriber: SubscriberId,
    pub(super) now: Timestamp,
}

/// What redeems.
#[derive(Clone, Debug)]
pub(super) struct Redeem {
    pub(super) db: Db,
    pub(super) look_again: LookAgain,
}

impl Work for Redeem {
    type Ask = Redemption;
    type Done = Made<Redeemed>;
    type Error = VoucherError;
    type Share = Share;

    fn share(ask: &Redemption) -> Share {
        Share::of(&ask.actor)
    }

    async fn together(&self, asks: &[Redemption]) -> Result<Vec<Answer<Self>>, VoucherError> {
        let Some(first) = asks.first() else { return Ok(Vec::new()) };
        let tenant = first.actor.tenant;
        let mut tx = self.db.staff(&first.actor).await?;
        let claims: Vec<_> = asks.iter().map(claim).collect();
        let before = idempotency::before_all(&mut tx, tenant, &claims, first.now).await?;
        let planned = store::planned(&mut tx, tenant, asks).await?;
        let zone = tenants::zone(&mut tx, tenant).await?;

        let mut steps = Vec::with_capacity(asks.len());
        let mut redeeming = Vec::new();
        for (((ask, claim), before), planned) in asks.iter().zip(&claims).zip(before).zip(planned) {
            let step = match before {
                Err(error) => Step::Refused(error.into()),
                Ok(Some(object)) => Step::Before(EntitlementId::from_uuid(object)),
                Ok(None) => match until(ask, planned, &zone) {
                    Err(error) => Step::Refused(error),
                    Ok(until) => {
                        let entitlement = EntitlementId::from_uuid(claim.object);
                        redeeming.push(Redeeming { ask, entitlement, until });
                        Step::Tried { entitlement, until, n: redeeming.len() - 1 }
                    }
                },
            };
            steps.push(step);
        }
        let outcomes = store::redeem(&mut tx, &redeeming).await?;
        for step in &mut steps {
            if let Step::Tried { n, .. } = step
                && let Some(error) = outcomes.get(*n).and_then(|outcome| refusal(*outcome))
            {
                *step = Step::Refused(error);
            }
        }

        let made: Vec<_> = steps.iter().filter_map(Step::entitlement).collect();
        let mut redeemed = store::redeemed(&mut tx, tenant, &made).await?.into_iter();
        let mut changes = Vec::new();
        let mut idle = Vec::new();
        let mut answers = Vec::with_capacity(asks.len());
        for ((ask, claim), step) in asks.iter().zip(claims).zip(steps) {
            answers.push(match step {
                Step::Refused(error) => {
                    idle.push(claim);
                    Err(error)
                }
                Step::Before(_) => {
                    let value = redeemed.next().expect("each was found");
                    Ok(Made { value, replayed: true })
                }
                Step::Tried { until, .. } => {
                    let value = redeemed.next().expect("each was found");
                    let entry = audit::Entry {
                        action: "voucher.redeem",
                        object_kind: "voucher",
                        object_id: value.voucher.id.to_string(),
                        before: None,
                        after: Some(json!({ "subscriber": ask.subscriber, "until": until })),
                    };
                    changes.push((&ask.actor, entry, ask.now));
                    Ok(Made { value, replayed: false })
                }
            });
        }
        idempotency::release(&mut tx, tenant, &idle).await?;
        audit::record_all(&mut tx, &changes).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(answers)
    }
}

/// How far one of them is.
#[derive(Debug)]
enum Step {
    Refused(VoucherError),
    /// The same request made it already.
    Before(EntitlementId),
    /// The n-th of those that are tried.
    Tried {
        entitlement: EntitlementId,
        until: Timestamp,
        n: usize,
    },
}

impl Step {
    const fn entitlement(&self) -> Option<EntitlementId> {
        match self {
            Self::Refused(_) => None,
            Self::Before(entitlement) | Self::Tried { entitlement, .. } => Some(*entitlement),
        }
    }
}

fn claim(ask: &Redemption) -> Asked<'_> {
    Asked { actor: &ask.actor, key: ask.key.as_ref(), object: Uuid::now_v7() }
}

/// Until when what the voucher gives will last.
fn until(
    ask: &Redemption,
    planned: Planned,
    zone: &jiff::tz::TimeZone,
) -> Result<Timestamp, VoucherError> {
    if !planned.active {
        return Err(VoucherError::UnknownSubscriber);
    }
    let validity = planned.validity.ok_or(VoucherError::UnknownCode)?;
    let from =
        if planned.waits { ask.now.saturating_add(WAITS_MAX).unwrap_or(ask.now) } else { ask.now };
    Ok(billing::end_of(from, validity, 1, zone)?)
}

/// What lasts from its first use on waits for it as long.
const WAITS_MAX: SignedDuration = SignedDuration::from_hours(365 * 24);

/// None: it is redeemed.
const fn refusal(outcome: Outcome) -> Option<VoucherError> {
    match outcome {
        Outcome::Redeemed => None,
        Outcome::Unknown => Some(VoucherError::UnknownCode),
        Outcome::InTheWay(state) => Some(match state {
            VoucherState::Generated => VoucherError::NotSold,
            VoucherState::Active | VoucherState::Exhausted => VoucherError::Used,
            VoucherState::Void => VoucherError::Void,
            // One that is still sold is past its date.
            VoucherState::Sold | VoucherState::Expired => VoucherError::Expired,
        }),
    }
}
