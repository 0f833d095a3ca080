//! `/api/tickets`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{OperatorId, SubscriberId, TicketId, TicketKind, TicketNoteId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Filter, NewTicket, Priority, Ticket, TicketChange, TicketChannel, TicketError, TicketNote,
    TicketState, TicketVerb, Tickets,
};
use crate::{
    actor::Actor,
    clock,
    http::{
        Body, Create, Created, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem, Query,
        Versioned,
    },
    operators::Role,
    words::{Change, Name, Text},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Tickets: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::FRONT_DESK), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::FRONT_DESK), routes!(update))
        .route(Need::One(Role::READERS), routes!(notes))
        .route(Need::One(Role::FRONT_DESK), routes!(add_note))
        .route(Need::One(Role::FRONT_DESK), routes!(change_state))
}

/// Lists tickets.
#[utoipa::path(get, path = "/api/tickets", tag = "tickets",
    params(PageQuery, FilterQuery), responses((status = 200, body = Page<TicketView>)))]
async fn list(
    State(tickets): State<Tickets>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(FilterQuery { subscriber, state }): Query<FilterQuery>,
) -> Result<Json<Page<TicketView>>, Problem> {
    let ask = query.check::<TicketKind>()?;
    let items = tickets.list(&actor, Filter { subscriber, state }, ask.after, ask.limit).await?;
    let now = clock::now();
    Ok(Json(Page::new(items, ask, |ticket| ticket.id, |ticket| TicketView::at(ticket, now))))
}

/// Opens a ticket. Its reference is what the subscriber is told.
#[utoipa::path(post, path = "/api/tickets", tag = "tickets", request_body = TicketBody,
    responses((status = 201, body = TicketView), (status = 409, body = Problem)))]
async fn create(
    State(tickets): State<Tickets>,
    actor: Actor,
    Create { body, key }: Create<TicketBody>,
) -> Result<Created<TicketView>, Problem> {
    let TicketBody { subscriber, subject, channel, priority, body } = body;
    let new = NewTicket { subscriber, subject, channel, priority, body };
    let made = tickets.create(&actor, key.as_ref(), new).await?;
    Ok(Created {
        path: format!("/api/tickets/{}", made.value.id),
        version: made.value.version,
        view: TicketView::at(made.value, clock::now()),
        replayed: made.replayed,
    })
}

/// Shows a ticket.
#[utoipa::path(get, path = "/api/tickets/{id}", tag = "tickets", params(("id" = String, Path)),
    responses((status = 200, body = TicketView), (status = 404, body = Problem)))]
async fn show(
    State(tickets): State<Tickets>,
    actor: Actor,
    Path(id): Path<TicketId>,
) -> Result<Versioned<TicketView>, Problem> {
    Ok(versioned(tickets.find(&actor, id).await?))
}

/// Changes a ticket; `null` takes away who it is assigned to.
#[utoipa::path(patch, path = "/api/tickets/{id}", tag = "tickets", params(("id" = String, Path)),
    request_body = TicketChangeBody,
    responses((status = 200, body = TicketView), (status = 412, body = Problem)))]
async fn update(
    State(tickets): State<Tickets>,
    actor: Actor,
    Path(id): Path<TicketId>,
    IfMatch(version): IfMatch,
    Body(body): Body<TicketChangeBody>,
) -> Result<Versioned<TicketView>, Problem> {
    let TicketChangeBody { subject, priority, assigned_to } = body;
    let change = TicketChange { subject, priority, assigned_to };
    Ok(versioned(tickets.update(&actor, id, version, change).await?))
}

/// Lists what was said and done, oldest first.
#[utoipa::path(get, path = "/api/tickets/{id}/notes", tag = "tickets",
    params(("id" = String, Path)),
    responses((status = 200, body = Vec<NoteView>), (status = 404, body = Problem)))]
async fn notes(
    State(tickets): State<Tickets>,
    actor: Actor,
    Path(id): Path<TicketId>,
) -> Result<Json<Vec<NoteView>>, Problem> {
    Ok(Json(tickets.notes(&actor, id).await?.into_iter().map(NoteView::from).collect()))
}

/// Adds what was said or done. It stays.
#[utoipa::path(post, path = "/api/tickets/{id}/notes", tag = "tickets",
    params(("id" = String, Path)), request_body = NoteBody,
    responses((status = 200, body = Vec<NoteView>), (status = 404, body = Problem)))]
async fn add_note(
    State(tickets): State<Tickets>,
    actor: Actor,
    Path(id): Path<TicketId>,
    Body(NoteBody { body }): Body<NoteBody>,
) -> Result<Json<Vec<NoteView>>, Problem> {
    let notes = tickets.add_note(&actor, id, &body).await?;
    Ok(Json(notes.into_iter().map(NoteView::from).collect()))
}

/// Moves a ticket to another state: `start`, `wait`, `resolve`, `close`, `reopen`.
#[utoipa::path(post, path = "/api/tickets/{id}/{verb}", tag = "tickets",
    params(("id" = String, Path), ("verb" = inline(TicketVerb), Path)),
    responses((status = 200, body = TicketView), (status = 409, body = Problem)))]
async fn change_state(
    State(tickets): State<Tickets>,
    actor: Actor,
    Path((id, verb)): Path<(TicketId, TicketVerb)>,
) -> Result<Versioned<TicketView>, Problem> {
    Ok(versioned(tickets.change_state(&actor, id, verb).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    #[param(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    state: Option<TicketState>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TicketBody {
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    subject: Name,
    channel: TicketChannel,
    #[serde(default = "normal")]
    priority: Priority,
    body: Text,
}

const fn normal() -> Priority {
    Priority::Normal
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TicketChangeBody {
    subject: Option<Name>,
    priority: Option<Priority>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    assigned_to: Change<OperatorId>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NoteBody {
    body: Text,
}

#[derive(Debug, Serialize, ToSchema)]
struct TicketView {
    #[schema(value_type = String, example = "tkt_0198b2f4c0de7000a000000000000001")]
    id: TicketId,
    #[schema(example = "TKT-000001")]
    reference: String,
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    subject: Name,
    channel: TicketChannel,
    priority: Priority,
    state: TicketState,
    #[schema(value_type = Option<String>)]
    assigned_to: Option<OperatorId>,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    acknowledged_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<Timestamp>,
    /// Until when somebody should look at it.
    #[schema(value_type = String, format = DateTime)]
    acknowledge_by: Timestamp,
    /// Until when it should be resolved. Later while we wait for the subscriber.
    #[schema(value_type = String, format = DateTime)]
    resolve_by: Timestamp,
    overdue: bool,
}

impl TicketView {
    fn at(ticket: Ticket, now: Timestamp) -> Self {
        let (clock, priority) = (ticket.clock, ticket.priority);
        Self {
            id: ticket.id,
            reference: ticket.reference,
            subscriber: ticket.subscriber,
            subject: ticket.subject,
            channel: ticket.channel,
            priority,
            state: ticket.state,
            assigned_to: ticket.assigned_to,
            opened_at: clock.opened_at,
            acknowledged_at: clock.acknowledged_at,
            resolved_at: clock.resolved_at,
            acknowledge_by: clock.acknowledge_by(priority),
            resolve_by: clock.resolve_by(priority, now),
            overdue: clock.is_overdue(priority, now),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct NoteView {
    #[schema(value_type = String)]
    id: TicketNoteId,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    author: String,
    body: Text,
}

impl From<TicketNote> for NoteView {
    fn from(TicketNote { id, at, author, body }: TicketNote) -> Self {
        Self { id, at, author, body }
    }
}

fn versioned(ticket: Ticket) -> Versioned<TicketView> {
    Versioned { version: ticket.version, view: TicketView::at(ticket, clock::now()) }
}

impl From<TicketError> for Problem {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::Unknown => Self::not_found("ticket"),
            TicketError::Dangling => Self::conflict("no-such-person", error.to_string()),
            TicketError::NotFrom { .. } => Self::conflict("not-from-here", error.to_string()),
            TicketError::Stale => Self::stale(),
            TicketError::Claim(error) => error.into(),
            TicketError::Store(error) => error.into(),
        }
    }
}
