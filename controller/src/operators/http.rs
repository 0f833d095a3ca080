//! `/api/operators`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{OperatorId, OperatorKind};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{NewOperator, Operator, OperatorChange, OperatorError, Operators, Role};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem, Query,
        Versioned,
    },
    words::{Email, Name, Passphrase},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Operators: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::OVERSIGHT), routes!(list))
        .dangerous(Need::One(Role::HEADS), routes!(create))
        .route(Need::One(Role::OVERSIGHT), routes!(show))
        .dangerous(Need::One(Role::HEADS), routes!(update))
}

/// Lists staff.
#[utoipa::path(get, path = "/api/operators", tag = "operators", params(PageQuery),
    responses((status = 200, body = Page<OperatorView>)))]
async fn list(
    State(operators): State<Operators>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<OperatorView>>, Problem> {
    let ask = query.check::<OperatorKind>()?;
    let items = operators.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |operator| operator.id, OperatorView::from)))
}

/// Adds somebody to the staff.
#[utoipa::path(post, path = "/api/operators", tag = "operators", request_body = OperatorBody,
    responses((status = 201, body = OperatorView), (status = 409, body = Problem)))]
async fn create(
    State(operators): State<Operators>,
    actor: Actor,
    Create { body, key }: Create<OperatorBody>,
) -> Result<Created<OperatorView>, Problem> {
    let made = operators.create(&actor, key.as_ref(), body.into()).await?;
    Ok(Created {
        path: format!("/api/operators/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows a member of staff.
#[utoipa::path(get, path = "/api/operators/{id}", tag = "operators",
    params(("id" = String, Path)),
    responses((status = 200, body = OperatorView), (status = 404, body = Problem)))]
async fn show(
    State(operators): State<Operators>,
    actor: Actor,
    Path(id): Path<OperatorId>,
) -> Result<Versioned<OperatorView>, Problem> {
    Ok(versioned(operators.find(&actor, id).await?))
}

/// Changes a member of staff. A new password unlocks the login.
///
/// A new password, another role and `disabled` end the sessions of that login.
#[utoipa::path(patch, path = "/api/operators/{id}", tag = "operators",
    params(("id" = String, Path)), request_body = OperatorChangeBody,
    responses((status = 200, body = OperatorView), (status = 412, body = Problem)))]
async fn update(
    State(operators): State<Operators>,
    actor: Actor,
    Path(id): Path<OperatorId>,
    IfMatch(version): IfMatch,
    Body(change): Body<OperatorChangeBody>,
) -> Result<Versioned<OperatorView>, Problem> {
    Ok(versioned(operators.update(&actor, id, version, change.into()).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorBody {
    email: Email,
    name: Name,
    role: Role,
    password: Passphrase,
}

impl From<OperatorBody> for NewOperator {
    fn from(body: OperatorBody) -> Self {
        let OperatorBody { email, name, role, password } = body;
        Self { email, name, role, password }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorChangeBody {
    name: Option<Name>,
    role: Option<Role>,
    disabled: Option<bool>,
    password: Option<Passphrase>,
}

impl From<OperatorChangeBody> for OperatorChange {
    fn from(body: OperatorChangeBody) -> Self {
        let OperatorChangeBody { name, role, disabled, password } = body;
        Self { name, role, disabled, password }
    }
}

/// A member of staff.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperatorView {
    #[schema(value_type = String, example = "op_0198b2f4c0de7000a000000000000001")]
    id: OperatorId,
    email: Email,
    name: Name,
    role: Role,
    disabled: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    locked_until: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_login_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Operator> for OperatorView {
    fn from(operator: Operator) -> Self {
        let Operator { id, email, name, role, disabled, locked_until, last_login_at, .. } =
            operator;
        let created_at = operator.created_at;
        Self { id, email, name, role, disabled, locked_until, last_login_at, created_at }
    }
}

fn versioned(operator: Operator) -> Versioned<OperatorView> {
    Versioned { version: operator.version, view: operator.into() }
}

impl From<OperatorError> for Problem {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::Unknown => Self::not_found("operator"),
            OperatorError::EmailTaken => Self::conflict("email-taken", error.to_string()),
            OperatorError::WrongRole => Self::conflict("wrong-role", error.to_string()),
            OperatorError::Oneself => Self::conflict("oneself", error.to_string()),
            OperatorError::Stale => Self::stale(),
            OperatorError::Hash(error) => Self::internal(&error),
            OperatorError::Claim(error) => error.into(),
            OperatorError::Store(error) => error.into(),
        }
    }
}
