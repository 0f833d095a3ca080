//! A whole provider in a lab: controller, edge, subscribers, an internet, and somebody who logs
//! in, moves bytes and counts them.
//!
//! The controller runs on the host's loopback and the edge in its namespace; a [`lab::Cable`]
//! joins them. What the office does goes through the REST API, what the NAS does through
//! `radclient`, what the subscribers do through `iperf3`.
//!
//! [`lab::Cable`]: crate::lab::Cable

pub mod http;
pub mod radclient;
pub mod traffic;
