//! `/api/auth/tokens`.

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{ApiTokenId, ApiTokenKind},
    secret::Secret,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{ApiToken, ApiTokenError, ApiTokens, NewApiToken, Scope, Scopes};
use crate::{
    actor::Actor,
    http::{Create, Created, FieldError, Guarded, Need, Page, PageQuery, Path, Problem, Query},
    words::Name,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    ApiTokens: FromRef<S>,
{
    Guarded::default()
        .route(Need::Staff, routes!(list))
        .dangerous(Need::Staff, routes!(create))
        .route(Need::Staff, routes!(revoke))
}

/// Lists one's own tokens for programs.
#[utoipa::path(get, path = "/api/auth/tokens", tag = "auth", params(PageQuery),
    responses((status = 200, body = Page<ApiTokenView>)))]
async fn list(
    State(tokens): State<ApiTokens>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ApiTokenView>>, Problem> {
    let ask = query.check::<ApiTokenKind>()?;
    let items = tokens.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |token| token.id, |token| ApiTokenView::new(token, None))))
}

/// Makes a token for a program, told this once. It acts with the role of who makes it.
#[utoipa::path(post, path = "/api/auth/tokens", tag = "auth", request_body = ApiTokenBody,
    responses((status = 201, body = ApiTokenView)))]
async fn create(
    State(tokens): State<ApiTokens>,
    actor: Actor,
    Create { body, key }: Create<ApiTokenBody>,
) -> Result<Created<ApiTokenView>, Problem> {
    let made = tokens.create(&actor, key.as_ref(), body.check()?).await?;
    let (token, secret) = made.value;
    Ok(Created {
        path: format!("/api/auth/tokens/{}", token.id),
        version: 1,
        view: ApiTokenView::new(token, secret),
        replayed: made.replayed,
    })
}

/// Revokes a token.
#[utoipa::path(delete, path = "/api/auth/tokens/{id}", tag = "auth",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn revoke(
    State(tokens): State<ApiTokens>,
    actor: Actor,
    Path(id): Path<ApiTokenId>,
) -> Result<StatusCode, Problem> {
    tokens.revoke(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApiTokenBody {
    name: Name,
    /// `NOUN:read` or `NOUN:write`: the noun is the word behind `/api/`, `*` is all of them.
    #[schema(min_items = 1, max_items = 64, example = json!(["subscribers:read"]))]
    scopes: Vec<Scope>,
    /// How long it is good.
    #[schema(minimum = 1, maximum = 730, example = 90)]
    days: u16,
}

impl ApiTokenBody {
    fn check(self) -> Result<NewApiToken, Problem> {
        let Self { name, scopes, days } = self;
        let mut errors = Vec::new();
        if !(1..=DAYS_MAX).contains(&days) {
            errors.push(FieldError::new("days", format!("expected 1 to {DAYS_MAX}")));
        }
        match Scopes::new(scopes) {
            Some(scopes) if errors.is_empty() => Ok(NewApiToken { name, scopes, days }),
            Some(_) => Err(Problem::invalid(errors)),
            None => {
                errors.push(FieldError::new("scopes", "expected 1 to 64 scopes"));
                Err(Problem::invalid(errors))
            }
        }
    }
}

const DAYS_MAX: u16 = 730;

#[derive(Debug, Serialize, ToSchema)]
struct ApiTokenView {
    #[schema(value_type = String, example = "tok_0198b2f4c0de7000a000000000000001")]
    id: ApiTokenId,
    name: Name,
    scopes: Vec<Scope>,
    /// For `Authorization: Bearer`; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    token: Option<Secret>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
}

impl ApiTokenView {
    fn new(token: ApiToken, secret: Option<Secret>) -> Self {
        let ApiToken { id, name, scopes, created_at, expires_at, used_at } = token;
        let scopes = scopes.iter().cloned().collect();
        Self { id, name, scopes, token: secret, created_at, expires_at, used_at }
    }
}

impl From<ApiTokenError> for Problem {
    fn from(error: ApiTokenError) -> Self {
        match error {
            ApiTokenError::Unknown => Self::not_found("token"),
            ApiTokenError::Nobody => Self::forbidden(error.to_string()),
            ApiTokenError::Claim(error) => error.into(),
            ApiTokenError::Store(error) => error.into(),
        }
    }
}
