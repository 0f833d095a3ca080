//! The database refuses to lose money: every invariant of the schema has a case that tries to
//! break it, and every case is known to notice when its invariant is not there.

mod checks;
#[path = "../edges/cluster.rs"]
#[expect(dead_code, reason = "a folder is for who starts a controller")]
mod cluster;
mod collisions;
mod complete;
mod mutants;
mod rules;
mod world;
