//! The API as its clients see it: a real Postgres, a real TCP socket, one database for each test.

mod billing;
#[path = "../edges/cluster.rs"]
mod cluster;
mod command_line;
mod courtesies;
mod demo;
mod factors;
mod grants;
mod identity;
mod import;
mod inventory;
mod isolation;
mod live;
mod logins;
mod mail;
mod messages;
mod money;
mod office;
mod outages;
mod payouts;
mod portal;
mod processes;
mod providers;
mod refunds;
mod rehearsal;
mod reports;
mod resellers;
mod retention;
mod routes;
mod subscribers;
mod subscriptions;
mod tickets;
mod verify;
mod vouchers;
mod webhooks;
mod world;
