//! The names of the desired state, as EAP asks for them (pure).

use std::sync::Arc;

use radius::eap::{Credential, Directory};
use shared::{net::Mac, secret::Secret, wire::latest::desired::Subscriber};

use crate::{
    desired::Snapshot,
    radius::auth::{self, By},
};

/// What is known at one packet.
pub(super) struct Known<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// The device, as the NAS says.
    pub(super) calling: Option<Mac>,
}

/// Who this is: a subscriber, or the owner of the device that calls itself by its MAC address.
pub(super) fn whose<'a>(
    snapshot: &'a Snapshot,
    identity: &str,
    calling: Option<Mac>,
) -> Option<(&'a Arc<Subscriber>, By)> {
    if let Some(subscriber) = snapshot.identified(identity) {
        return Some((subscriber, By::Password));
    }
    let device = auth::device(identity, calling)?;
    snapshot.owner_of(device).map(|owner| (owner, By::Device))
}

impl Directory for Known<'_> {
    fn credential<'a>(&'a self, identity: &'a str) -> Option<Credential<'a>> {
        let (subscriber, by) = whose(self.snapshot, identity, self.calling)?;
        Some(match by {
            By::Password => Credential {
                password: subscriber.password.as_ref().map(Secret::expose),
                nt_hash: auth::nt_hash_of(subscriber),
            },
            // A switch that logs its devices in (by EAP-MD5) says the address twice.
            By::Device => Credential { password: Some(identity), nt_hash: None },
        })
    }

    fn holder(&self, names: &[String], claimed: &str) -> Option<String> {
        let is_known = |name: &&str| self.snapshot.identified(name).is_some();
        let names = || names.iter().map(String::as_str);
        let claimed = names().find(|&name| name == claimed).filter(is_known);
        claimed.or_else(|| names().find(is_known)).map(ToOwned::to_owned)
    }
}
