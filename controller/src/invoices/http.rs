//! `/api/invoices`.

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use shared::id::{CreditNoteId, InvoiceId, InvoiceKind, SubscriberId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    CreditNote, DraftChange, Filter, Invoice, InvoiceError, InvoiceState, Invoices, Line, LineKind,
    NewInvoice, NewLine,
};
use crate::{
    actor::Actor,
    billing::{Cents, Split},
    http::{
        Body, Create, Created, FieldError, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem,
        Query, Versioned,
    },
    operators::Role,
    words::{Change, Name, Text},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Invoices: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::SALES), routes!(update))
        .route(Need::One(Role::SALES), routes!(delete))
        .route(Need::One(Role::SALES), routes!(finalise))
        .route(Need::One(Role::SALES), routes!(void))
        .route(Need::One(Role::READERS), routes!(credit_notes))
        .route(Need::One(Role::SALES), routes!(credit))
}

/// Lists invoices.
#[utoipa::path(get, path = "/api/invoices", tag = "invoices",
    params(PageQuery, FilterQuery), responses((status = 200, body = Page<InvoiceView>)))]
async fn list(
    State(invoices): State<Invoices>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(FilterQuery { subscriber, state }): Query<FilterQuery>,
) -> Result<Json<Page<InvoiceView>>, Problem> {
    let ask = query.check::<InvoiceKind>()?;
    let items = invoices.list(&actor, Filter { subscriber, state }, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |invoice| invoice.id, InvoiceView::from)))
}

/// Makes a draft, with the taxes of today.
#[utoipa::path(post, path = "/api/invoices", tag = "invoices", request_body = InvoiceBody,
    responses((status = 201, body = InvoiceView), (status = 409, body = Problem)))]
async fn create(
    State(invoices): State<Invoices>,
    actor: Actor,
    Create { body, key }: Create<InvoiceBody>,
) -> Result<Created<InvoiceView>, Problem> {
    let made = invoices.create(&actor, key.as_ref(), body.check()?).await?;
    Ok(Created {
        path: format!("/api/invoices/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows an invoice.
#[utoipa::path(get, path = "/api/invoices/{id}", tag = "invoices", params(("id" = String, Path)),
    responses((status = 200, body = InvoiceView), (status = 404, body = Problem)))]
async fn show(
    State(invoices): State<Invoices>,
    actor: Actor,
    Path(id): Path<InvoiceId>,
) -> Result<Versioned<InvoiceView>, Problem> {
    Ok(versioned(invoices.find(&actor, id).await?))
}

/// Changes a draft. What is absent stays; `null` takes away what may be missing; `lines` are all of
/// them, with the taxes of today. What was issued is credited or voided instead: `not-a-draft`.
#[utoipa::path(patch, path = "/api/invoices/{id}", tag = "invoices",
    params(("id" = String, Path)), request_body = DraftChangeBody,
    responses((status = 200, body = InvoiceView), (status = 409, body = Problem),
        (status = 412, body = Problem)))]
async fn update(
    State(invoices): State<Invoices>,
    actor: Actor,
    Path(id): Path<InvoiceId>,
    IfMatch(version): IfMatch,
    Body(body): Body<DraftChangeBody>,
) -> Result<Versioned<InvoiceView>, Problem> {
    Ok(versioned(invoices.update(&actor, id, version, body.check()?).await?))
}

/// Deletes a draft. What was issued stays.
#[utoipa::path(delete, path = "/api/invoices/{id}", tag = "invoices",
    params(("id" = String, Path)),
    responses((status = 204), (status = 409, body = Problem)))]
async fn delete(
    State(invoices): State<Invoices>,
    actor: Actor,
    Path(id): Path<InvoiceId>,
) -> Result<StatusCode, Problem> {
    invoices.delete(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Issues a draft: it gets the next number, does not change any more, and is owed.
#[utoipa::path(post, path = "/api/invoices/{id}/finalise", tag = "invoices",
    params(("id" = String, Path)), request_body = FinaliseBody,
    responses((status = 200, body = InvoiceView), (status = 409, body = Problem)))]
async fn finalise(
    State(invoices): State<Invoices>,
    actor: Actor,
    Path(id): Path<InvoiceId>,
    Body(body): Body<FinaliseBody>,
) -> Result<Json<InvoiceView>, Problem> {
    Ok(Json(invoices.finalise(&actor, id, body.due_on).await?.into()))
}

/// Takes an issued invoice back, of which nothing is paid or credited.
#[utoipa::path(post, path = "/api/invoices/{id}/void", tag = "invoices",
    params(("id" = String, Path)),
    responses((status = 200, body = InvoiceView), (status = 409, body = Problem)))]
async fn void(
    State(invoices): State<Invoices>,
    actor: Actor,
    Path(id): Path<InvoiceId>,
) -> Result<Json<InvoiceView>, Problem> {
    Ok(Json(invoices.void(&actor, id).await?.into()))
}

/// Lists the credit notes of an invoice.
#[utoipa::path(get, path = "/api/invoices/{id}/credit-notes", tag = "invoices",
    params(("id" = String, Path)),
    responses((status = 200, body = Vec<CreditNoteView>), (status = 404, body = Problem)))]
async fn credit_notes(
    State(invoices): State<Invoices>,
    actor: Actor,
    Path(id): Path<InvoiceId>,
) -> Result<Json<Vec<CreditNoteView>>, Problem> {
    let notes = invoices.credit_notes(&actor, id).await?;
    Ok(Json(notes.into_iter().map(CreditNoteView::from).collect()))
}

/// Takes back a part of what is still to be paid.
#[utoipa::path(post, path = "/api/invoices/{id}/credit-notes", tag = "invoices",
    params(("id" = String, Path)), request_body = CreditBody,
    responses((status = 201, body = CreditNoteView), (status = 409, body = Problem)))]
async fn credit(
    State(invoices): State<Invoices>,
    actor: Actor,
    Path(id): Path<InvoiceId>,
    Create { body, key }: Create<CreditBody>,
) -> Result<Created<CreditNoteView>, Problem> {
    let CreditBody { cents, reason } = body;
    let cents = Cents::new(cents.into());
    let made = invoices.credit(&actor, key.as_ref(), id, cents, reason).await?;
    Ok(Created {
        path: format!("/api/invoices/{id}/credit-notes"),
        version: 1,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    #[param(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    state: Option<InvoiceState>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvoiceBody {
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    /// None: it is said when it is issued.
    #[schema(value_type = Option<String>, format = Date)]
    due_on: Option<Date>,
    /// What is written under it.
    notes: Option<Text>,
    #[schema(min_items = 1, max_items = 100)]
    lines: Vec<LineBody>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "due_on": "2026-12-31", "notes": "Thank you.",
    "lines": [{ "descr": "Installation", "price_cents": 150_000 }] }))]
struct DraftChangeBody {
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    due_on: Change<Date>,
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    notes: Change<Text>,
    #[schema(min_items = 1, max_items = 100)]
    lines: Option<Vec<LineBody>>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LineBody {
    descr: Name,
    /// Below zero: a discount.
    price_cents: i32,
    #[serde(default = "yes")]
    includes_tax: bool,
}

impl InvoiceBody {
    fn check(self) -> Result<NewInvoice, Problem> {
        let Self { subscriber, due_on, notes, lines } = self;
        Ok(NewInvoice { subscriber, due_on, notes, lines: checked(lines)? })
    }
}

impl DraftChangeBody {
    fn check(self) -> Result<DraftChange, Problem> {
        let Self { due_on, notes, lines } = self;
        Ok(DraftChange { due_on, notes, lines: lines.map(checked).transpose()? })
    }
}

fn checked(lines: Vec<LineBody>) -> Result<Vec<NewLine>, Problem> {
    if !(1..=LINES_MAX).contains(&lines.len()) {
        let error = FieldError::new("lines", format!("expected 1 to {LINES_MAX}"));
        return Err(Problem::invalid(vec![error]));
    }
    let line = |LineBody { descr, price_cents, includes_tax }| NewLine {
        descr,
        price: Cents::new(i64::from(price_cents)),
        includes_tax,
    };
    Ok(lines.into_iter().map(line).collect())
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FinaliseBody {
    /// None: as the draft says, else in two weeks.
    #[schema(value_type = Option<String>, format = Date)]
    due_on: Option<Date>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreditBody {
    /// Taxes included.
    #[schema(minimum = 1)]
    cents: u32,
    reason: Name,
}

#[derive(Debug, Serialize, ToSchema)]
struct InvoiceView {
    #[schema(value_type = String, example = "inv_0198b2f4c0de7000a000000000000001")]
    id: InvoiceId,
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    state: InvoiceState,
    /// A draft has none.
    #[schema(example = "INV-000001")]
    number: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    issued_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = Date)]
    due_on: Option<Date>,
    /// What is written under it.
    notes: Option<Text>,
    /// Of a draft, what it will be.
    net_cents: i64,
    excise_cents: i64,
    vat_cents: i64,
    total_cents: i64,
    paid_cents: i64,
    credited_cents: i64,
    lines: Vec<LineView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
struct LineView {
    kind: LineKind,
    descr: Name,
    net_cents: i64,
    excise_cents: i64,
    vat_cents: i64,
}

impl From<Line> for LineView {
    fn from(Line { kind, descr, split }: Line) -> Self {
        let Split { net, excise, vat } = split;
        let (net_cents, excise_cents, vat_cents) = (net.get(), excise.get(), vat.get());
        Self { kind, descr, net_cents, excise_cents, vat_cents }
    }
}

impl From<Invoice> for InvoiceView {
    fn from(invoice: Invoice) -> Self {
        let lines: Vec<_> = invoice.lines.into_iter().map(LineView::from).collect();
        // The row of a draft has no sums yet.
        let sum = |of: fn(&LineView) -> i64| lines.iter().map(of).sum::<i64>();
        let (net, excise, vat) =
            (sum(|line| line.net_cents), sum(|line| line.excise_cents), sum(|line| line.vat_cents));
        Self {
            id: invoice.id,
            subscriber: invoice.subscriber,
            state: invoice.state,
            number: invoice.number,
            issued_at: invoice.issued_at,
            due_on: invoice.due_on,
            notes: invoice.notes,
            net_cents: net,
            excise_cents: excise,
            vat_cents: vat,
            total_cents: net + excise + vat,
            paid_cents: invoice.paid.get(),
            credited_cents: invoice.credited.get(),
            lines,
            created_at: invoice.created_at,
        }
    }
}

fn versioned(invoice: Invoice) -> Versioned<InvoiceView> {
    Versioned { version: invoice.version, view: invoice.into() }
}

#[derive(Debug, Serialize, ToSchema)]
struct CreditNoteView {
    #[schema(value_type = String, example = "crn_0198b2f4c0de7000a000000000000001")]
    id: CreditNoteId,
    #[schema(value_type = String)]
    invoice: InvoiceId,
    #[schema(example = "CRN-000001")]
    number: String,
    net_cents: i64,
    excise_cents: i64,
    vat_cents: i64,
    reason: Name,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<CreditNote> for CreditNoteView {
    fn from(note: CreditNote) -> Self {
        let CreditNote { id, invoice, number, split, reason, at } = note;
        Self {
            id,
            invoice,
            number,
            net_cents: split.net.get(),
            excise_cents: split.excise.get(),
            vat_cents: split.vat.get(),
            reason,
            at,
        }
    }
}

impl From<InvoiceError> for Problem {
    fn from(error: InvoiceError) -> Self {
        let title = error.to_string();
        match error {
            InvoiceError::Unknown => Self::not_found("invoice"),
            InvoiceError::UnknownSubscriber => Self::conflict("no-such-subscriber", title),
            InvoiceError::BelowZero => Self::invalid(vec![FieldError::new("lines", title)]),
            InvoiceError::NotADraft => Self::conflict("not-a-draft", title),
            InvoiceError::Stale => Self::stale(),
            InvoiceError::NotVoidable => Self::conflict("not-voidable", title),
            InvoiceError::NotSoMuch => Self::conflict("not-so-much", title),
            InvoiceError::TooFew => Self::conflict("too-few-cents", title),
            InvoiceError::TooMuch(_) => Self::conflict("too-much", title),
            InvoiceError::Claim(error) => error.into(),
            InvoiceError::Store(error) => error.into(),
        }
    }
}

const LINES_MAX: usize = 100;
