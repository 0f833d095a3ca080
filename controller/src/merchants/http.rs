//! `/api/finance/merchants`.

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{MerchantId, MerchantKind};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Addresses, Merchant, MerchantChange, MerchantError, Merchants, NewMerchant};
use crate::{
    actor::Actor,
    gateways::{AskError, Environment, Secrets},
    http::{
        Body, Create, Created, FieldError, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem,
        Query, Versioned,
    },
    operators::Role,
    payments::Provider,
    words::{Change, Name, Shortcode, Till},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Merchants: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .dangerous(Need::One(Role::SALES), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .dangerous(Need::One(Role::SALES), routes!(update))
        .dangerous(Need::One(Role::SALES), routes!(addresses))
        .route(Need::One(Role::SALES), routes!(register))
}

/// Lists the accounts at payment providers.
#[utoipa::path(get, path = "/api/finance/merchants", tag = "finance", params(PageQuery),
    responses((status = 200, body = Page<MerchantView>)))]
async fn list(
    State(merchants): State<Merchants>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<MerchantView>>, Problem> {
    let ask = query.check::<MerchantKind>()?;
    let items = merchants.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |merchant| merchant.id, MerchantView::from)))
}

/// Adds an account at a provider, with what opens it. That is sealed and never shown.
#[utoipa::path(post, path = "/api/finance/merchants", tag = "finance",
    request_body = MerchantBody,
    responses((status = 201, body = MerchantView), (status = 409, body = Problem)))]
async fn create(
    State(merchants): State<Merchants>,
    actor: Actor,
    Create { body, key }: Create<MerchantBody>,
) -> Result<Created<MerchantView>, Problem> {
    let made = merchants.create(&actor, key.as_ref(), body.check()?).await?;
    Ok(Created {
        path: format!("/api/finance/merchants/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows an account at a provider.
#[utoipa::path(get, path = "/api/finance/merchants/{id}", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = MerchantView), (status = 404, body = Problem)))]
async fn show(
    State(merchants): State<Merchants>,
    actor: Actor,
    Path(id): Path<MerchantId>,
) -> Result<Versioned<MerchantView>, Problem> {
    Ok(versioned(merchants.find(&actor, id).await?))
}

/// Changes an account at a provider. What is absent stays, of the secrets too.
#[utoipa::path(patch, path = "/api/finance/merchants/{id}", tag = "finance",
    params(("id" = String, Path)), request_body = MerchantChangeBody,
    responses((status = 200, body = MerchantView), (status = 412, body = Problem)))]
async fn update(
    State(merchants): State<Merchants>,
    actor: Actor,
    Path(id): Path<MerchantId>,
    IfMatch(version): IfMatch,
    Body(change): Body<MerchantChangeBody>,
) -> Result<Versioned<MerchantView>, Problem> {
    Ok(versioned(merchants.update(&actor, id, version, change.check()?).await?))
}

/// Says where the provider has to call: some are told in their own portal.
#[utoipa::path(get, path = "/api/finance/merchants/{id}/addresses", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = AddressesView), (status = 404, body = Problem)))]
async fn addresses(
    State(merchants): State<Merchants>,
    actor: Actor,
    Path(id): Path<MerchantId>,
) -> Result<Json<AddressesView>, Problem> {
    Ok(Json(merchants.addresses(&actor, id).await?.into()))
}

/// Tells the provider where to call. M-Pesa takes it once for each paybill.
#[utoipa::path(post, path = "/api/finance/merchants/{id}/register", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = AddressesView), (status = 502, body = Problem)))]
async fn register(
    State(merchants): State<Merchants>,
    actor: Actor,
    Path(id): Path<MerchantId>,
) -> Result<Json<AddressesView>, Problem> {
    Ok(Json(merchants.register(&actor, id).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "provider": "paystack", "shortcode": "kennet", "name": "Cards",
    "environment": "sandbox", "secrets": { "secret": "sk_test_0123456789" } }))]
struct MerchantBody {
    provider: Provider,
    /// M-Pesa: the paybill, or the store number of a till. Others: a name of your own.
    shortcode: Shortcode,
    /// M-Pesa: the till, if it is one.
    till: Option<Till>,
    name: Name,
    environment: Option<Environment>,
    secrets: Secrets,
    /// Where its callbacks come from. What comes from elsewhere is believed only when the
    /// provider's own list says so.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["196.201.212.0/24"]))]
    sources: Vec<IpNetwork>,
    /// M-Pesa: what names neither an intent nor an account is refused before it is paid, if M-Pesa was
    /// told to ask. Without it such money waits until somebody says whose it is.
    #[serde(default)]
    refuse_unknown: bool,
}

impl MerchantBody {
    fn check(self) -> Result<NewMerchant, Problem> {
        let wrong = |field: &str, message: &str| {
            Err(Problem::invalid(vec![FieldError::new(field, message)]))
        };
        match self.provider {
            Provider::Cash | Provider::Bank => {
                return wrong("provider", "expected one of: mpesa airtel paystack stripe");
            }
            Provider::Mpesa => {}
            Provider::Airtel | Provider::Paystack | Provider::Stripe => {
                if self.till.is_some() {
                    return wrong("till", "only M-Pesa has tills");
                }
                if self.refuse_unknown {
                    return wrong("refuse_unknown", "only M-Pesa asks before it takes money");
                }
            }
        }
        Ok(NewMerchant {
            provider: self.provider,
            shortcode: self.shortcode,
            till: self.till,
            name: self.name,
            environment: self.environment.unwrap_or(Environment::Production),
            secrets: self.secrets,
            sources: few(self.sources)?,
            refuse_unknown: self.refuse_unknown,
        })
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MerchantChangeBody {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    till: Change<Till>,
    name: Option<Name>,
    #[serde(default)]
    secrets: Secrets,
    #[schema(value_type = Option<Vec<String>>)]
    sources: Option<Vec<IpNetwork>>,
    refuse_unknown: Option<bool>,
    disabled: Option<bool>,
}

impl MerchantChangeBody {
    fn check(self) -> Result<MerchantChange, Problem> {
        let Self { till, name, secrets, sources, refuse_unknown, disabled } = self;
        let sources = sources.map(few).transpose()?;
        Ok(MerchantChange { till, name, secrets, sources, refuse_unknown, disabled })
    }
}

fn few(sources: Vec<IpNetwork>) -> Result<Vec<IpNetwork>, Problem> {
    if sources.len() > SOURCES_MAX {
        let error = FieldError::new("sources", format!("expected at most {SOURCES_MAX}"));
        return Err(Problem::invalid(vec![error]));
    }
    Ok(sources)
}

#[derive(Debug, Serialize, ToSchema)]
struct MerchantView {
    #[schema(value_type = String, example = "mer_0198b2f4c0de7000a000000000000001")]
    id: MerchantId,
    provider: Provider,
    shortcode: Shortcode,
    till: Option<Till>,
    name: Name,
    environment: Environment,
    #[schema(value_type = Vec<String>)]
    sources: Vec<IpNetwork>,
    refuse_unknown: bool,
    disabled: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Merchant> for MerchantView {
    fn from(merchant: Merchant) -> Self {
        Self {
            id: merchant.id,
            provider: merchant.provider,
            shortcode: merchant.shortcode,
            till: merchant.till,
            name: merchant.name,
            environment: merchant.environment,
            sources: merchant.sources,
            refuse_unknown: merchant.refuse_unknown,
            disabled: merchant.disabled,
            created_at: merchant.created_at,
        }
    }
}

/// Whoever knows them can pretend to be the provider.
#[derive(Debug, Serialize, ToSchema)]
struct AddressesView {
    /// M-Pesa: somebody has paid.
    confirmation: String,
    /// M-Pesa: somebody wants to pay.
    validation: String,
    /// Airtel, Paystack, Stripe: everything.
    hook: String,
}

impl From<Addresses> for AddressesView {
    fn from(addresses: Addresses) -> Self {
        let Addresses { confirmation, validation, hook } = addresses;
        Self { confirmation, validation, hook }
    }
}

fn versioned(merchant: Merchant) -> Versioned<MerchantView> {
    Versioned { version: merchant.version, view: merchant.into() }
}

impl From<MerchantError> for Problem {
    fn from(error: MerchantError) -> Self {
        let title = error.to_string();
        match error {
            MerchantError::Unknown => Self::not_found("merchant"),
            MerchantError::Taken => Self::conflict("merchant-taken", title),
            MerchantError::SecretNeeded(name) => {
                Self::invalid(vec![FieldError::new(format!("secrets.{name}"), title)])
            }
            MerchantError::Stale => Self::stale(),
            MerchantError::Disabled => Self::conflict("merchant-disabled", title),
            MerchantError::Open(_) => Self::invalid(vec![FieldError::new("environment", title)]),
            MerchantError::Ask(AskError::Cannot) => Self::conflict("not-with-this-provider", title),
            MerchantError::Ask(AskError::NoAnswer | AskError::Refused(_)) => {
                Self::new(StatusCode::BAD_GATEWAY, "provider-refuses", title)
            }
            MerchantError::Seal(error) => Self::internal(&error),
            MerchantError::Corrupt(error) => Self::internal(&error),
            MerchantError::Claim(error) => error.into(),
            MerchantError::Store(error) => error.into(),
        }
    }
}

/// As many as anybody has written down, and some more.
const SOURCES_MAX: usize = 64;
