//! `/api/network/nas`.

use std::num::NonZeroU32;

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use shared::{
    id::{EdgeId, NasId, NasKind},
    net::Prefix,
    wire::latest::desired::Require,
};
use utoipa::{
    ToSchema,
    openapi::schema::{Object, OneOf, Schema, Type},
};
use utoipa_axum::routes;

use super::{Enforce, Nas, NasChange, NasError, Nases, NewNas, Vendor};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, FieldError, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem,
        Query, Versioned,
    },
    operators::Role,
    words::{Change, DnsName, Name, Pair, RadiusSecret},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Nases: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::NETWORK), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::NETWORK), routes!(update))
}

/// Lists NASes.
#[utoipa::path(get, path = "/api/network/nas", tag = "network", params(PageQuery),
    responses((status = 200, body = Page<NasView>)))]
async fn list(
    State(nases): State<Nases>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<NasView>>, Problem> {
    let ask = query.check::<NasKind>()?;
    let items = nases.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |nas| nas.id, NasView::from)))
}

/// Adds a NAS to an edge.
#[utoipa::path(post, path = "/api/network/nas", tag = "network", request_body = NasBody,
    responses((status = 201, body = NasView), (status = 409, body = Problem)))]
async fn create(
    State(nases): State<Nases>,
    actor: Actor,
    Create { body, key }: Create<NasBody>,
) -> Result<Created<NasView>, Problem> {
    let made = nases.create(&actor, key.as_ref(), body.into()).await?;
    Ok(Created {
        path: format!("/api/network/nas/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows a NAS.
#[utoipa::path(get, path = "/api/network/nas/{id}", tag = "network",
    params(("id" = String, Path)),
    responses((status = 200, body = NasView), (status = 404, body = Problem)))]
async fn show(
    State(nases): State<Nases>,
    actor: Actor,
    Path(id): Path<NasId>,
) -> Result<Versioned<NasView>, Problem> {
    Ok(versioned(nases.find(&actor, id).await?))
}

/// Changes a NAS. What is absent stays.
#[utoipa::path(patch, path = "/api/network/nas/{id}", tag = "network",
    params(("id" = String, Path)), request_body = NasChangeBody,
    responses((status = 200, body = NasView), (status = 412, body = Problem)))]
async fn update(
    State(nases): State<Nases>,
    actor: Actor,
    Path(id): Path<NasId>,
    IfMatch(version): IfMatch,
    Body(change): Body<NasChangeBody>,
) -> Result<Versioned<NasView>, Problem> {
    Ok(versioned(nases.update(&actor, id, version, change.into()).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NasBody {
    #[schema(value_type = String)]
    edge: EdgeId,
    name: Name,
    /// Packets from here are this NAS's.
    #[schema(value_type = String, example = "10.0.0.2")]
    address: Prefix,
    secret: RadiusSecret,
    enforce: Option<Enforce>,
    vendor: Option<Vendor>,
    /// `false` opens the door of CVE-2024-3596: for a NAS that cannot do better. `"auto"`: from
    /// the first time on that the NAS has sent one.
    #[serde(default)]
    #[schema(schema_with = require)]
    require_message_authenticator: Require,
    /// What this NAS may ask in a second, on average.
    #[schema(value_type = Option<u32>)]
    requests_per_second: Option<RequestsPerSecond>,
    /// Where it takes Disconnect- and CoA-Requests (UDP); 0: nowhere.
    #[serde(default = "dynauth_port")]
    dynauth_port: u16,
    /// With RADIUS over TLS: the name in its certificate.
    tls_name: Option<DnsName>,
    /// Attributes of every Access-Accept to it.
    #[serde(default)]
    #[schema(example = json!(["Filter-Id = gold"]))]
    reply: Replies,
}

/// RFC 5176 §5.
const fn dynauth_port() -> u16 {
    3799
}

fn require() -> Schema {
    let auto = Object::builder().schema_type(Type::String).enum_values(Some(["auto"]));
    let either = Object::builder().schema_type(Type::Boolean);
    OneOf::builder().item(either).item(auto).build().into()
}

impl From<NasBody> for NewNas {
    fn from(body: NasBody) -> Self {
        Self {
            edge: body.edge,
            name: body.name,
            address: body.address,
            secret: body.secret,
            enforce: body.enforce.unwrap_or(Enforce::Nas),
            vendor: body.vendor.unwrap_or(Vendor::Standard),
            require_message_authenticator: body.require_message_authenticator,
            requests_per_second: body.requests_per_second.map(|rate| rate.0),
            dynauth_port: body.dynauth_port,
            tls_name: body.tls_name,
            reply: body.reply.0,
        }
    }
}

/// Fits the database's `int`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RequestsPerSecond(NonZeroU32);

impl<'de> Deserialize<'de> for RequestsPerSecond {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rate = NonZeroU32::deserialize(deserializer)?;
        if rate.get() > i32::MAX.cast_unsigned() {
            return Err(D::Error::custom("expected 1 to 2147483647"));
        }
        Ok(Self(rate))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, ToSchema)]
#[schema(value_type = Vec<String>)]
struct Replies(Vec<Pair>);

impl<'de> Deserialize<'de> for Replies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<Pair>::deserialize(deserializer)?;
        if pairs.len() > REPLIES_MAX {
            return Err(D::Error::custom("expected at most 32 attributes"));
        }
        Ok(Self(pairs))
    }
}

/// Of some octets each, beside what a plan needs, in a packet of 4096.
const REPLIES_MAX: usize = 32;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NasChangeBody {
    #[schema(value_type = Option<String>)]
    edge: Option<EdgeId>,
    name: Option<Name>,
    #[schema(value_type = Option<String>)]
    address: Option<Prefix>,
    secret: Option<RadiusSecret>,
    enforce: Option<Enforce>,
    vendor: Option<Vendor>,
    #[schema(schema_with = require)]
    require_message_authenticator: Option<Require>,
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    requests_per_second: Change<RequestsPerSecond>,
    dynauth_port: Option<u16>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tls_name: Change<DnsName>,
    reply: Option<Replies>,
    disabled: Option<bool>,
}

impl From<NasChangeBody> for NasChange {
    fn from(body: NasChangeBody) -> Self {
        Self {
            edge: body.edge,
            name: body.name,
            address: body.address,
            secret: body.secret,
            enforce: body.enforce,
            vendor: body.vendor,
            require_message_authenticator: body.require_message_authenticator,
            requests_per_second: body.requests_per_second.map(|rate| rate.0),
            dynauth_port: body.dynauth_port,
            tls_name: body.tls_name,
            reply: body.reply.map(|replies| replies.0),
            disabled: body.disabled,
        }
    }
}

/// A NAS. Its secret is never shown.
#[derive(Debug, Serialize, ToSchema)]
struct NasView {
    #[schema(value_type = String, example = "nas_0198b2f4c0de7000a000000000000001")]
    id: NasId,
    #[schema(value_type = String)]
    edge: EdgeId,
    name: Name,
    #[schema(value_type = String)]
    address: Prefix,
    enforce: Enforce,
    vendor: Vendor,
    #[schema(schema_with = require)]
    require_message_authenticator: Require,
    #[schema(value_type = Option<u32>)]
    requests_per_second: Option<NonZeroU32>,
    dynauth_port: u16,
    tls_name: Option<DnsName>,
    reply: Vec<Pair>,
    disabled: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Nas> for NasView {
    fn from(nas: Nas) -> Self {
        Self {
            id: nas.id,
            edge: nas.edge,
            name: nas.name,
            address: nas.address,
            enforce: nas.enforce,
            vendor: nas.vendor,
            require_message_authenticator: nas.require_message_authenticator,
            requests_per_second: nas.requests_per_second,
            dynauth_port: nas.dynauth_port,
            tls_name: nas.tls_name,
            reply: nas.reply,
            disabled: nas.disabled,
            created_at: nas.created_at,
        }
    }
}

fn versioned(nas: Nas) -> Versioned<NasView> {
    Versioned { version: nas.version, view: nas.into() }
}

impl From<NasError> for Problem {
    fn from(error: NasError) -> Self {
        match error {
            NasError::Unknown => Self::not_found("NAS"),
            NasError::NoSuchEdge => {
                Self::invalid(vec![FieldError::new("edge", "there is no such edge")])
            }
            NasError::NameTaken => Self::conflict("name-taken", error.to_string()),
            NasError::AddressTaken => Self::conflict("address-taken", error.to_string()),
            NasError::Stale => Self::stale(),
            NasError::Claim(error) => error.into(),
            NasError::Store(error) => error.into(),
        }
    }
}
