//! `/edge/v1/desired`: an edge fetches what it should have.

use axum::{
    Json,
    extract::{FromRef, FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use shared::{
    daemon::Chain,
    id::{EdgeId, TenantId},
};
use utoipa_axum::routes;

use super::{DesiredError, Desk};
use crate::{
    db::Db,
    edges::presence::Secrets,
    http::{Guarded, Need, Problem, Query},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Desk: FromRef<S>,
    Db: FromRef<S>,
{
    Guarded::default().route(Need::Edge, routes!(desired))
}

/// The state that the edge who asks should have, complete. JSON of the wire's `Desired`.
#[utoipa::path(
    get,
    path = "/edge/v1/desired",
    tag = "edge",
    params(Since),
    responses(
        (status = 200, description = "The complete state; `ETag` is its hash"),
        (status = 304, description = "It is what the edge has"),
        (status = 401, description = "Not an edge that is known here", body = Problem),
    ),
)]
#[tracing::instrument(name = "http.edge.desired", skip_all, fields(edge.id = %caller.edge))]
async fn desired(
    caller: Caller,
    State(desk): State<Desk>,
    Query(Since { since }): Query<Since>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = desk.of(caller.tenant, caller.edge).await?;
    let (pointer, desired) = found.ok_or_else(not_an_edge)?;
    let etag = HeaderValue::try_from(format!("\"{}\"", pointer.hash))
        .map_err(|error| Problem::internal(&error))?;
    let has_it =
        since == Some(pointer.revision) || headers.get(header::IF_NONE_MATCH) == Some(&etag);
    let body = if has_it {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(desired).into_response()
    };
    Ok(([(header::ETAG, etag), (header::CACHE_CONTROL, NO_STORE)], body).into_response())
}

#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Revision that the edge has.
    since: Option<u64>,
}

/// The edge who calls, by its id and secret in `Authorization: Basic`.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub edge: EdgeId,
    pub tenant: TenantId,
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Db: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (edge, secret) = basic(&parts.headers).ok_or_else(not_an_edge)?;
        let tenant = Secrets::new(Db::from_ref(state)).tenant_of(edge, &secret).await?;
        let tenant = tenant.ok_or_else(not_an_edge)?;
        Ok(Self { edge, tenant })
    }
}

fn basic(headers: &HeaderMap) -> Option<(EdgeId, Vec<u8>)> {
    let (scheme, credentials) =
        headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let credentials = STANDARD.decode(credentials.trim()).ok()?;
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    let (name, secret) = credentials.split_at(colon);
    let edge = std::str::from_utf8(name).ok()?.parse().ok()?;
    scheme.eq_ignore_ascii_case("basic").then(|| (edge, secret.split_at(1).1.to_vec()))
}

fn not_an_edge() -> Problem {
    let title = "send the edge's id and secret as `Authorization: Basic`";
    Problem::new(StatusCode::UNAUTHORIZED, "edge-login-needed", title)
}

impl From<DesiredError> for Problem {
    fn from(error: DesiredError) -> Self {
        match error {
            DesiredError::Store(error) => error.into(),
            DesiredError::Seal(_) => {
                tracing::error!(error = %Chain(&error), "a desired state cannot be made");
                Self::internal(&error)
            }
        }
    }
}

/// It holds passwords.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn credentials_are_read_as_they_are_sent() {
        let edge = EdgeId::from_uuid(Uuid::from_u128(7));
        let check = |value: String, want: Option<&[u8]>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            let secret = basic(&headers).map(|(who, secret)| {
                assert_eq!(who, edge);
                secret
            });
            assert_eq!(secret.as_deref(), want, "{value}");
        };
        let encode = |text: String| STANDARD.encode(text);
        check(format!("Basic {}", encode(format!("{edge}:a:b"))), Some(b"a:b"));
        check(format!("basic {}", encode(format!("{edge}:"))), Some(b""));
        check(format!("Bearer {}", encode(format!("{edge}:a"))), None);
        check(format!("Basic {}", encode(format!("{edge}"))), None);
        check(format!("Basic {}", encode("ses_1:a".to_owned())), None);
        check("Basic ?".to_owned(), None);
        check("Basic".to_owned(), None);
    }
}
