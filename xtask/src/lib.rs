//! `cargo xtask`: everything that is done *with* the product on a developer's machine.
//!
//! It builds before anything else and needs no installed package: what it lacks it installs
//! ([`setup`]). It is not part of what is shipped, and nothing of ours depends on it. Start at
//! [`lab`] (namespaces, processes, teardown), then [`demo`], which tells one story in it; the
//! files in `tests/` tell the others.

#![expect(clippy::print_stdout, reason = "a command-line tool: what it prints is its purpose")]

pub mod bench;
pub mod demo;
pub mod dist;
pub mod fuzz;
pub mod lab;
pub mod provider;
pub mod setup;
pub mod sqlx;
pub mod tests;
pub mod vm;
pub mod workspace;
