//! The controller: tenants, staff, subscribers, plans, subscriptions, the inventory of the
//! network, and the office end of every edge.
//!
//! Start at [`app`], which builds each part once. A domain is a folder: `http.rs` (routes, views,
//! status codes) calls the verbs in `mod.rs`, which call `store.rs` (SQL). A domain calls another
//! only through its `mod.rs`.
//!
//! To add a domain: a migration in `migrations/` (each table is given to `protect()`), a folder
//! with these three files, a line in `App::routes`, and `tests/golden/routes.txt` made anew.

pub mod about;
pub mod actor;
pub mod api_tokens;
pub mod app;
pub mod audit;
pub mod billing;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod closings;
pub mod db;
pub mod demo;
pub mod diagnostics;
pub mod doubts;
pub mod edges;
mod errands;
pub mod gateways;
mod group;
pub mod http;
pub mod idempotency;
pub mod import;
pub mod inbox;
pub mod intents;
pub mod invitations;
pub mod invoices;
pub mod jobs;
pub mod ledger;
pub mod live;
pub mod logins;
pub mod merchants;
pub mod messages;
pub mod network;
pub mod operators;
pub mod outages;
pub mod payments;
pub mod payouts;
pub mod paysim;
pub mod periods;
pub mod plans;
pub mod portal;
pub mod postgres;
pub mod prints;
pub mod privacy;
pub mod reach;
pub mod reconciliations;
pub mod refunds;
pub mod reports;
pub mod resellers;
pub mod retention;
pub mod seal;
pub mod second_factors;
pub mod serve;
pub mod sessions;
pub mod settings;
pub mod settlements;
pub mod storage;
pub mod subscribers;
pub mod subscriptions;
pub mod taxes;
pub mod tenants;
pub mod tickets;
pub mod token;
pub mod verify;
pub mod vouchers;
pub mod webhooks;
pub mod words;
