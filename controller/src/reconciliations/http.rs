//! `/api/finance/reconciliations`.

use axum::{
    Json,
    extract::{DefaultBodyLimit, FromRef, State},
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use shared::id::{MerchantId, ReconciliationId, ReconciliationKind};
use utoipa::ToSchema;
use utoipa_axum::{router::UtoipaMethodRouterExt as _, routes};

use super::{
    Difference, DifferenceKind, NewReconciliation, Reconciliation, ReconciliationError,
    Reconciliations, Source, Sum,
};
use crate::{
    actor::Actor,
    billing::Cents,
    http::{Create, Created, FieldError, Guarded, Need, Page, PageQuery, Path, Problem, Query},
    operators::Role,
    words::Receipt,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Reconciliations: FromRef<S>,
{
    let large = DefaultBodyLimit::max(STATEMENT_MAX);
    Guarded::default()
        .route(Need::One(Role::BOOKKEEPERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(create).layer(large))
        .route(Need::One(Role::BOOKKEEPERS), routes!(show))
}

/// Lists the days that were compared.
#[utoipa::path(get, path = "/api/finance/reconciliations", tag = "finance", params(PageQuery),
    responses((status = 200, body = Page<ReconciliationView>)))]
async fn list(
    State(reconciliations): State<Reconciliations>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ReconciliationView>>, Problem> {
    let ask = query.check::<ReconciliationKind>()?;
    let items = reconciliations.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |one| one.id, ReconciliationView::from)))
}

/// Compares a day with the provider's list, or with a statement of the provider's portal.
#[utoipa::path(post, path = "/api/finance/reconciliations", tag = "finance",
    request_body = ReconciliationBody,
    responses((status = 201, body = ReconciliationView), (status = 409, body = Problem)))]
async fn create(
    State(reconciliations): State<Reconciliations>,
    actor: Actor,
    Create { body, key }: Create<ReconciliationBody>,
) -> Result<Created<ReconciliationView>, Problem> {
    let ReconciliationBody { merchant, day, statement, recover } = body;
    let new = NewReconciliation { merchant, day, statement, recover };
    let made = reconciliations.create(&actor, key.as_ref(), new).await?;
    Ok(Created {
        path: format!("/api/finance/reconciliations/{}", made.value.id),
        version: 1,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows what was found when a day was compared.
#[utoipa::path(get, path = "/api/finance/reconciliations/{id}", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = ReconciliationView), (status = 404, body = Problem)))]
async fn show(
    State(reconciliations): State<Reconciliations>,
    actor: Actor,
    Path(id): Path<ReconciliationId>,
) -> Result<Json<ReconciliationView>, Problem> {
    Ok(Json(reconciliations.find(&actor, id).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReconciliationBody {
    #[schema(value_type = String)]
    merchant: MerchantId,
    /// In the tenant's time zone.
    #[schema(value_type = String, format = Date)]
    day: Date,
    /// CSV with the columns `Receipt No.` and `Paid In`, or `receipt` and `amount`; with `Details`
    /// and `Withdrawn`, the provider's fees too. None: the provider is asked.
    statement: Option<String>,
    /// Book what is missing: payments, and fees of the statement.
    #[serde(default)]
    recover: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct ReconciliationView {
    #[schema(value_type = String, example = "rec_0198b2f4c0de7000a000000000000001")]
    id: ReconciliationId,
    #[schema(value_type = String)]
    merchant: MerchantId,
    #[schema(value_type = String, format = Date)]
    day: Date,
    source: Source,
    ours: SumView,
    theirs: SumView,
    differences: Vec<DifferenceView>,
    /// What the provider has kept for itself, and was booked because of this.
    fees_cents: i64,
    made_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
struct SumView {
    count: i64,
    cents: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct DifferenceView {
    kind: DifferenceKind,
    receipt: Receipt,
    ours_cents: Option<i64>,
    theirs_cents: Option<i64>,
    /// It was credited because of this.
    recovered: bool,
}

impl From<Sum> for SumView {
    fn from(Sum { count, cents }: Sum) -> Self {
        Self { count, cents: cents.get() }
    }
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        let Difference { kind, receipt, ours, theirs, recovered } = difference;
        let (ours_cents, theirs_cents) = (ours.map(Cents::get), theirs.map(Cents::get));
        Self { kind, receipt, ours_cents, theirs_cents, recovered }
    }
}

impl From<Reconciliation> for ReconciliationView {
    fn from(one: Reconciliation) -> Self {
        Self {
            id: one.id,
            merchant: one.merchant,
            day: one.day,
            source: one.source,
            ours: one.ours.into(),
            theirs: one.theirs.into(),
            differences: one.differences.into_iter().map(DifferenceView::from).collect(),
            fees_cents: one.fees.get(),
            made_by: one.made_by,
            created_at: one.created_at,
        }
    }
}

impl From<ReconciliationError> for Problem {
    fn from(error: ReconciliationError) -> Self {
        let title = error.to_string();
        match error {
            ReconciliationError::Unknown => Self::not_found("reconciliation"),
            ReconciliationError::TooOld | ReconciliationError::Future => {
                Self::invalid(vec![FieldError::new("day", title)])
            }
            ReconciliationError::Statement(_) => {
                Self::invalid(vec![FieldError::new("statement", title)])
            }
            ReconciliationError::TooMuch(_) => Self::conflict("too-much", title),
            ReconciliationError::Merchant(error) => error.into(),
            ReconciliationError::Recover(error) => error.into(),
            ReconciliationError::Claim(error) => error.into(),
            ReconciliationError::Store(error) => error.into(),
        }
    }
}

/// A busy day of a paybill.
const STATEMENT_MAX: usize = 8 << 20;
