//! Words that both sides of KenNet use: identifiers, units, and the messages between an edge and
//! the controller.
//!
//! It is not a place for logic: nothing here knows what a session does or what money is, and
//! nothing does I/O unless the feature `daemon` is on. Start at [`wire`] for the contract between
//! edge and controller, at [`id`] for what is named.

pub mod id;
pub mod net;
pub mod octets;
pub mod rate;
pub mod secret;
pub mod wire;

#[cfg(feature = "daemon")]
pub mod daemon;
