//! The edge: one daemon on an access-point or gateway host.
//!
//! ```text
//!   NAS ──UDP──▶ radius (threads) ──Event──▶ sessions (one thread) ──▶ journal (disk)
//!                      ▲ reply                 │   ▲                      │
//!                      └───────────Ticket──────┘   │ counters             ▼
//!                                              dataplane (kernel)     uplink (MQTT) ◀──▶ controller
//!                                                  ▲                      │
//!                                desired (last good copy on disk) ◀───────┘
//! ```
//!
//! The `portal` is beside RADIUS: it brings the same events for devices that log in on its page.
//!
//! `sessions` is the only place that decides about sessions and the only owner of journal and
//! data plane: it takes a batch of events, decides (pure), writes the records with one fsync, and
//! only then acts and answers. Everything else brings it events. It knows nothing of plans or
//! money. Start at [`agent`], which builds the parts and owns the channels.

pub mod agent;
pub mod dataplane;
pub mod desired;
pub mod dictionaries;
pub mod journal;
pub mod metrics;
pub mod portal;
pub mod radius;
pub mod sessions;
pub mod settings;
pub mod uplink;
