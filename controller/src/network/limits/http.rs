//! `/api/network/garden` and `/api/network/edges/{id}/uplink`.

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use shared::{
    id::EdgeId,
    net::Prefix,
    rate::{Kbps, Shape},
    wire::latest::desired::Garden,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{GardenRow, LimitError, Limits};
use crate::{
    actor::Actor,
    http::{Body, FieldError, Guarded, IfMatch, Need, Path, Problem, Versioned},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Limits: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(garden))
        .route(Need::One(Role::NETWORK), routes!(set_garden))
        .route(Need::One(Role::READERS), routes!(uplink))
        .route(Need::One(Role::NETWORK), routes!(set_uplink))
}

/// Shows what is open to everybody at the tenant's edges.
#[utoipa::path(get, path = "/api/network/garden", tag = "network",
    responses((status = 200, body = GardenBody)))]
async fn garden(
    State(limits): State<Limits>,
    actor: Actor,
) -> Result<Versioned<GardenBody>, Problem> {
    Ok(versioned(limits.garden(&actor).await?))
}

/// Says what is open to everybody; what is absent is nothing.
#[utoipa::path(put, path = "/api/network/garden", tag = "network", request_body = GardenBody,
    responses((status = 200, body = GardenBody), (status = 412, body = Problem)))]
async fn set_garden(
    State(limits): State<Limits>,
    actor: Actor,
    IfMatch(version): IfMatch,
    Body(body): Body<GardenBody>,
) -> Result<Versioned<GardenBody>, Problem> {
    Ok(versioned(limits.set_garden(&actor, version, body.check()?).await?))
}

/// Shows what all sessions of an edge together may move.
#[utoipa::path(get, path = "/api/network/edges/{id}/uplink", tag = "network",
    params(("id" = String, Path)),
    responses((status = 200, body = UplinkBody), (status = 404, body = Problem)))]
async fn uplink(
    State(limits): State<Limits>,
    actor: Actor,
    Path(id): Path<EdgeId>,
) -> Result<Json<UplinkBody>, Problem> {
    Ok(Json(limits.uplink(&actor, id).await?.into()))
}

/// Says what all sessions of an edge together may move; without rates they share nothing.
#[utoipa::path(put, path = "/api/network/edges/{id}/uplink", tag = "network",
    params(("id" = String, Path)), request_body = UplinkBody,
    responses((status = 204), (status = 404, body = Problem)))]
async fn set_uplink(
    State(limits): State<Limits>,
    actor: Actor,
    Path(id): Path<EdgeId>,
    Body(body): Body<UplinkBody>,
) -> Result<StatusCode, Problem> {
    limits.set_uplink(&actor, id, body.check()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn versioned(row: GardenRow) -> Versioned<GardenBody> {
    Versioned { version: row.version, view: row.garden.into() }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GardenBody {
    /// Everybody may speak with these addresses and prefixes.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    open: Vec<Prefix>,
    /// With these, too; who does so with a session is not charged for it.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    free: Vec<Prefix>,
    /// Names whose addresses are open, with all that is below them.
    #[serde(default)]
    names: Vec<String>,
    /// Who may be asked for names; anybody if empty.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    dns: Vec<Prefix>,
    /// What one device without a session may move, each way.
    #[schema(value_type = Option<u32>)]
    kbps: Option<Kbps>,
    /// And of names.
    #[schema(value_type = Option<u32>)]
    dns_kbps: Option<Kbps>,
}

impl GardenBody {
    fn check(self) -> Result<Garden, Problem> {
        let Self { open, free, names, dns, kbps, dns_kbps } = self;
        let mut wrong = Vec::new();
        for (field, all) in [("open", &open), ("free", &free), ("dns", &dns)] {
            if all.len() > MOST {
                wrong.push(FieldError::new(field, format!("expected at most {MOST}")));
            }
        }
        if names.len() > MOST {
            wrong.push(FieldError::new("names", format!("expected at most {MOST}")));
        }
        for (n, name) in names.iter().enumerate() {
            if !is_host(name) {
                let expected = "expected the name of a host, in lower case";
                wrong.push(FieldError::new(format!("names[{n}]"), expected));
            }
        }
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        Ok(Garden { open, free, names, dns, kbps, dns_kbps })
    }
}

/// RFC 1123 §2.1, with at least two labels: a garden is not a whole top-level domain.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(label)
}

impl From<Garden> for GardenBody {
    fn from(garden: Garden) -> Self {
        let Garden { open, free, names, dns, kbps, dns_kbps } = garden;
        Self { open, free, names, dns, kbps, dns_kbps }
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UplinkBody {
    #[schema(value_type = Option<u32>)]
    down_kbps: Option<Kbps>,
    #[schema(value_type = Option<u32>)]
    up_kbps: Option<Kbps>,
}

impl UplinkBody {
    fn check(self) -> Result<Option<Shape>, Problem> {
        match (self.down_kbps, self.up_kbps) {
            (Some(down_kbps), Some(up_kbps)) => Ok(Some(Shape { down_kbps, up_kbps })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(both("down_kbps")),
            (Some(_), None) => Err(both("up_kbps")),
        }
    }
}

fn both(field: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(field, "expected both rates, or none")])
}

impl From<Option<Shape>> for UplinkBody {
    fn from(uplink: Option<Shape>) -> Self {
        Self {
            down_kbps: uplink.map(|uplink| uplink.down_kbps),
            up_kbps: uplink.map(|uplink| uplink.up_kbps),
        }
    }
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Unknown => Self::not_found("edge"),
            LimitError::Stale => Self::stale(),
            LimitError::Store(error) => error.into(),
        }
    }
}

/// Of one kind.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn a_garden_has_hosts() {
        for name in ["kra.go.ke", "pay.wisp.example", "a-b.example"] {
            assert!(is_host(name), "{name}");
        }
        for name in ["", "ke", "*.example", "KRA.go.ke", "a..b", "-a.example", "a.example."] {
            assert!(!is_host(name), "{name}");
        }
    }
}
