//! Staff: who they are, how they log in, what they may do.

mod role;

pub use role::Role;
