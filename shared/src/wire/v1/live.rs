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
}
