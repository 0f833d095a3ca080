//! What all ways in share.

use std::sync::{Arc, mpsc::SyncSender};

use super::{clients::Roster, delay::Rejects, drops::Tally};
use crate::{desired, sessions::event::Event};

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) tally: Tally,
    pub(super) roster: Roster,
    /// To the sessions.
    pub(super) events: SyncSender<Event>,
    pub(super) rejects: Rejects,
}

impl Hub {
    pub(super) fn new(desired: &desired::Current, events: &SyncSender<Event>) -> Self {
        Self {
            tally: Tally::new(),
            roster: Roster::new(Arc::clone(desired)),
            events: events.clone(),
            rejects: Rejects::default(),
        }
    }
}
