//! `/api/plans`.

use std::num::NonZeroU64;

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{PlanId, PlanKind, PlanVersionId},
    net::Vlan,
    rate::{Kbps, Shape},
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Access, Anchor, Billing, FairUse, Limits, Network, NewPlan, OnExhaust, Plan, PlanChange,
    PlanError, PlanVersion, Plans, Step, Terms, Validity,
};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, FieldError, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem,
        Query, Versioned,
    },
    operators::Role,
    words::{Code, Name, NasWord, choices},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Plans: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::SALES), routes!(update))
        .route(Need::One(Role::SALES), routes!(delete))
        .route(Need::One(Role::READERS), routes!(versions))
}

/// Lists plans, each with its latest version.
#[utoipa::path(get, path = "/api/plans", tag = "plans", params(PageQuery),
    responses((status = 200, body = Page<PlanView>)))]
async fn list(
    State(plans): State<Plans>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<PlanView>>, Problem> {
    let ask = query.check::<PlanKind>()?;
    let items = plans.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |plan| plan.id, PlanView::from)))
}

/// Makes a plan, with its first version.
#[utoipa::path(post, path = "/api/plans", tag = "plans", request_body = PlanBody,
    responses((status = 201, body = PlanView), (status = 409, body = Problem)))]
async fn create(
    State(plans): State<Plans>,
    actor: Actor,
    Create { body, key }: Create<PlanBody>,
) -> Result<Created<PlanView>, Problem> {
    let PlanBody { code, name, terms } = body;
    let new = NewPlan { code, name, terms: terms.check()? };
    let made = plans.create(&actor, key.as_ref(), new).await?;
    Ok(Created {
        path: format!("/api/plans/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows a plan.
#[utoipa::path(get, path = "/api/plans/{id}", tag = "plans", params(("id" = String, Path)),
    responses((status = 200, body = PlanView), (status = 404, body = Problem)))]
async fn show(
    State(plans): State<Plans>,
    actor: Actor,
    Path(id): Path<PlanId>,
) -> Result<Versioned<PlanView>, Problem> {
    Ok(versioned(plans.find(&actor, id).await?))
}

/// Changes a plan. Other `terms` are a new version; who has the old one keeps it.
#[utoipa::path(patch, path = "/api/plans/{id}", tag = "plans", params(("id" = String, Path)),
    request_body = PlanChangeBody,
    responses((status = 200, body = PlanView), (status = 412, body = Problem)))]
async fn update(
    State(plans): State<Plans>,
    actor: Actor,
    Path(id): Path<PlanId>,
    IfMatch(version): IfMatch,
    Body(body): Body<PlanChangeBody>,
) -> Result<Versioned<PlanView>, Problem> {
    let PlanChangeBody { name, archived, terms } = body;
    let terms = terms.map(TermsBody::check).transpose()?;
    let change = PlanChange { name, archived, terms };
    Ok(versioned(plans.update(&actor, id, version, change).await?))
}

/// Deletes a plan that was made by mistake, with its versions. One that was sold, or that vouchers
/// are for, is archived instead: `was-sold`.
#[utoipa::path(delete, path = "/api/plans/{id}", tag = "plans", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete(
    State(plans): State<Plans>,
    actor: Actor,
    Path(id): Path<PlanId>,
) -> Result<StatusCode, Problem> {
    plans.delete(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists every version of a plan, newest first.
#[utoipa::path(get, path = "/api/plans/{id}/versions", tag = "plans",
    params(("id" = String, Path)),
    responses((status = 200, body = Vec<PlanVersionView>), (status = 404, body = Problem)))]
async fn versions(
    State(plans): State<Plans>,
    actor: Actor,
    Path(id): Path<PlanId>,
) -> Result<Json<Vec<PlanVersionView>>, Problem> {
    let versions = plans.versions(&actor, id).await?;
    Ok(Json(versions.into_iter().map(PlanVersionView::from).collect()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    code: Code,
    name: Name,
    terms: TermsBody,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanChangeBody {
    name: Option<Name>,
    archived: Option<bool>,
    terms: Option<TermsBody>,
}

choices! {
    /// From when a purchase is counted.
    AnchorWord { FirstUse = "first_use", Purchase = "purchase", CalendarDay = "calendar_day", }
}
choices! {
    /// What happens when a limit is used up.
    OnExhaustWord { Block = "block", Throttle = "throttle", Overage = "overage", }
}

/// What a plan gives and costs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "access": "hotspot", "billing": "prepaid", "price_cents": 5000,
    "validity_seconds": 86_400, "down_kbps": 10_000, "up_kbps": 5_000 }))]
struct TermsBody {
    access: Access,
    billing: Billing,
    price_cents: u64,
    #[serde(default = "yes")]
    price_includes_tax: bool,
    /// Either this or `validity_seconds`.
    validity_months: Option<u16>,
    #[schema(value_type = Option<u64>)]
    validity_seconds: Option<NonZeroU64>,
    /// Time on-line that one purchase gives; none: not limited.
    #[schema(value_type = Option<u64>)]
    online_seconds: Option<NonZeroU64>,
    /// Bytes, down and up together, that one purchase gives; none: not limited.
    #[schema(value_type = Option<u64>)]
    data_bytes: Option<NonZeroU64>,
    #[schema(value_type = u32)]
    down_kbps: Kbps,
    #[schema(value_type = u32)]
    up_kbps: Kbps,
    #[serde(default = "one")]
    max_devices: u8,
    idle_timeout_seconds: Option<u32>,
    #[serde(default = "purchase")]
    anchor: AnchorWord,
    /// With the anchor `calendar_day`.
    anchor_day: Option<u8>,
    #[serde(default)]
    grace_seconds: u64,
    #[serde(default = "block")]
    on_exhaust: OnExhaustWord,
    /// With `overage`.
    #[schema(value_type = Option<u64>)]
    overage_cents_per_mib: Option<NonZeroU64>,
    /// With `throttle`: how fast it goes on; an eighth if nothing is said.
    #[schema(value_type = Option<u32>)]
    slow_down_kbps: Option<Kbps>,
    #[schema(value_type = Option<u32>)]
    slow_up_kbps: Option<Kbps>,
    /// In which time the bytes of `steps` are counted.
    #[serde(default = "period")]
    fair_use: FairUse,
    /// Rates of all devices together from so many bytes on, in ascending order.
    #[serde(default)]
    steps: Vec<StepBody>,
    /// Framed-Pool: where the NAS takes addresses from.
    pool: Option<NasWord>,
    /// Filter-Id.
    filter: Option<NasWord>,
    /// A role, group or QoS policy that the NAS has by this name.
    policy: Option<NasWord>,
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 4094)]
    vlan: Option<Vlan>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StepBody {
    #[schema(value_type = u64)]
    after_bytes: NonZeroU64,
    #[schema(value_type = u32)]
    down_kbps: Kbps,
    #[schema(value_type = u32)]
    up_kbps: Kbps,
}

impl TermsBody {
    fn check(self) -> Result<Terms, Problem> {
        let wrong = |field: &str, message: &str| {
            Problem::invalid(vec![FieldError::new(format!("terms.{field}"), message)])
        };
        let validity = match (self.validity_months, self.validity_seconds) {
            (Some(months), None) if months > 0 => Validity::Months(months),
            (None, Some(seconds)) => Validity::Seconds(seconds),
            (Some(_) | None, Some(_) | None) => {
                let message = "expected either this or `validity_seconds`, above 0";
                return Err(wrong("validity_months", message));
            }
        };
        let anchor = match (self.anchor, self.anchor_day) {
            (AnchorWord::FirstUse, None) => Anchor::FirstUse,
            (AnchorWord::Purchase, None) => Anchor::Purchase,
            (AnchorWord::CalendarDay, Some(day)) => Anchor::Day(day),
            (AnchorWord::CalendarDay, None) => {
                return Err(wrong("anchor_day", "expected a day of the month"));
            }
            (AnchorWord::FirstUse | AnchorWord::Purchase, Some(_)) => {
                return Err(wrong("anchor_day", "only with the anchor `calendar_day`"));
            }
        };
        let on_exhaust = match (self.on_exhaust, self.overage_cents_per_mib) {
            (OnExhaustWord::Block, None) => OnExhaust::Block,
            (OnExhaustWord::Throttle, None) => OnExhaust::Throttle,
            (OnExhaustWord::Overage, Some(cents_per_mib)) => OnExhaust::Overage { cents_per_mib },
            (OnExhaustWord::Overage, None) => {
                return Err(wrong("overage_cents_per_mib", "expected the price of a MiB"));
            }
            (OnExhaustWord::Block | OnExhaustWord::Throttle, Some(_)) => {
                return Err(wrong("overage_cents_per_mib", "only with `overage`"));
            }
        };
        let Self { online_seconds, data_bytes, .. } = self;
        let slow = match (self.slow_down_kbps, self.slow_up_kbps) {
            (Some(down_kbps), Some(up_kbps)) => Some(Shape { down_kbps, up_kbps }),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("slow_up_kbps", "expected both rates, or none")),
            (None, Some(_)) => return Err(wrong("slow_down_kbps", "expected both rates, or none")),
        };
        let steps = self.steps.into_iter().map(|step| {
            let StepBody { after_bytes, down_kbps, up_kbps } = step;
            Step { after_bytes, shape: Shape { down_kbps, up_kbps } }
        });
        Ok(Terms {
            access: self.access,
            billing: self.billing,
            limits: Limits { online_seconds, data_bytes },
            price_cents: self.price_cents,
            price_includes_tax: self.price_includes_tax,
            validity,
            down_kbps: self.down_kbps,
            up_kbps: self.up_kbps,
            max_devices: self.max_devices,
            idle_timeout_seconds: self.idle_timeout_seconds,
            anchor,
            grace_seconds: self.grace_seconds,
            on_exhaust,
            slow,
            fair_use: self.fair_use,
            steps: steps.collect(),
            network: Network {
                pool: self.pool,
                filter: self.filter,
                policy: self.policy,
                vlan: self.vlan,
            },
        })
    }
}

impl From<Terms> for TermsBody {
    fn from(terms: Terms) -> Self {
        let (validity_months, validity_seconds) = match terms.validity {
            Validity::Months(months) => (Some(months), None),
            Validity::Seconds(seconds) => (None, Some(seconds)),
        };
        Self {
            access: terms.access,
            billing: terms.billing,
            price_cents: terms.price_cents,
            price_includes_tax: terms.price_includes_tax,
            validity_months,
            validity_seconds,
            online_seconds: terms.limits.online_seconds,
            data_bytes: terms.limits.data_bytes,
            down_kbps: terms.down_kbps,
            up_kbps: terms.up_kbps,
            max_devices: terms.max_devices,
            idle_timeout_seconds: terms.idle_timeout_seconds,
            anchor: match terms.anchor {
                Anchor::FirstUse => AnchorWord::FirstUse,
                Anchor::Purchase => AnchorWord::Purchase,
                Anchor::Day(_) => AnchorWord::CalendarDay,
            },
            anchor_day: terms.anchor.day(),
            grace_seconds: terms.grace_seconds,
            on_exhaust: match terms.on_exhaust {
                OnExhaust::Block => OnExhaustWord::Block,
                OnExhaust::Throttle => OnExhaustWord::Throttle,
                OnExhaust::Overage { .. } => OnExhaustWord::Overage,
            },
            overage_cents_per_mib: terms.on_exhaust.cents_per_mib(),
            slow_down_kbps: terms.slow.map(|slow| slow.down_kbps),
            slow_up_kbps: terms.slow.map(|slow| slow.up_kbps),
            fair_use: terms.fair_use,
            steps: terms
                .steps
                .into_iter()
                .map(|Step { after_bytes, shape: Shape { down_kbps, up_kbps } }| StepBody {
                    after_bytes,
                    down_kbps,
                    up_kbps,
                })
                .collect(),
            pool: terms.network.pool,
            filter: terms.network.filter,
            policy: terms.network.policy,
            vlan: terms.network.vlan,
        }
    }
}

const fn yes() -> bool {
    true
}

const fn one() -> u8 {
    1
}

const fn purchase() -> AnchorWord {
    AnchorWord::Purchase
}

const fn period() -> FairUse {
    FairUse::Period
}

const fn block() -> OnExhaustWord {
    OnExhaustWord::Block
}

#[derive(Debug, Serialize, ToSchema)]
struct PlanView {
    #[schema(value_type = String, example = "plan_0198b2f4c0de7000a000000000000001")]
    id: PlanId,
    code: Code,
    name: Name,
    archived: bool,
    latest: PlanVersionView,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
struct PlanVersionView {
    /// What a subscription points to.
    #[schema(value_type = String, example = "planv_0198b2f4c0de7000a000000000000001")]
    id: PlanVersionId,
    version: u32,
    /// `time`, `data`, `hybrid` or `unlimited`: what ends it besides its validity.
    kind: &'static str,
    terms: TermsBody,
    #[schema(value_type = String, format = DateTime)]
    effective_from: Timestamp,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        let Plan { id, code, name, archived, latest, version: _, created_at } = plan;
        Self { id, code, name, archived, latest: latest.into(), created_at }
    }
}

impl From<PlanVersion> for PlanVersionView {
    fn from(version: PlanVersion) -> Self {
        let PlanVersion { id, number, terms, effective_from } = version;
        let kind = terms.limits.kind();
        Self { id, version: number, kind, terms: terms.into(), effective_from }
    }
}

fn versioned(plan: Plan) -> Versioned<PlanView> {
    Versioned { version: plan.version, view: plan.into() }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Unknown => Self::not_found("plan"),
            PlanError::CodeTaken => Self::conflict("code-taken", error.to_string()),
            PlanError::WasSold => Self::conflict("was-sold", error.to_string()),
            PlanError::Terms { field, error } => {
                let field = format!("terms.{field}");
                Self::invalid(vec![FieldError::new(field, error.to_string())])
            }
            PlanError::Stale => Self::stale(),
            PlanError::Claim(error) => error.into(),
            PlanError::Store(error) => error.into(),
        }
    }
}
