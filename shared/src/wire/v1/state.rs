//! `state`: birth and death of an edge. JSON, retained; the death is the connection's last will.

use serde::{Deserialize, Serialize};

use crate::id::EpochId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    Online(Birth),
    /// Said by the broker. It is about the life with this `birth` only: a will that arrives late
    /// does not end a newer life.
    Offline {
        birth: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// Counts connections; kept on disk, so that it never repeats.
    pub birth: u64,
    pub version: String,
    pub epoch: EpochId,
    /// Revision of the desired state that is in force.
    pub applied_revision: u64,
    /// The edge's clock, milliseconds since 1970.
    pub clock_ms: u64,
    /// Records on disk that are not acknowledged.
    pub journal_depth: u64,
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// What the kernel gives, e.g. `shape:htb`.
    #[serde(default)]
    pub capabilities: Vec<String>,
}
