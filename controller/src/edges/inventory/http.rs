//! `/api/network/edges`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    id::{EdgeId, EdgeKind},
    secret::Secret,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Edge, EdgeChange, EdgeError, Edges, NewEdge};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem, Query,
        Versioned,
    },
    operators::Role,
    words::{Name, Note},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Edges: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::NETWORK), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::NETWORK), routes!(update))
        .route(Need::One(Role::NETWORK), routes!(renew_secret))
}

/// Lists edges.
#[utoipa::path(get, path = "/api/network/edges", tag = "network", params(PageQuery),
    responses((status = 200, body = Page<EdgeView>)))]
async fn list(
    State(edges): State<Edges>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<EdgeView>>, Problem> {
    let ask = query.check::<EdgeKind>()?;
    let items = edges.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |edge| edge.id, EdgeView::from)))
}

/// Adds an edge. The answer has the secret that it logs in with, this once.
#[utoipa::path(post, path = "/api/network/edges", tag = "network", request_body = EdgeBody,
    responses((status = 201, body = NewEdgeView), (status = 409, body = Problem)))]
async fn create(
    State(edges): State<Edges>,
    actor: Actor,
    Create { body, key }: Create<EdgeBody>,
) -> Result<Created<NewEdgeView>, Problem> {
    let EdgeBody { name, site } = body;
    let new = NewEdge { name, site: site.unwrap_or_default() };
    let made = edges.create(&actor, key.as_ref(), new).await?;
    let (edge, secret) = made.value;
    Ok(Created {
        path: format!("/api/network/edges/{}", edge.id),
        version: edge.version,
        view: NewEdgeView { edge: edge.into(), secret },
        replayed: made.replayed,
    })
}

/// Shows an edge, and what was last heard of it.
#[utoipa::path(get, path = "/api/network/edges/{id}", tag = "network",
    params(("id" = String, Path)),
    responses((status = 200, body = EdgeView), (status = 404, body = Problem)))]
async fn show(
    State(edges): State<Edges>,
    actor: Actor,
    Path(id): Path<EdgeId>,
) -> Result<Versioned<EdgeView>, Problem> {
    Ok(versioned(edges.find(&actor, id).await?))
}

/// Changes an edge. One that is `revoked` cannot log in.
#[utoipa::path(patch, path = "/api/network/edges/{id}", tag = "network",
    params(("id" = String, Path)), request_body = EdgeChangeBody,
    responses((status = 200, body = EdgeView), (status = 412, body = Problem)))]
async fn update(
    State(edges): State<Edges>,
    actor: Actor,
    Path(id): Path<EdgeId>,
    IfMatch(version): IfMatch,
    Body(body): Body<EdgeChangeBody>,
) -> Result<Versioned<EdgeView>, Problem> {
    let EdgeChangeBody { name, site, revoked } = body;
    let change = EdgeChange { name, site, revoked };
    Ok(versioned(edges.update(&actor, id, version, change).await?))
}

/// Gives an edge a new secret, and tells it this once.
#[utoipa::path(post, path = "/api/network/edges/{id}/secret", tag = "network",
    params(("id" = String, Path)),
    responses((status = 200, body = SecretView), (status = 404, body = Problem)))]
async fn renew_secret(
    State(edges): State<Edges>,
    actor: Actor,
    Path(id): Path<EdgeId>,
) -> Result<Json<SecretView>, Problem> {
    let secret = edges.renew_secret(&actor, id).await?;
    Ok(Json(SecretView { secret }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EdgeBody {
    name: Name,
    /// Where it stands.
    site: Option<Note>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EdgeChangeBody {
    name: Option<Name>,
    site: Option<Note>,
    revoked: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EdgeView {
    #[schema(value_type = String, example = "edge_0198b2f4c0de7000a000000000000001")]
    id: EdgeId,
    name: Name,
    site: Note,
    revoked: bool,
    online: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen: Option<Timestamp>,
    /// The version of its program.
    program: String,
    desired_revision: i64,
    applied_revision: i64,
    /// Since when its journal contradicts the books: somebody has to look.
    #[schema(value_type = Option<String>, format = DateTime)]
    forked_at: Option<Timestamp>,
    /// What it said of itself when it came on-line.
    state: Option<Value>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Edge> for EdgeView {
    fn from(edge: Edge) -> Self {
        let Edge { id, name, site, revoked, version: _, created_at, heard } = edge;
        Self {
            id,
            name,
            site,
            revoked,
            online: heard.online,
            last_seen: heard.last_seen,
            program: heard.program,
            desired_revision: heard.desired_revision,
            applied_revision: heard.applied_revision,
            forked_at: heard.forked_at,
            state: heard.state,
            created_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct NewEdgeView {
    #[serde(flatten)]
    edge: EdgeView,
    /// With the id it is the login at the broker and at `/edge/v1`.
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SecretView {
    #[schema(value_type = String)]
    secret: Secret,
}

fn versioned(edge: Edge) -> Versioned<EdgeView> {
    Versioned { version: edge.version, view: edge.into() }
}

impl From<EdgeError> for Problem {
    fn from(error: EdgeError) -> Self {
        match error {
            EdgeError::Unknown => Self::not_found("edge"),
            EdgeError::NameTaken => Self::conflict("name-taken", error.to_string()),
            EdgeError::Stale => Self::stale(),
            EdgeError::Claim(error) => error.into(),
            EdgeError::Store(error) => error.into(),
        }
    }
}
