//! `POST /edge/v1/lease`: an edge asks for parts of quotas that subscribers may use on several edges.
//! JSON.
//!
//! Everything is counted from when the desired state says ([`counted_from_ms`]), and cumulative: who
//! asks twice gets once. An edge that gives back lowers its own bound first, and one that asks for
//! more raises it after the answer, so that all edges together never pass more than there is.
//!
//! [`counted_from_ms`]: super::desired::Subscriber::counted_from_ms

use serde::{Deserialize, Serialize};

use crate::id::{EpochId, SubscriberId};

/// What an edge asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Questions {
    /// Of its journal: an edge that has lost it counts from nothing.
    pub epoch: EpochId,
    pub questions: Vec<Question>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub subscriber: SubscriberId,
    pub counted_from_ms: u64,
    /// Grows with each question of this edge. One that is not the newest has no effect.
    pub fence: u64,
    /// Used on this edge.
    pub used_bytes: u64,
    /// To have in hand beyond that; 0: what is left goes back.
    pub more_bytes: u64,
}

/// The answers, in the order of the questions; none to what the controller does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    pub answers: Vec<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub subscriber: SubscriberId,
    pub counted_from_ms: u64,
    /// Of the question; or a newer one, and then the question has had no effect.
    pub fence: u64,
    /// May be used on this edge in all.
    pub bytes: u64,
    /// Leased to nobody.
    pub free_bytes: u64,
    /// Leased to other edges, and perhaps used there.
    pub elsewhere_bytes: u64,
}

/// Questions in one request.
pub const QUESTIONS_MAX: usize = 256;
