//! The office end of edges, whole: a real Postgres, a real broker, an edge that follows a script.

mod broker;
mod cluster;
mod desired;
mod edge;
mod entitlements;
mod journal;
mod leases;
mod presence;
mod sessions;
mod walkthrough;
mod world;
