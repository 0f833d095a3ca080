//! `up/live`: counters of live sessions, for screens only. JSON, QoS 0: lost is lost.

use serde::{Deserialize, Serialize};

use crate::{id::SessionId, octets::Counters};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    pub at_ms: u64,
    pub sessions: Vec<LiveSession>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSession {
    pub session: SessionId,
    #[serde(flatten)]
    pub counters: Counters,
    #[serde(default, skip_serializing_if = "RoundTrips::is_unknown")]
    pub round_trips: RoundTrips,
}

/// How long answers take, of the last second in which there were any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrips {
    /// From the edge to the subscriber's device and back, with the queue on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<Percentiles>,
    /// From the edge to the internet and back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internet: Option<Percentiles>,
}

impl RoundTrips {
    pub const fn is_unknown(&self) -> bool {
        self.subscriber.is_none() && self.internet.is_none()
    }
}

/// In microseconds: half of all, and all but one in twenty, took no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    pub p50_us: u64,
    pub p95_us: u64,
}
