//! `/api/invitations`, who may invite whom, and what is done with a link.

mod page;

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{InvitationId, InvitationKind, OperatorId, TenantId},
    secret::Secret,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Invitation, InvitationError, Invitations, Newcomer, Told};
use crate::{
    actor::Actor,
    http::{Bodiless, Body, Create, Created, Guarded, Need, Page, PageQuery, Path, Problem, Query},
    idempotency::Made,
    logins::{Answer, LoginView, Origin, Place},
    operators::Role,
    words::{Email, Name, Note, Passphrase},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Invitations: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::OVERSIGHT), routes!(list))
        .dangerous(Need::One(Role::HEADS), routes!(create))
        .route(Need::One(Role::HEADS), routes!(withdraw))
        .dangerous(Need::One(Role::HEADS), routes!(reset))
        .dangerous(Need::One(Role::PLATFORM), routes!(owner))
        .route(Need::Nobody, routes!(accept))
        .route(Need::Nobody, routes!(choose))
        .merge(page::routes())
}

/// Lists invitations.
#[utoipa::path(get, path = "/api/invitations", tag = "operators", params(PageQuery),
    responses((status = 200, body = Page<InvitationView>)))]
async fn list(
    State(invitations): State<Invitations>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<InvitationView>>, Problem> {
    let ask = query.check::<InvitationKind>()?;
    let items = invitations.list(&actor, ask.after, ask.limit).await?;
    let view = |invitation| InvitationView::new(invitation, None);
    Ok(Json(Page::new(items, ask, |invitation| invitation.id, view)))
}

/// Invites somebody to join the staff. The link is sent by e-mail; where no provider carries it,
/// the answer has its token, this once.
///
/// It is good for a week, and for one person.
#[utoipa::path(post, path = "/api/invitations", tag = "operators", request_body = InvitationBody,
    responses((status = 201, body = InvitationView), (status = 409, body = Problem)))]
async fn create(
    State(invitations): State<Invitations>,
    actor: Actor,
    Create { body, key }: Create<InvitationBody>,
) -> Result<Created<InvitationView>, Problem> {
    let InvitationBody { email, role } = body;
    Ok(created(invitations.invite(&actor, key.as_ref(), email, role).await?))
}

/// Withdraws an invitation that nobody has accepted.
#[utoipa::path(delete, path = "/api/invitations/{id}", tag = "operators",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn withdraw(
    State(invitations): State<Invitations>,
    actor: Actor,
    Path(id): Path<InvitationId>,
) -> Result<StatusCode, Problem> {
    invitations.withdraw(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a member of staff choose a new password. The link is sent by e-mail; where no provider
/// carries it, the answer has its token, this once.
///
/// It is good for an hour. The logins and tokens of the operator end when it is used.
#[utoipa::path(post, path = "/api/operators/{id}/reset", tag = "operators",
    params(("id" = String, Path)),
    responses((status = 201, body = InvitationView), (status = 404, body = Problem)))]
async fn reset(
    State(invitations): State<Invitations>,
    actor: Actor,
    Path(id): Path<OperatorId>,
    Bodiless(key): Bodiless,
) -> Result<Created<InvitationView>, Problem> {
    Ok(created(invitations.reset(&actor, key.as_ref(), id).await?))
}

/// Invites the first owner of a tenant. The link is sent by e-mail; where no provider carries it,
/// the answer has its token, this once.
#[utoipa::path(post, path = "/api/tenants/{id}/owner", tag = "tenants",
    params(("id" = String, Path)), request_body = OwnerBody,
    responses((status = 201, body = InvitationView), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn owner(
    State(invitations): State<Invitations>,
    actor: Actor,
    Path(id): Path<TenantId>,
    Create { body, key }: Create<OwnerBody>,
) -> Result<Created<InvitationView>, Problem> {
    Ok(created(invitations.invite_owner(&actor, key.as_ref(), id, body.email).await?))
}

/// Joins the staff by an invitation, and logs in.
#[utoipa::path(post, path = "/api/auth/accept", tag = "auth", request_body = AcceptBody,
    responses((status = 201, body = LoginView), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 429, body = Problem)))]
async fn accept(
    State(invitations): State<Invitations>,
    origin: Origin,
    answer: Answer,
    Body(body): Body<AcceptBody>,
) -> Result<Response, Problem> {
    let AcceptBody { token, name, password, program, browser } = body;
    let place = Place { program: program.unwrap_or_default(), browser };
    let new = Newcomer { token, name, password, place };
    let logged_in = invitations.accept(new, origin).await?;
    Ok(answer.with(StatusCode::CREATED, logged_in, browser))
}

/// Chooses a new password by a link. Then log in with it.
#[utoipa::path(post, path = "/api/auth/reset", tag = "auth", request_body = ChooseBody,
    responses((status = 204), (status = 403, body = Problem), (status = 429, body = Problem)))]
async fn choose(
    State(invitations): State<Invitations>,
    origin: Origin,
    Body(ChooseBody { token, password }): Body<ChooseBody>,
) -> Result<StatusCode, Problem> {
    invitations.choose(&token, &password, origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "sam@example.com", "role": "support" }))]
struct InvitationBody {
    email: Email,
    role: Role,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OwnerBody {
    email: Email,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcceptBody {
    /// Of the invitation.
    #[schema(value_type = String)]
    token: Secret,
    name: Name,
    password: Passphrase,
    program: Option<Note>,
    /// Answer with cookies instead of tokens.
    #[serde(default)]
    browser: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChooseBody {
    /// Of the link.
    #[schema(value_type = String)]
    token: Secret,
    password: Passphrase,
}

#[derive(Debug, Serialize, ToSchema)]
struct InvitationView {
    #[schema(value_type = String, example = "ivt_0198b2f4c0de7000a000000000000001")]
    id: InvitationId,
    email: Email,
    role: Role,
    /// Who is to choose a new password; none: somebody who is to join.
    #[schema(value_type = Option<String>, example = "op_0198b2f4c0de7000a000000000000001")]
    operator: Option<OperatorId>,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    token: Option<Secret>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    accepted_at: Option<Timestamp>,
}

impl InvitationView {
    fn new(invitation: Invitation, token: Option<Secret>) -> Self {
        let Invitation { id, email, role, operator, created_at, expires_at, accepted_at } =
            invitation;
        Self { id, email, role, operator, token, created_at, expires_at, accepted_at }
    }
}

fn created(made: Made<Told>) -> Created<InvitationView> {
    let (invitation, token) = made.value;
    Created {
        path: format!("/api/invitations/{}", invitation.id),
        version: 1,
        view: InvitationView::new(invitation, token),
        replayed: made.replayed,
    }
}

impl From<InvitationError> for Problem {
    fn from(error: InvitationError) -> Self {
        match error {
            InvitationError::Unknown => Self::not_found("invitation"),
            InvitationError::NoSuchTenant => Self::not_found("tenant"),
            InvitationError::HasOwner => Self::conflict("has-owner", error.to_string()),
            InvitationError::NotGood => {
                Self::new(StatusCode::FORBIDDEN, "link-not-good", error.to_string())
            }
            InvitationError::Operator(error) => error.into(),
            InvitationError::Login(error) => error.into(),
            InvitationError::Hash(error) => Self::internal(&error),
            InvitationError::Claim(error) => error.into(),
            InvitationError::Store(error) => error.into(),
        }
    }
}
