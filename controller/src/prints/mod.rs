//! What is printed: invoices, and sheets of vouchers. It keeps nothing; that somebody printed codes
//! is in the audit log.

pub mod http;
mod invoice;
mod paper;
mod store;
mod voucher;
mod words;

use serde_json::json;
use shared::id::{BatchId, InvoiceId};

use self::{
    invoice::DrawError,
    voucher::{Offer, Printed},
};
pub use self::{voucher::Layout, words::Language};
use crate::{
    actor::Actor,
    audit,
    db::{Db, StoreError},
    invoices::{InvoiceError, Invoices},
    subscribers::{SubscriberError, Subscribers},
    tenants::{self, TenantError, Tenants},
    vouchers::{VoucherCode, VoucherError, Vouchers},
};

#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    #[error("{serial} is not a code of this batch")]
    Foreign { serial: usize },
    #[error("it does not fit on the paper")]
    Draw(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
    #[error(transparent)]
    Tenant(#[from] TenantError),
    #[error(transparent)]
    Voucher(#[from] VoucherError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DrawError> for PrintError {
    fn from(error: DrawError) -> Self {
        Self::Draw(Box::new(error))
    }
}

/// Codes of a batch, as whoever issued it has them.
#[derive(Clone, Debug)]
pub struct Sheet {
    pub codes: Vec<VoucherCode>,
    pub layout: Layout,
    pub language: Language,
    /// Where the portal is, for the QR codes.
    pub portal: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Prints {
    db: Db,
    invoices: Invoices,
    subscribers: Subscribers,
    tenants: Tenants,
    vouchers: Vouchers,
}

impl Prints {
    pub const fn new(
        db: Db,
        invoices: Invoices,
        subscribers: Subscribers,
        tenants: Tenants,
        vouchers: Vouchers,
    ) -> Self {
        Self { db, invoices, subscribers, tenants, vouchers }
    }

    /// As a PDF, with the name that its file should have.
    pub async fn invoice(
        &self,
        actor: &Actor,
        id: InvoiceId,
        language: Language,
    ) -> Result<(String, Vec<u8>), PrintError> {
        let invoice = self.invoices.find(actor, id).await?;
        let subscriber = self.subscribers.find(actor, invoice.subscriber).await?;
        let tenant = self.tenants.find(actor, actor.tenant).await?;
        let zone = tenants::zone(&mut self.db.staff(actor).await?, actor.tenant).await?;
        let name = invoice.number.clone().unwrap_or_else(|| id.to_string());
        let pdf = invoice::draw(&tenant, &subscriber, &invoice, language, &zone)?;
        Ok((name, pdf))
    }

    /// The codes are held against the batch: what was mistyped is not printed.
    pub async fn vouchers(
        &self,
        actor: &Actor,
        batch: BatchId,
        sheet: &Sheet,
    ) -> Result<Vec<u8>, PrintError> {
        let found = self.vouchers.batch(actor, batch).await?;
        let serials = self.vouchers.serials(actor, batch, &sheet.codes).await?;
        let mut printed = Vec::new();
        for (n, (code, serial)) in sheet.codes.iter().zip(serials).enumerate() {
            let serial = serial.ok_or(PrintError::Foreign { serial: n + 1 })?;
            printed.push(Printed { serial, code: code.grouped() });
        }
        let tenant = self.tenants.find(actor, actor.tenant).await?;
        let mut tx = self.db.staff(actor).await?;
        let zone = tenants::zone(&mut tx, actor.tenant).await?;
        let given = store::given(&mut tx, actor.tenant, found.plan_version).await?;
        let offer = Offer {
            tenant: tenant.name.to_string(),
            currency: tenant.currency.to_string(),
            plan: given.plan,
            face: found.face,
            validity_seconds: given.validity_seconds,
            validity_months: given.validity_months,
            data_bytes: given.data_bytes,
            redeem_by: found.redeem_by,
            portal: sheet.portal.clone(),
        };
        let pdf = voucher::draw(&offer, &printed, sheet.layout, sheet.language, &zone);
        let pdf = pdf.map_err(|error| PrintError::Draw(Box::new(error)))?;
        let entry = audit::Entry {
            action: "voucher.print",
            object_kind: "voucher_batch",
            object_id: batch.to_string(),
            before: None,
            after: Some(json!({ "count": printed.len(), "layout": sheet.layout })),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(pdf)
    }
}
