//! What a plan gives and costs, as it was sold. Pure.

use std::num::NonZeroU64;

use serde_json::{Value, json};
use shared::{
    net::Vlan,
    rate::{Kbps, Shape},
};

use crate::words::{NasWord, choices};

choices! {
    /// How a subscriber comes on-line.
    Access { Hotspot = "hotspot", Pppoe = "pppoe", Ipoe = "ipoe", Static = "static", }
}
choices! {
    Billing { Prepaid = "prepaid", Postpaid = "postpaid", }
}

/// What ends it, besides its validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub online_seconds: Option<NonZeroU64>,
    pub data_bytes: Option<NonZeroU64>,
}

impl Limits {
    /// As the table names it.
    pub const fn kind(self) -> &'static str {
        match (self.online_seconds, self.data_bytes) {
            (Some(_), Some(_)) => "hybrid",
            (Some(_), None) => "time",
            (None, Some(_)) => "data",
            (None, None) => "unlimited",
        }
    }
}

/// How long one purchase lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    Months(u16),
    Seconds(NonZeroU64),
}

/// From when it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    FirstUse,
    Purchase,
    /// Of the month; a shorter month ends it earlier.
    Day(u8),
}

impl Anchor {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstUse => "first_use",
            Self::Purchase => "purchase",
            Self::Day(_) => "calendar_day",
        }
    }

    pub const fn day(self) -> Option<u8> {
        match self {
            Self::FirstUse | Self::Purchase => None,
            Self::Day(day) => Some(day),
        }
    }
}

/// What happens when the limits are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExhaust {
    Block,
    Throttle,
    /// Postpaid only: it goes on, and costs this much for each MiB.
    Overage {
        cents_per_mib: NonZeroU64,
    },
}

impl OnExhaust {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Throttle => "throttle",
            Self::Overage { .. } => "overage",
        }
    }

    pub const fn cents_per_mib(self) -> Option<NonZeroU64> {
        match self {
            Self::Block | Self::Throttle => None,
            Self::Overage { cents_per_mib } => Some(cents_per_mib),
        }
    }
}

choices! {
    /// In which time the bytes of a fair use policy are counted.
    FairUse {
        // From the start of the term.
        Period = "period",
        // From midnight there.
        Day = "day",
        // From the midnight that begins a Monday there.
        Week = "week",
    }
}

/// From so many bytes on, other rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub after_bytes: NonZeroU64,
    pub shape: Shape,
}

/// What the plan is called inside a network; NASes are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Where addresses come from (Framed-Pool).
    pub pool: Option<NasWord>,
    /// Filter-Id.
    pub filter: Option<NasWord>,
    /// A role, group or QoS policy that the NAS has by this name.
    pub policy: Option<NasWord>,
    pub vlan: Option<Vlan>,
}

/// Everything about one version of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub access: Access,
    pub billing: Billing,
    pub limits: Limits,
    pub price_cents: u64,
    pub price_includes_tax: bool,
    pub validity: Validity,
    pub down_kbps: Kbps,
    pub up_kbps: Kbps,
    pub max_devices: u8,
    pub idle_timeout_seconds: Option<u32>,
    pub anchor: Anchor,
    pub grace_seconds: u64,
    pub on_exhaust: OnExhaust,
    /// With `throttle`: how fast it goes on; none: an eighth.
    pub slow: Option<Shape>,
    pub fair_use: FairUse,
    /// In ascending order.
    pub steps: Vec<Step>,
    pub network: Network,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    #[error("overage is charged afterwards, so it needs `billing` to be `postpaid`")]
    PrepaidOverage,
    #[error("a plan without limits is never used up: only `block` has a meaning")]
    NothingToExhaust,
    #[error("expected 1 to 64")]
    Devices,
    #[error("expected a day of the month, 1 to 31")]
    Day,
    #[error("only with `throttle`")]
    NotThrottled,
    #[error("expected at most 16, each after more bytes than the one before")]
    Steps,
    #[error("expected less than 9 223 372 036 854 775 808")]
    TooMuch,
}

impl Terms {
    /// The field that does not fit, and why.
    pub fn check(&self) -> Result<(), (&'static str, TermsError)> {
        let overage = matches!(self.on_exhaust, OnExhaust::Overage { .. });
        if overage && self.billing == Billing::Prepaid {
            return Err(("on_exhaust", TermsError::PrepaidOverage));
        }
        let unlimited = self.limits.online_seconds.is_none() && self.limits.data_bytes.is_none();
        if unlimited && self.on_exhaust != OnExhaust::Block {
            return Err(("on_exhaust", TermsError::NothingToExhaust));
        }
        if !(1..=64).contains(&self.max_devices) {
            return Err(("max_devices", TermsError::Devices));
        }
        if self.anchor.day().is_some_and(|day| !(1..=31).contains(&day)) {
            return Err(("anchor_day", TermsError::Day));
        }
        if self.slow.is_some() && self.on_exhaust != OnExhaust::Throttle {
            return Err(("slow_down_kbps", TermsError::NotThrottled));
        }
        let ascending = self.steps.is_sorted_by(|one, next| one.after_bytes < next.after_bytes);
        let fit = self.steps.iter().all(|step| i64::try_from(step.after_bytes.get()).is_ok());
        if self.steps.len() > 16 || !ascending || !fit {
            return Err(("steps", TermsError::Steps));
        }
        let numbers = [
            ("price_cents", Some(self.price_cents)),
            ("grace_seconds", Some(self.grace_seconds)),
            ("online_seconds", self.limits.online_seconds.map(NonZeroU64::get)),
            ("data_bytes", self.limits.data_bytes.map(NonZeroU64::get)),
            ("overage_cents_per_mib", self.on_exhaust.cents_per_mib().map(NonZeroU64::get)),
            (
                "validity_seconds",
                match self.validity {
                    Validity::Seconds(seconds) => Some(seconds.get()),
                    Validity::Months(_) => None,
                },
            ),
        ];
        for (field, number) in numbers {
            if number.is_some_and(|number| i64::try_from(number).is_err()) {
                return Err((field, TermsError::TooMuch));
            }
        }
        Ok(())
    }

    pub(super) fn snapshot(&self) -> Value {
        let (months, seconds) = match self.validity {
            Validity::Months(months) => (Some(months), None),
            Validity::Seconds(seconds) => (None, Some(seconds)),
        };
        json!({
            "access": self.access, "billing": self.billing, "kind": self.limits.kind(),
            "online_seconds": self.limits.online_seconds, "data_bytes": self.limits.data_bytes,
            "price_cents": self.price_cents, "price_includes_tax": self.price_includes_tax,
            "validity_months": months, "validity_seconds": seconds,
            "down_kbps": self.down_kbps, "up_kbps": self.up_kbps,
            "max_devices": self.max_devices, "idle_timeout_seconds": self.idle_timeout_seconds,
            "anchor": self.anchor.as_str(), "anchor_day": self.anchor.day(),
            "grace_seconds": self.grace_seconds, "on_exhaust": self.on_exhaust.as_str(),
            "overage_cents_per_mib": self.on_exhaust.cents_per_mib(),
            "slow": self.slow, "fair_use": self.fair_use,
            "steps": self.steps.iter()
                .map(|step| json!({ "after_bytes": step.after_bytes, "rates": step.shape }))
                .collect::<Vec<_>>(),
            "pool": self.network.pool, "filter": self.network.filter,
            "policy": self.network.policy, "vlan": self.network.vlan,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        Terms {
            access: Access::Hotspot,
            billing: Billing::Postpaid,
            limits: Limits { online_seconds: None, data_bytes: NonZeroU64::new(1) },
            price_cents: 0,
            price_includes_tax: true,
            validity: Validity::Months(1),
            down_kbps: Kbps::new(1).unwrap(),
            up_kbps: Kbps::new(1).unwrap(),
            max_devices: 1,
            idle_timeout_seconds: None,
            anchor: Anchor::Purchase,
            grace_seconds: 0,
            on_exhaust: OnExhaust::Overage { cents_per_mib: NonZeroU64::MIN },
            slow: None,
            fair_use: FairUse::Period,
            steps: Vec::new(),
            network: Network::default(),
        }
    }

    #[test]
    fn terms_that_fit_each_other_are_taken() {
        assert_eq!(terms().check(), Ok(()));
        assert_eq!(terms().limits.kind(), "data");
    }

    #[test]
    fn terms_that_do_not_fit_are_named() {
        let none = Limits { online_seconds: None, data_bytes: None };
        let shape = Shape { down_kbps: Kbps::new(1).unwrap(), up_kbps: Kbps::new(1).unwrap() };
        let step = Step { after_bytes: NonZeroU64::MIN, shape };
        let wrong = [
            (Terms { billing: Billing::Prepaid, ..terms() }, "on_exhaust"),
            (Terms { limits: none, on_exhaust: OnExhaust::Throttle, ..terms() }, "on_exhaust"),
            (Terms { max_devices: 0, ..terms() }, "max_devices"),
            (Terms { max_devices: 65, ..terms() }, "max_devices"),
            (Terms { anchor: Anchor::Day(32), ..terms() }, "anchor_day"),
            (Terms { price_cents: u64::MAX, ..terms() }, "price_cents"),
            (Terms { slow: Some(shape), ..terms() }, "slow_down_kbps"),
            (Terms { steps: vec![step, step], ..terms() }, "steps"),
        ];
        for (terms, field) in wrong {
            assert_eq!(terms.check().unwrap_err().0, field, "{terms:?}");
        }
    }
}
