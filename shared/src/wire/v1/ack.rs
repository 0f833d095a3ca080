//! `down/ack`: what the controller has committed of an edge's journal. JSON.

use serde::{Deserialize, Serialize};

use crate::id::EpochId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    pub epoch: EpochId,
    /// Everything before this sequence number is committed; the next batch starts here.
    pub next_seq: u64,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The batch is in the books, now or since an earlier delivery.
    Committed,
    /// The batch starts later than `next_seq`: send again from there.
    Gap,
    /// The batch does not continue the history that was committed. Nothing was applied; the edge
    /// keeps its records and a person has to look.
    Forked,
}
