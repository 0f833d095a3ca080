//! What all ways in share.

use std::{
    fs,
    sync::{Arc, mpsc::SyncSender},
};

use radius::dictionary::Dictionary;

use super::{clients::Roster, drops::Tally, eap::Eap, later::Later, random::Random};
use crate::{
    desired,
    sessions::{event::Event, leases::Leases},
};

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) tally: Tally,
    pub(super) roster: Roster,
    /// To the sessions.
    pub(super) events: SyncSender<Event>,
    pub(super) later: Later,
    pub(super) random: Random,
    pub(super) eap: Eap,
    pub(super) leases: Arc<Leases>,
    /// This host, for those who name a NAS.
    pub(super) hostname: String,
}

impl Hub {
    pub(super) fn new(
        desired: &desired::Current,
        events: &SyncSender<Event>,
        leases: &Arc<Leases>,
        eap: Eap,
        dictionary: Arc<Dictionary>,
    ) -> Self {
        Self {
            tally: Tally::new(),
            roster: Roster::new(Arc::clone(desired), dictionary),
            events: events.clone(),
            later: Later::default(),
            leases: Arc::clone(leases),
            hostname: fs::read_to_string(HOSTNAME).unwrap_or_default().trim().to_owned(),
            random: Random::new(),
            eap,
        }
    }
}

const HOSTNAME: &str = "/proc/sys/kernel/hostname";
