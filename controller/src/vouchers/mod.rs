//! Vouchers: codes that somebody paid for and anybody can redeem, once.
//!
//! A code is shown when its batch is issued and never again; the database has only what it is
//! compared with. A batch is sold before it can be redeemed, so that a print run that was stolen
//! can be voided as a whole.

mod code;
pub mod http;
mod redemption;
mod store;
mod voids;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{
    id::{BatchId, EntitlementId, PlanVersionId, ResellerId, SubscriberId, TenantId, VoucherId},
    secret::Secret,
};
use uuid::Uuid;

pub use self::code::VoucherCode;
use self::redemption::{Redeem, Redemption};
use crate::{
    actor::Actor,
    audit::{self, Audited},
    billing::{self, Cents, Split, TooMuch},
    clock,
    db::{AsStoreError, Db, StoreError, Tx},
    edges::LookAgain,
    group::Group,
    idempotency::{self, Claim, ClaimError, Key, Made},
    ledger::{self, Account, Entry, Event},
    resellers::{self, Sale},
    seal::Seal,
    taxes, tenants,
    words::choices,
};

choices! {
    VoucherState {
        // Printed, and not sold: it cannot be redeemed.
        Generated = "generated",
        Sold = "sold",
        // Redeemed.
        Active = "active",
        // Redeemed and used up.
        Exhausted = "exhausted",
        Expired = "expired",
        Void = "void",
    }
}

#[derive(Clone, Debug)]
pub struct Voucher {
    pub id: VoucherId,
    pub batch: BatchId,
    /// What is printed beside the code, for people to name it by.
    pub serial: u32,
    pub state: VoucherState,
    pub redeemed_at: Option<Timestamp>,
    pub subscriber: Option<SubscriberId>,
}

impl Audited for Voucher {
    const KIND: &'static str = "voucher";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({ "batch": self.batch, "serial": self.serial, "state": self.state })
    }
}

#[derive(Clone, Debug)]
pub struct Batch {
    pub id: BatchId,
    pub plan_version: PlanVersionId,
    /// Whose vouchers they are; none: the tenant's own.
    pub reseller: Option<ResellerId>,
    pub qty: u32,
    /// What one costs, taxes included.
    pub face: Cents,
    pub split: Split,
    pub redeem_by: Option<Timestamp>,
    pub created_at: Timestamp,
    /// How many are in which state.
    pub states: Vec<(VoucherState, u32)>,
}

impl Batch {
    fn snapshot(&self) -> Value {
        json!({
            "plan_version": self.plan_version, "reseller": self.reseller, "qty": self.qty, "face_cents": self.face.get(),
            "redeem_by": self.redeem_by,
        })
    }
}

/// A batch with its codes, in the order of their serials.
#[derive(Clone, Debug)]
pub struct Issued {
    pub batch: Batch,
    pub codes: Vec<VoucherCode>,
}

#[derive(Clone, Debug)]
pub struct NewBatch {
    pub plan_version: PlanVersionId,
    /// For whom; none: the tenant's own shops.
    pub reseller: Option<ResellerId>,
    pub qty: u32,
    /// None: the price of the plan.
    pub face: Option<Cents>,
    pub redeem_by: Option<Timestamp>,
    /// Characters before the check character.
    pub length: u8,
    /// Sold at once.
    pub presold: bool,
}

/// What a voucher gave.
#[derive(Clone, Debug)]
pub struct Redeemed {
    pub entitlement: EntitlementId,
    pub voucher: Voucher,
    pub until: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub batch: Option<BatchId>,
    pub state: Option<VoucherState>,
}

#[derive(Debug, thiserror::Error)]
pub enum VoucherError {
    #[error("there is no such batch")]
    UnknownBatch,
    #[error("there is no such voucher")]
    Unknown,
    #[error("there is no voucher with this code")]
    UnknownCode,
    #[error("there is no such plan version, or it is archived")]
    NotForSale,
    #[error("there is no such subscriber, or the account is closed")]
    UnknownSubscriber,
    #[error(
        "expected {} to {}, and so many that guessing takes longer than a year",
        code::LEN_MIN,
        code::LEN_MAX
    )]
    TooShort,
    #[error("there is no such reseller, or it does not sell")]
    UnknownReseller,
    #[error("the reseller has not paid in so much")]
    FloatTooLow,
    #[error("no voucher of the batch is left to be sold")]
    NothingToSell,
    #[error("no voucher of the batch is left to be voided: what was sold stays")]
    NothingToVoid,
    #[error("the voucher was not sold yet")]
    NotSold,
    #[error("the voucher was redeemed already")]
    Used,
    #[error("the voucher is void")]
    Void,
    #[error("the date until which the voucher could be redeemed is over")]
    Expired,
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for VoucherError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::UnknownBatch
            | Self::Unknown
            | Self::UnknownCode
            | Self::NotForSale
            | Self::UnknownSubscriber
            | Self::TooShort
            | Self::UnknownReseller
            | Self::FloatTooLow
            | Self::NothingToSell
            | Self::NothingToVoid
            | Self::NotSold
            | Self::Used
            | Self::Void
            | Self::Expired
            | Self::TooMuch(_)
            | Self::Claim(_) => None,
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Vouchers {
    db: Db,
    seal: Seal,
    redeem: Group<Redeem>,
}

impl Vouchers {
    pub fn new(db: Db, seal: Seal, look_again: LookAgain) -> Self {
        let redeem = Group::new(Redeem { db: db.clone(), look_again });
        Self { db, seal, redeem }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Voucher>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, filter, after, limit).await
    }

    pub async fn batches(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Batch>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::batches(&mut tx, actor.tenant, None, after, limit).await
    }

    pub async fn batch(&self, actor: &Actor, id: BatchId) -> Result<Batch, VoucherError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    /// Which of the batch these codes are, in their order; none: another's.
    pub async fn serials(
        &self,
        actor: &Actor,
        batch: BatchId,
        codes: &[VoucherCode],
    ) -> Result<Vec<Option<u32>>, StoreError> {
        let marks: Vec<_> = codes.iter().map(|code| self.mark(actor.tenant, code)).collect();
        let mut tx = self.db.staff(actor).await?;
        store::serials(&mut tx, actor.tenant, batch, &marks).await
    }

    /// Makes a batch. The same request gets the same codes again.
    pub async fn issue(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewBatch,
    ) -> Result<Made<Issued>, VoucherError> {
        let NewBatch { plan_version, reseller, qty, face, redeem_by, length, presold } = new;
        let codes = random_codes(qty, length)?;
        let mut tx = self.db.staff(actor).await?;
        let id = BatchId::from_uuid(Uuid::now_v7());
        let secret =
            Secret::new(codes.iter().map(VoucherCode::as_str).collect::<Vec<_>>().join("\n"));
        let claim =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), Some((&self.seal, &secret)));
        if let Claim::Before { object, once } = claim.await? {
            let batch = find(&mut tx, actor.tenant, BatchId::from_uuid(object)).await?;
            let before = once.iter().flat_map(|secret| secret.expose().lines());
            let codes = before.filter_map(|code| code.parse().ok()).collect();
            return Ok(Made { value: Issued { batch, codes }, replayed: true });
        }
        let live = store::live(&mut tx, actor.tenant).await? + u64::from(qty);
        if !code::is_long_enough(length.into(), live) {
            return Err(VoucherError::TooShort);
        }
        let price = store::price(&mut tx, actor.tenant, plan_version).await?;
        let price = price.ok_or(VoucherError::NotForSale)?;
        let now = clock::now();
        let today = billing::day_of(now, &tenants::zone(&mut tx, actor.tenant).await?);
        let rates = taxes::on(&mut tx, actor.tenant, today).await?;
        let split = match face {
            Some(face) => rates.within(face)?,
            None if price.includes_tax => rates.within(price.cents)?,
            None => rates.upon(price.cents)?,
        };
        let batch = Batch {
            id,
            plan_version,
            reseller,
            qty,
            face: split.total()?,
            split,
            redeem_by,
            created_at: now,
            states: vec![(VoucherState::Generated, qty)],
        };
        let inserted = store::insert_batch(&mut tx, actor.tenant, &batch).await;
        inserted.map_err(|error| {
            if error.is_dangling() { VoucherError::UnknownReseller } else { error.into() }
        })?;
        let marks: Vec<_> = codes.iter().map(|code| self.mark(actor.tenant, code)).collect();
        store::insert(&mut tx, actor.tenant, &batch, &marks).await?;
        record(&mut tx, actor, "voucher.issue", &batch).await?;
        if presold {
            sell(&mut tx, actor, &batch, now).await?;
        }
        let batch = find(&mut tx, actor.tenant, id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: Issued { batch, codes }, replayed: false })
    }

    /// Sells what is left of a batch: from now on it can be redeemed, and is owed.
    pub async fn sell(&self, actor: &Actor, id: BatchId) -> Result<Batch, VoucherError> {
        let mut tx = self.db.staff(actor).await?;
        let batch = find(&mut tx, actor.tenant, id).await?;
        sell(&mut tx, actor, &batch, clock::now()).await?;
        let batch = find(&mut tx, actor.tenant, id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(batch)
    }

    /// Gives the subscriber what the voucher is for. Of many who try, one does.
    pub async fn redeem(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        code: &VoucherCode,
        subscriber: SubscriberId,
    ) -> Result<Made<Redeemed>, VoucherError> {
        let redemption = Redemption {
            actor: actor.clone(),
            key: key.cloned(),
            mark: self.mark(actor.tenant, code),
            subscriber,
            now: clock::now(),
        };
        self.redeem.ask(redemption).await
    }

    fn mark(&self, tenant: TenantId, code: &VoucherCode) -> [u8; 32] {
        self.seal.mark(tenant, "voucher", code.as_str())
    }
}

async fn find(tx: &mut Tx, tenant: TenantId, id: BatchId) -> Result<Batch, VoucherError> {
    let mut found = store::batches(tx, tenant, Some(id), Uuid::nil(), 1).await?;
    found.pop().ok_or(VoucherError::UnknownBatch)
}

/// Who sells owes the face value, a reseller less its commission; of it, the net price becomes
/// revenue when the voucher is used.
async fn sell(
    tx: &mut Tx,
    actor: &Actor,
    batch: &Batch,
    now: Timestamp,
) -> Result<(), VoucherError> {
    let id = Uuid::now_v7();
    let left = store::lock_unsold(tx, actor.tenant, batch.id).await?;
    if left == 0 {
        return Err(VoucherError::NothingToSell);
    }
    let total = batch.face.times(left)?;
    let (owed_by, commission) = match batch.reseller {
        None => (Account::Till, Cents::ZERO),
        Some(reseller) => {
            let today = billing::day_of(now, &tenants::zone(tx, actor.tenant).await?);
            let version = batch.plan_version;
            let agreed = resellers::agreed(tx, actor.tenant, reseller, version, today).await?;
            let agreed = agreed.ok_or(VoucherError::UnknownReseller)?;
            let sale = Sale { face: batch.face, net: batch.split.net, qty: left };
            (Account::Agent(reseller), agreed.commission(sale)?)
        }
    };
    store::insert_sale(tx, actor.tenant, id, batch, left, (total, commission), now).await?;
    if total > Cents::ZERO {
        let owed = |cents: Cents| Cents::ZERO.minus(cents.times(left)?);
        let entry = Entry {
            event: Event::VouchersSold(id),
            at: now,
            lines: vec![
                (owed_by, total.minus(commission)?),
                (Account::Commission, commission),
                (Account::DeferredVouchers, owed(batch.split.net)?),
                (Account::Excise, owed(batch.split.excise)?),
                (Account::Vat, owed(batch.split.vat)?),
            ],
        };
        let posted = ledger::post(tx, &entry).await;
        posted.map_err(|error| match error.constraint() {
            Some("ledger_account_floor") => VoucherError::FloatTooLow,
            Some(_) | None => error.into(),
        })?;
    }
    store::mark_sold(tx, actor.tenant, batch.id, id).await?;
    record(tx, actor, "voucher.sell", batch).await?;
    Ok(())
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    batch: &Batch,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "voucher_batch",
        object_id: batch.id.to_string(),
        before: None,
        after: Some(batch.snapshot()),
    };
    audit::record(tx, actor, entry).await
}

fn random_codes(qty: u32, length: u8) -> Result<Vec<VoucherCode>, VoucherError> {
    if !(code::LEN_MIN..=code::LEN_MAX).contains(&usize::from(length)) {
        return Err(VoucherError::TooShort);
    }
    let mut codes = Vec::new();
    while codes.len() < usize::try_from(qty).unwrap_or(usize::MAX) {
        let mut bytes = [0_u8; 64];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        // One batch of noise in a million has too few fair bytes.
        codes.extend(VoucherCode::random(length.into(), bytes));
    }
    Ok(codes)
}
