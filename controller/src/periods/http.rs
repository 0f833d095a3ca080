//! `/api/subscriptions/{id}/periods` and what is done to terms; `/api/finance/billing-policy`.

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{InvoiceId, PlanVersionId, SubscriptionId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Period, PeriodError, Periods, PolicyRow};
use crate::{
    actor::Actor,
    http::{Body, Create, FieldError, Guarded, IfMatch, Need, Path, Problem, Versioned},
    operators::Role,
    subscriptions::Policy,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Periods: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::FRONT_DESK), routes!(renew))
        .route(Need::One(Role::FRONT_DESK), routes!(promise))
        .route(Need::One(Role::FRONT_DESK), routes!(add_on))
        .route(Need::One(Role::READERS), routes!(policy))
        .route(Need::One(Role::SALES), routes!(set_policy))
}

/// Lists the times that a subscription was billed for, oldest first.
#[utoipa::path(get, path = "/api/subscriptions/{id}/periods", tag = "subscriptions",
    params(("id" = String, Path)),
    responses((status = 200, body = Vec<PeriodView>), (status = 404, body = Problem)))]
async fn list(
    State(periods): State<Periods>,
    actor: Actor,
    Path(id): Path<SubscriptionId>,
) -> Result<Json<Vec<PeriodView>>, Problem> {
    let all = periods.list(&actor, id).await?;
    Ok(Json(all.into_iter().map(PeriodView::from).collect()))
}

/// Pays the next term from the wallet: all of it or nothing.
#[utoipa::path(post, path = "/api/subscriptions/{id}/periods", tag = "subscriptions",
    params(("id" = String, Path)), request_body = Nothing,
    responses((status = 201, body = Vec<PeriodView>), (status = 409, body = Problem)))]
async fn renew(
    State(periods): State<Periods>,
    actor: Actor,
    Path(id): Path<SubscriptionId>,
    Create { body: Nothing {}, key }: Create<Nothing>,
) -> Result<(StatusCode, Json<Vec<PeriodView>>), Problem> {
    periods.renew(&actor, key.as_ref(), id).await?;
    let all = periods.list(&actor, id).await?;
    Ok((StatusCode::CREATED, Json(all.into_iter().map(PeriodView::from).collect())))
}

/// Keeps who promises to pay on-line until then: once for each term.
#[utoipa::path(put, path = "/api/subscriptions/{id}/promise", tag = "subscriptions",
    params(("id" = String, Path)), request_body = PromiseBody,
    responses((status = 204), (status = 409, body = Problem)))]
async fn promise(
    State(periods): State<Periods>,
    actor: Actor,
    Path(id): Path<SubscriptionId>,
    Body(body): Body<PromiseBody>,
) -> Result<StatusCode, Problem> {
    periods.promise(&actor, id, body.until).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Buys more bytes or time for who is on-line, from the wallet.
#[utoipa::path(post, path = "/api/subscriptions/{id}/add-ons", tag = "subscriptions",
    params(("id" = String, Path)), request_body = AddOnBody,
    responses((status = 201), (status = 409, body = Problem)))]
async fn add_on(
    State(periods): State<Periods>,
    actor: Actor,
    Path(id): Path<SubscriptionId>,
    Create { body, key }: Create<AddOnBody>,
) -> Result<StatusCode, Problem> {
    periods.add_on(&actor, key.as_ref(), id, body.plan_version).await?;
    Ok(StatusCode::CREATED)
}

/// Shows what happens to who does not pay, and when.
#[utoipa::path(get, path = "/api/finance/billing-policy", tag = "finance",
    responses((status = 200, body = PolicyBody)))]
async fn policy(
    State(periods): State<Periods>,
    actor: Actor,
) -> Result<Versioned<PolicyBody>, Problem> {
    Ok(versioned(periods.policy(&actor).await?))
}

/// Says what happens to who does not pay, and when.
#[utoipa::path(put, path = "/api/finance/billing-policy", tag = "finance",
    request_body = PolicyBody,
    responses((status = 200, body = PolicyBody), (status = 412, body = Problem)))]
async fn set_policy(
    State(periods): State<Periods>,
    actor: Actor,
    IfMatch(version): IfMatch,
    Body(body): Body<PolicyBody>,
) -> Result<Versioned<PolicyBody>, Problem> {
    Ok(versioned(periods.set_policy(&actor, version, body.check()?).await?))
}

fn versioned(row: PolicyRow) -> Versioned<PolicyBody> {
    Versioned { version: row.version, view: row.policy.into() }
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PromiseBody {
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddOnBody {
    #[schema(value_type = String)]
    plan_version: PlanVersionId,
}

#[derive(Debug, Serialize, ToSchema)]
struct PeriodView {
    #[schema(value_type = String)]
    plan_version: PlanVersionId,
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    end: Timestamp,
    /// Without taxes.
    net_cents: i64,
    /// Not sold: staff activated it before it was paid.
    given: bool,
    #[schema(value_type = Option<String>)]
    invoice: Option<InvoiceId>,
}

impl From<Period> for PeriodView {
    fn from(period: Period) -> Self {
        let Period { id: _, plan_version, start, end, net, given, invoice } = period;
        Self { plan_version, start, end, net_cents: net.get(), given, invoice }
    }
}

/// Days are whole; what is given stands instead of what was said before.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PolicyBody {
    /// Days before the end, or the due date, when who has to pay is reminded.
    remind_days: Vec<u16>,
    /// After the plan's grace: days in the walled garden.
    garden_days: u16,
    /// From the suspension to the end.
    expire_days: u16,
    due_days: u16,
    promise_days: u16,
    /// Who pays after a suspension is served from when it was suspended, not from now.
    back_date: bool,
    /// Terms that may be paid ahead.
    stack_max: u16,
    breakage_days: u16,
}

impl PolicyBody {
    fn check(mut self) -> Result<Policy, Problem> {
        self.remind_days.sort_unstable_by(|one, other| other.cmp(one));
        self.remind_days.dedup();
        let most = self.remind_days.first().copied().unwrap_or(0);
        let ranges = [
            ("remind_days", most, 0, 60),
            ("garden_days", self.garden_days, 0, 90),
            ("expire_days", self.expire_days, 1, 730),
            ("due_days", self.due_days, 0, 90),
            ("promise_days", self.promise_days, 0, 60),
            ("stack_max", self.stack_max, 1, 24),
            ("breakage_days", self.breakage_days, 0, 730),
        ];
        let mut wrong: Vec<_> = ranges
            .iter()
            .filter(|(_, value, least, most)| !(least..=most).contains(&value))
            .map(|(field, _, least, most)| {
                FieldError::new(*field, format!("expected {least} to {most}"))
            })
            .collect();
        if !(1..=8).contains(&self.remind_days.len()) {
            wrong.push(FieldError::new("remind_days", "expected 1 to 8 of them"));
        }
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        Ok(Policy {
            remind_days: self.remind_days,
            garden_days: self.garden_days,
            expire_days: self.expire_days,
            due_days: self.due_days,
            promise_days: self.promise_days,
            back_date: self.back_date,
            stack_max: self.stack_max,
            breakage_days: self.breakage_days,
        })
    }
}

impl From<Policy> for PolicyBody {
    fn from(policy: Policy) -> Self {
        Self {
            remind_days: policy.remind_days,
            garden_days: policy.garden_days,
            expire_days: policy.expire_days,
            due_days: policy.due_days,
            promise_days: policy.promise_days,
            back_date: policy.back_date,
            stack_max: policy.stack_max,
            breakage_days: policy.breakage_days,
        }
    }
}

impl From<PeriodError> for Problem {
    fn from(error: PeriodError) -> Self {
        match error {
            PeriodError::Unknown => Self::not_found("subscription"),
            PeriodError::Dangling => Self::conflict("not-for-sale", error.to_string()),
            PeriodError::WalletTooLow { .. } => Self::conflict("wallet-too-low", error.to_string()),
            PeriodError::StackedUp => Self::conflict("paid-ahead", error.to_string()),
            PeriodError::Postpaid => Self::conflict("postpaid", error.to_string()),
            PeriodError::NotRenewable(_) => Self::conflict("not-from-here", error.to_string()),
            PeriodError::NoPromise => Self::conflict("no-promise", error.to_string()),
            PeriodError::PromiseTooFar(_) => {
                Self::invalid(vec![FieldError::new("until", error.to_string())])
            }
            PeriodError::NotAnAddOn => Self::conflict("not-an-add-on", error.to_string()),
            PeriodError::NotOnline => Self::conflict("not-online", error.to_string()),
            PeriodError::Stale => Self::stale(),
            PeriodError::TooMuch(error) => {
                Self::invalid(vec![FieldError::new("plan_version", error.to_string())])
            }
            PeriodError::Claim(error) => error.into(),
            PeriodError::Invoice(error) => error.into(),
            PeriodError::Store(error) => error.into(),
        }
    }
}
