//! Version 1. Frozen once shipped: see [`super`] for how to change a message.

pub mod ack;
pub mod command;
pub mod desired;
pub mod journal;
pub mod lease;
pub mod live;
pub mod state;
