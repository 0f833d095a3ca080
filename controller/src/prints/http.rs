//! PDFs: `/api/invoices/{id}/pdf`, `/api/vouchers/batches/{id}/sheet`.

use axum::{
    extract::{FromRef, State},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use shared::id::{BatchId, InvoiceId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Language, Layout, PrintError, Prints, Sheet};
use crate::{
    actor::Actor,
    http::{Body, FieldError, Guarded, Need, Path, Problem, Query},
    operators::Role,
    vouchers::VoucherCode,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Prints: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(invoice))
        .route(Need::One(Role::SALES), routes!(sheet))
}

/// An invoice on paper.
#[utoipa::path(get, path = "/api/invoices/{id}/pdf", tag = "invoices",
    params(("id" = String, Path), LanguageQuery),
    responses((status = 200, content_type = "application/pdf"), (status = 404, body = Problem)))]
async fn invoice(
    State(prints): State<Prints>,
    actor: Actor,
    Path(id): Path<InvoiceId>,
    Query(query): Query<LanguageQuery>,
) -> Result<Response, Problem> {
    let language = query.lang.unwrap_or(Language::English);
    let (name, pdf) = prints.invoice(&actor, id, language).await?;
    Ok(paper(&name, pdf))
}

/// Codes of a batch on paper: to be cut, or on a roll.
///
/// The controller does not have them any more, so they are sent along, as they were answered when
/// the batch was issued.
#[utoipa::path(post, path = "/api/vouchers/batches/{id}/sheet", tag = "vouchers",
    params(("id" = String, Path)), request_body = SheetBody,
    responses((status = 200, content_type = "application/pdf"), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn sheet(
    State(prints): State<Prints>,
    actor: Actor,
    Path(id): Path<BatchId>,
    Body(body): Body<SheetBody>,
) -> Result<Response, Problem> {
    let pdf = prints.vouchers(&actor, id, &body.check()?).await?;
    Ok(paper(&id.to_string(), pdf))
}

fn paper(name: &str, pdf: Vec<u8>) -> Response {
    let mut response = pdf.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/pdf"));
    // Ids and numbers are visible ASCII.
    if let Ok(value) = HeaderValue::from_str(&format!("inline; filename=\"{name}.pdf\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LanguageQuery {
    lang: Option<Language>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SheetBody {
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 2000, example = json!(["KEN3T-7QW"]))]
    codes: Vec<VoucherCode>,
    /// None: `a4`.
    layout: Option<Layout>,
    lang: Option<Language>,
    /// Where the portal is: the QR code opens it with the code; none: it is the code alone.
    #[schema(example = "https://portal.savanna.example")]
    portal: Option<String>,
}

impl SheetBody {
    fn check(self) -> Result<Sheet, Problem> {
        let mut errors = Vec::new();
        if !(1..=CODES_MAX).contains(&self.codes.len()) {
            errors.push(FieldError::new("codes", format!("expected 1 to {CODES_MAX}")));
        }
        let is_place = |text: &String| {
            text.len() <= 60
                && text.starts_with("https://")
                && text.bytes().all(|b| b.is_ascii_graphic())
        };
        if !self.portal.as_ref().is_none_or(is_place) {
            let expected = "expected a place like https://portal.savanna.example";
            errors.push(FieldError::new("portal", expected));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        Ok(Sheet {
            codes: self.codes,
            layout: self.layout.unwrap_or(Layout::A4),
            language: self.lang.unwrap_or(Language::English),
            portal: self.portal,
        })
    }
}

impl From<PrintError> for Problem {
    fn from(error: PrintError) -> Self {
        match error {
            PrintError::Foreign { serial } => {
                let field = format!("codes[{}]", serial - 1);
                Self::invalid(vec![FieldError::new(field, "expected a code of this batch")])
            }
            PrintError::Draw(error) => Self::internal(&*error),
            PrintError::Invoice(error) => error.into(),
            PrintError::Subscriber(error) => error.into(),
            PrintError::Tenant(error) => error.into(),
            PrintError::Voucher(error) => error.into(),
            PrintError::Store(error) => error.into(),
        }
    }
}

/// A print run; more of them are more requests.
const CODES_MAX: usize = 2000;
