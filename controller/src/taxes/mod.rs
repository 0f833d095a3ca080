//! Which taxes there are on which day.

mod store;

use jiff::civil::Date;
use shared::id::TenantId;

use crate::{
    billing::Rates,
    db::{StoreError, Tx},
};

/// What the tenant charges on that day. A tax without a rate is none.
pub(crate) async fn on(tx: &mut Tx, tenant: TenantId, day: Date) -> Result<Rates, StoreError> {
    store::on(tx, tenant, day).await
}
