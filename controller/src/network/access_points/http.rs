//! `/api/network/access-points`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{AccessPointId, AccessPointKind, NasId},
    net::Mac,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{AccessPoint, AccessPointChange, AccessPointError, AccessPoints, NewAccessPoint};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, FieldError, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem,
        Query, Versioned,
    },
    operators::Role,
    words::{Change, Name, Note},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    AccessPoints: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::NETWORK), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::NETWORK), routes!(update))
}

/// Lists access points.
#[utoipa::path(get, path = "/api/network/access-points", tag = "network", params(PageQuery),
    responses((status = 200, body = Page<AccessPointView>)))]
async fn list(
    State(access_points): State<AccessPoints>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AccessPointView>>, Problem> {
    let ask = query.check::<AccessPointKind>()?;
    let items = access_points.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |access_point| access_point.id, AccessPointView::from)))
}

/// Adds an access point.
#[utoipa::path(post, path = "/api/network/access-points", tag = "network",
    request_body = AccessPointBody,
    responses((status = 201, body = AccessPointView), (status = 409, body = Problem)))]
async fn create(
    State(access_points): State<AccessPoints>,
    actor: Actor,
    Create { body, key }: Create<AccessPointBody>,
) -> Result<Created<AccessPointView>, Problem> {
    let AccessPointBody { nas, name, mac, model, site } = body;
    let (model, site) = (model.unwrap_or_default(), site.unwrap_or_default());
    let new = NewAccessPoint { nas, name, mac, model, site };
    let made = access_points.create(&actor, key.as_ref(), new).await?;
    Ok(Created {
        path: format!("/api/network/access-points/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows an access point.
#[utoipa::path(get, path = "/api/network/access-points/{id}", tag = "network",
    params(("id" = String, Path)),
    responses((status = 200, body = AccessPointView), (status = 404, body = Problem)))]
async fn show(
    State(access_points): State<AccessPoints>,
    actor: Actor,
    Path(id): Path<AccessPointId>,
) -> Result<Versioned<AccessPointView>, Problem> {
    Ok(versioned(access_points.find(&actor, id).await?))
}

/// Changes an access point. What is absent stays.
#[utoipa::path(patch, path = "/api/network/access-points/{id}", tag = "network",
    params(("id" = String, Path)), request_body = AccessPointChangeBody,
    responses((status = 200, body = AccessPointView), (status = 412, body = Problem)))]
async fn update(
    State(access_points): State<AccessPoints>,
    actor: Actor,
    Path(id): Path<AccessPointId>,
    IfMatch(version): IfMatch,
    Body(body): Body<AccessPointChangeBody>,
) -> Result<Versioned<AccessPointView>, Problem> {
    let AccessPointChangeBody { nas, name, mac, model, site, disabled } = body;
    let change = AccessPointChange { nas, name, mac, model, site, disabled };
    Ok(versioned(access_points.update(&actor, id, version, change).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccessPointBody {
    /// The NAS it belongs to, or that it is.
    #[schema(value_type = Option<String>)]
    nas: Option<NasId>,
    name: Name,
    #[schema(value_type = String, example = "02:00:00:00:00:01")]
    mac: Mac,
    model: Option<Note>,
    site: Option<Note>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccessPointChangeBody {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    nas: Change<NasId>,
    name: Option<Name>,
    #[schema(value_type = Option<String>)]
    mac: Option<Mac>,
    model: Option<Note>,
    site: Option<Note>,
    disabled: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AccessPointView {
    #[schema(value_type = String, example = "ap_0198b2f4c0de7000a000000000000001")]
    id: AccessPointId,
    #[schema(value_type = Option<String>)]
    nas: Option<NasId>,
    name: Name,
    #[schema(value_type = String)]
    mac: Mac,
    model: Note,
    site: Note,
    disabled: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<AccessPoint> for AccessPointView {
    fn from(ap: AccessPoint) -> Self {
        let AccessPoint { id, nas, name, mac, model, site, disabled, version: _, created_at } = ap;
        Self { id, nas, name, mac, model, site, disabled, created_at }
    }
}

fn versioned(ap: AccessPoint) -> Versioned<AccessPointView> {
    Versioned { version: ap.version, view: ap.into() }
}

impl From<AccessPointError> for Problem {
    fn from(error: AccessPointError) -> Self {
        match error {
            AccessPointError::Unknown => Self::not_found("access point"),
            AccessPointError::NoSuchNas => {
                Self::invalid(vec![FieldError::new("nas", "there is no such NAS")])
            }
            AccessPointError::MacTaken => Self::conflict("mac-taken", error.to_string()),
            AccessPointError::Stale => Self::stale(),
            AccessPointError::Claim(error) => error.into(),
            AccessPointError::Store(error) => error.into(),
        }
    }
}
