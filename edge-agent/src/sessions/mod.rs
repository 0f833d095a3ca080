//! Who is on-line: the one place that decides about sessions.

pub mod event;
