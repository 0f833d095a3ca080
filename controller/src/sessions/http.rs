//! `/api/sessions`: who is and was on-line, and ending a session.

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    daemon::Chain,
    id::{CommandId, EdgeId, NasId, SessionId, SessionKind, SubscriberId, SubscriptionId},
    octets::Counters,
    wire::latest::{
        command::{Action, Effect},
        live::{Percentiles, RoundTrips},
    },
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::list::{self, Filter, Session, Which};
use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError},
    edges::{
        link::SendError,
        live::{Glimpse, Live},
        office::{Office, Outcome},
    },
    http::{Guarded, Need, Page, PageQuery, Path, Problem, Query},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Db: FromRef<S>,
    Office: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(sessions))
        .route(Need::One(Role::READERS), routes!(session))
        .route(Need::One(MAY_END), routes!(end))
        .merge(super::start::http::routes())
}

/// Sessions, newest first
#[utoipa::path(
    get,
    path = "/api/sessions",
    tag = "sessions",
    params(SessionsQuery, PageQuery),
    responses((status = 200, body = Page<SessionView>)),
)]
#[tracing::instrument(name = "http.session.list", skip_all)]
async fn sessions(
    actor: Actor,
    State(db): State<Db>,
    State(office): State<Office>,
    Query(query): Query<SessionsQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<SessionView>>, Problem> {
    let ask = page.check::<SessionKind>()?;
    let filter =
        Filter { which: query.state.into(), subscriber: query.subscriber, edge: query.edge };
    let before = Some(ask.after).filter(|id| !id.is_nil()).map(SessionId::from_uuid);
    let found = list::list(&db, actor.tenant, filter, before, ask.limit).await?;
    let view = |session| SessionView::new(session, &office.live);
    Ok(Json(Page::new(found, ask, |session| session.id, view)))
}

/// One session
#[utoipa::path(
    get,
    path = "/api/sessions/{id}",
    tag = "sessions",
    params(("id" = String, Path, description = "`ses_…`")),
    responses((status = 200, body = SessionView), (status = 404, body = Problem)),
)]
#[tracing::instrument(name = "http.session.show", skip_all, fields(session.id = %id))]
async fn session(
    actor: Actor,
    State(db): State<Db>,
    State(office): State<Office>,
    Path(id): Path<SessionId>,
) -> Result<Json<SessionView>, Problem> {
    let found = list::find(&db, actor.tenant, id).await?;
    let session = found.ok_or_else(|| Problem::not_found("session"))?;
    Ok(Json(SessionView::new(session, &office.live)))
}

/// End a session
///
/// The device is off-line until it logs in again. The answer is what the edge has observed; 202
/// when it has not answered yet.
#[utoipa::path(
    post,
    path = "/api/sessions/{id}/end",
    tag = "sessions",
    params(("id" = String, Path, description = "`ses_…`")),
    responses(
        (status = 200, body = EndView),
        (status = 202, body = EndView),
        (status = 404, body = Problem),
        (status = 502, description = "The edge could not do it", body = Problem),
        (status = 503, description = "No way to the edges now", body = Problem),
    ),
)]
#[tracing::instrument(name = "http.session.end", skip_all, fields(session.id = %id))]
async fn end(
    actor: Actor,
    State(db): State<Db>,
    State(office): State<Office>,
    Path(id): Path<SessionId>,
) -> Result<Response, Problem> {
    let found = list::find(&db, actor.tenant, id).await?;
    let session = found.ok_or_else(|| Problem::not_found("session"))?;
    if session.stopped_at.is_some() {
        return Ok(EndView::Nothing.into_response());
    }
    record(&db, &actor, &session).await?;
    let action = Action::Disconnect { session: id };
    match office.command(session.edge, action, clock::now()).await? {
        Outcome::Effect(Effect::Done) => Ok(EndView::Done.into_response()),
        Outcome::Effect(Effect::Nothing) => Ok(EndView::Nothing.into_response()),
        Outcome::Effect(Effect::Expired) => {
            let title = "the edge got the command too late and did nothing";
            Err(Problem::new(StatusCode::BAD_GATEWAY, "command-expired", title))
        }
        Outcome::Effect(Effect::Failed { reason }) => {
            Err(Problem::new(StatusCode::BAD_GATEWAY, "command-failed", reason))
        }
        Outcome::Pending(command) => Ok(EndView::Pending { command }.into_response()),
    }
}

/// Before it is done: an end that nobody asked for must not be possible.
async fn record(db: &Db, actor: &Actor, session: &Session) -> Result<(), Problem> {
    let mut tx = db.staff(actor).await?;
    let entry = audit::Entry {
        action: "session.end",
        object_kind: "session",
        object_id: session.id.to_string(),
        before: None,
        after: None,
    };
    audit::record(&mut tx, actor, entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct SessionsQuery {
    #[serde(default)]
    #[param(inline)]
    state: WhichQuery,
    /// Only of this subscriber, `sub_…`.
    #[param(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    /// Only of this edge, `edge_…`.
    #[param(value_type = Option<String>)]
    edge: Option<EdgeId>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WhichQuery {
    Live,
    Past,
    #[default]
    All,
}

impl From<WhichQuery> for Which {
    fn from(query: WhichQuery) -> Self {
        match query {
            WhichQuery::Live => Self::Live,
            WhichQuery::Past => Self::Past,
            WhichQuery::All => Self::All,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct SessionView {
    #[schema(value_type = String)]
    id: SessionId,
    #[schema(value_type = String)]
    edge: EdgeId,
    /// None: nobody that the tenant knows.
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    #[schema(value_type = Option<String>)]
    subscription: Option<SubscriptionId>,
    #[schema(value_type = Option<String>)]
    nas: Option<NasId>,
    nas_name: Option<String>,
    username: Option<String>,
    mac: Option<String>,
    #[schema(value_type = Option<String>)]
    ip: Option<std::net::IpAddr>,
    acct_session_id: Option<String>,
    /// Whose counters they are: `kernel`, `nas` or `nobody`.
    metering: Option<String>,
    down_kbps: Option<i32>,
    up_kbps: Option<i32>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// None while it is live.
    #[schema(value_type = Option<String>, format = DateTime)]
    stopped_at: Option<Timestamp>,
    /// Acct-Terminate-Cause, RFC 2866 §5.10.
    cause: Option<i32>,
    /// In the books: what counts.
    #[serde(flatten)]
    booked: CountersView,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// What the edge said last, ahead of the books; for screens.
    seen: Option<SeenView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CountersView {
    down_bytes: u64,
    up_bytes: u64,
    down_packets: u64,
    up_packets: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct SeenView {
    /// The edge's clock.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    #[serde(flatten)]
    counters: CountersView,
    /// From the edge to the subscriber's device and back; absent where nothing was seen of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_subscriber: Option<RttView>,
    /// From the edge to the internet and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_internet: Option<RttView>,
}

/// In microseconds: half of all, and all but one in twenty, took no longer.
#[derive(Debug, Serialize, ToSchema)]
struct RttView {
    p50_us: u64,
    p95_us: u64,
}

impl From<Percentiles> for RttView {
    fn from(Percentiles { p50_us, p95_us }: Percentiles) -> Self {
        Self { p50_us, p95_us }
    }
}

impl From<Counters> for CountersView {
    fn from(counters: Counters) -> Self {
        let Counters { down_bytes, up_bytes, down_packets, up_packets } = counters;
        Self { down_bytes, up_bytes, down_packets, up_packets }
    }
}

impl From<Glimpse> for SeenView {
    fn from(glimpse: Glimpse) -> Self {
        let at = i64::try_from(glimpse.at_ms).ok();
        let at = at.and_then(|at| Timestamp::from_millisecond(at).ok());
        let RoundTrips { subscriber, internet } = glimpse.round_trips;
        Self {
            at,
            counters: glimpse.counters.into(),
            rtt_subscriber: subscriber.map(Into::into),
            rtt_internet: internet.map(Into::into),
        }
    }
}

impl SessionView {
    fn new(session: Session, live: &Live) -> Self {
        let is_live = session.stopped_at.is_none();
        let seen = is_live.then(|| live.of(session.edge, session.id)).flatten();
        Self {
            id: session.id,
            edge: session.edge,
            subscriber: session.subscriber,
            subscription: session.subscription,
            nas: session.nas,
            nas_name: session.nas_name,
            username: session.username,
            mac: session.mac,
            ip: session.ip,
            acct_session_id: session.acct_session_id,
            metering: session.metering,
            down_kbps: session.down_kbps,
            up_kbps: session.up_kbps,
            started_at: session.started_at,
            stopped_at: session.stopped_at,
            cause: session.cause,
            booked: session.counters.into(),
            updated_at: session.updated_at,
            seen: seen.map(SeenView::from),
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "effect", rename_all = "snake_case")]
enum EndView {
    Done,
    /// It was not on-line any more.
    Nothing,
    /// The edge has not answered yet.
    Pending {
        #[schema(value_type = String)]
        command: CommandId,
    },
}

impl IntoResponse for EndView {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Done | Self::Nothing => StatusCode::OK,
            Self::Pending { .. } => StatusCode::ACCEPTED,
        };
        (status, Json(self)).into_response()
    }
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Down | SendError::Busy => {
                tracing::warn!(error = %Chain(&error), "a command does not reach its edge");
                let title = "there is no way to the edges now";
                Self::retry_later(StatusCode::SERVICE_UNAVAILABLE, "unreachable", title, 5)
            }
            SendError::Encode(_) | SendError::Client(_) => Self::internal(&error),
        }
    }
}

/// A subscriber on the telephone, a device that should log in again.
const MAY_END: &[Role] = &[Role::Owner, Role::Noc, Role::Support];
