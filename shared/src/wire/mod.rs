//! The messages between an edge and the controller.
//!
//! The rest of the programs imports [`latest`] and never says a version number. What is in [`v1`]
//! is frozen once shipped: its bytes are golden, in `shared/tests/golden.rs`.
//!
//! To change a message: a new optional field goes into the version that is there (unknown fields
//! are ignored by older programs, an absent one has a default); anything else is a new module
//! `v2` whose types convert from `v1`, and a new topic prefix.

pub mod topic;
pub mod v1;

pub mod latest {
    pub use super::v1::{ack, command, desired, journal, lease, live, state};
}
