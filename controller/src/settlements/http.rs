//! `/api/finance/settlements`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use shared::id::{ResellerId, SettlementId, SettlementKind};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Settlement, SettlementError, Settlements};
use crate::{
    actor::Actor,
    http::{Create, Created, FieldError, Guarded, Need, Page, PageQuery, Problem, Query},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Settlements: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::BOOKKEEPERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(close))
}

/// Lists settlements.
#[utoipa::path(get, path = "/api/finance/settlements", tag = "finance", params(PageQuery),
    responses((status = 200, body = Page<SettlementView>)))]
async fn list(
    State(settlements): State<Settlements>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<SettlementView>>, Problem> {
    let ask = query.check::<SettlementKind>()?;
    let items = settlements.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |settlement| settlement.id, SettlementView::from)))
}

/// Closes some days of a reseller that are over.
#[utoipa::path(post, path = "/api/finance/settlements", tag = "finance",
    request_body = SettlementBody,
    responses((status = 201, body = SettlementView), (status = 409, body = Problem)))]
async fn close(
    State(settlements): State<Settlements>,
    actor: Actor,
    Create { body, key }: Create<SettlementBody>,
) -> Result<Created<SettlementView>, Problem> {
    let SettlementBody { reseller, from, until } = body;
    let made = settlements.close(&actor, key.as_ref(), reseller, (from, until)).await?;
    Ok(Created {
        path: "/api/finance/settlements".to_owned(),
        version: 1,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SettlementBody {
    #[schema(value_type = String)]
    reseller: ResellerId,
    #[schema(value_type = String, format = Date, example = "2026-01-01")]
    from: Date,
    /// This day is not in it.
    #[schema(value_type = String, format = Date, example = "2026-01-08")]
    until: Date,
}

#[derive(Debug, Serialize, ToSchema)]
struct SettlementView {
    #[schema(value_type = String, example = "stl_0198b2f4c0de7000a000000000000001")]
    id: SettlementId,
    #[schema(value_type = String)]
    reseller: ResellerId,
    #[schema(value_type = String, format = Date)]
    from: Date,
    #[schema(value_type = String, format = Date)]
    until: Date,
    /// The face value of what was sold.
    gross_cents: i64,
    commission_cents: i64,
    net_cents: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Settlement> for SettlementView {
    fn from(settlement: Settlement) -> Self {
        let Settlement { id, reseller, days: (from, until), gross, commission, created_at } =
            settlement;
        let (gross_cents, commission_cents) = (gross.get(), commission.get());
        let net_cents = gross_cents - commission_cents;
        Self { id, reseller, from, until, gross_cents, commission_cents, net_cents, created_at }
    }
}

impl From<SettlementError> for Problem {
    fn from(error: SettlementError) -> Self {
        let title = error.to_string();
        match error {
            SettlementError::UnknownReseller => Self::conflict("no-such-reseller", title),
            SettlementError::Overlaps => Self::conflict("settled-already", title),
            SettlementError::Days => Self::invalid(vec![FieldError::new("until", title)]),
            SettlementError::TooMuch(_) => Self::conflict("too-much", title),
            SettlementError::Claim(error) => error.into(),
            SettlementError::Store(error) => error.into(),
        }
    }
}
