//! `/api/tenants`.

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use shared::id::{TenantId, TenantKind};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{NewTenant, Tenant, TenantChange, TenantError, TenantStatus, Tenants};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem, Query,
        Versioned,
    },
    operators::Role,
    words::{Code, Currency, Name, Realm, TimeZone},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Tenants: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::OVERSIGHT), routes!(list))
        .route(Need::One(Role::PLATFORM), routes!(create))
        .route(Need::Staff, routes!(show))
        .dangerous(Need::One(Role::HEADS), routes!(update))
        .dangerous(Need::One(Role::PLATFORM), routes!(delete))
}

/// Lists tenants: all for the platform, one's own for anybody else.
#[utoipa::path(get, path = "/api/tenants", tag = "tenants", params(PageQuery),
    responses((status = 200, body = Page<TenantView>)))]
async fn list(
    State(tenants): State<Tenants>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<TenantView>>, Problem> {
    let ask = query.check::<TenantKind>()?;
    let items = tenants.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |tenant| tenant.id, TenantView::from)))
}

/// Makes a tenant.
#[utoipa::path(post, path = "/api/tenants", tag = "tenants", request_body = TenantBody,
    responses((status = 201, body = TenantView), (status = 409, body = Problem)))]
async fn create(
    State(tenants): State<Tenants>,
    actor: Actor,
    Create { body, key }: Create<TenantBody>,
) -> Result<Created<TenantView>, Problem> {
    let made = tenants.create(&actor, key.as_ref(), body.into()).await?;
    Ok(Created {
        path: format!("/api/tenants/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows a tenant.
#[utoipa::path(get, path = "/api/tenants/{id}", tag = "tenants", params(("id" = String, Path)),
    responses((status = 200, body = TenantView), (status = 404, body = Problem)))]
async fn show(
    State(tenants): State<Tenants>,
    actor: Actor,
    Path(id): Path<TenantId>,
) -> Result<Versioned<TenantView>, Problem> {
    Ok(versioned(tenants.find(&actor, id).await?))
}

/// Changes a tenant. Its status is the platform's to change.
#[utoipa::path(patch, path = "/api/tenants/{id}", tag = "tenants", params(("id" = String, Path)),
    request_body = TenantChangeBody,
    responses((status = 200, body = TenantView), (status = 412, body = Problem)))]
async fn update(
    State(tenants): State<Tenants>,
    actor: Actor,
    Path(id): Path<TenantId>,
    IfMatch(version): IfMatch,
    Body(change): Body<TenantChangeBody>,
) -> Result<Versioned<TenantView>, Problem> {
    Ok(versioned(tenants.update(&actor, id, version, change.into()).await?))
}

/// Deletes a tenant that was made by mistake. As soon as its owner is invited it has a log, which is
/// kept (`has-begun`): it is suspended instead.
#[utoipa::path(delete, path = "/api/tenants/{id}", tag = "tenants", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete(
    State(tenants): State<Tenants>,
    actor: Actor,
    Path(id): Path<TenantId>,
) -> Result<StatusCode, Problem> {
    tenants.delete(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TenantBody {
    slug: Code,
    name: Name,
    tz: Option<TimeZone>,
    currency: Option<Currency>,
}

impl From<TenantBody> for NewTenant {
    fn from(body: TenantBody) -> Self {
        let TenantBody { slug, name, tz, currency } = body;
        Self { slug, name, tz: tz.unwrap_or_default(), currency: currency.unwrap_or_default() }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TenantChangeBody {
    name: Option<Name>,
    tz: Option<TimeZone>,
    status: Option<TenantStatus>,
    /// Logins as `amina@REALM` are the subscriber's `amina`.
    realms: Option<Realms>,
    /// Whose logins need a second factor, from now on.
    second_factor_roles: Option<Vec<Role>>,
}

impl From<TenantChangeBody> for TenantChange {
    fn from(body: TenantChangeBody) -> Self {
        let TenantChangeBody { name, tz, status, realms, second_factor_roles } = body;
        let second_factor_roles = second_factor_roles.map(|mut roles| {
            roles.sort_by_key(|role| role.as_str());
            roles.dedup();
            roles
        });
        Self { name, tz, status, realms: realms.map(|realms| realms.0), second_factor_roles }
    }
}

#[derive(Debug, ToSchema)]
#[schema(value_type = Vec<String>, example = json!(["wisp.example"]))]
struct Realms(Vec<Realm>);

impl<'de> Deserialize<'de> for Realms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let realms = Vec::<Realm>::deserialize(deserializer)?;
        if realms.len() > REALMS_MAX {
            return Err(D::Error::custom("expected at most 32 realms"));
        }
        Ok(Self(realms))
    }
}

/// Looked through at a login with a realm.
const REALMS_MAX: usize = 32;

#[derive(Debug, Serialize, ToSchema)]
struct TenantView {
    #[schema(value_type = String, example = "ten_0198b2f4c0de7000a000000000000001")]
    id: TenantId,
    slug: Code,
    name: Name,
    tz: TimeZone,
    currency: Currency,
    status: TenantStatus,
    realms: Vec<Realm>,
    second_factor_roles: Vec<Role>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        let Tenant { id, slug, name, tz, currency, status, realms, created_at, .. } = tenant;
        let second_factor_roles = tenant.second_factor_roles;
        Self { id, slug, name, tz, currency, status, realms, second_factor_roles, created_at }
    }
}

fn versioned(tenant: Tenant) -> Versioned<TenantView> {
    Versioned { version: tenant.version, view: tenant.into() }
}

impl From<TenantError> for Problem {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Unknown => Self::not_found("tenant"),
            TenantError::SlugTaken => Self::conflict("slug-taken", "the slug is taken"),
            TenantError::HasBegun => Self::conflict("has-begun", error.to_string()),
            TenantError::Stale => Self::stale(),
            TenantError::NotYours => Self::forbidden(error.to_string()),
            TenantError::Claim(error) => error.into(),
            TenantError::Store(error) => error.into(),
        }
    }
}
