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

#[cfg(test)]
mod tests {
    use shared::wire::latest::desired::Desired;

    use super::*;

    fn snapshot() -> Snapshot {
        let desired: Desired = toml::from_str(
            r#"
            realms = ["wisp.example"]
            [[subscriber]]
            username = "amina"
            password = "simba"
            macs = ["02:00:00:00:00:01"]
            down_kbps = 1
            up_kbps = 1
            [[subscriber]]
            username = "juma"
            nt_hash = "44ebba8d5312b8d611474411f56989ae"
            down_kbps = 1
            up_kbps = 1
            "#,
        )
        .unwrap();
        Snapshot::new(desired).unwrap()
    }

    #[test]
    fn a_name_is_somebodys_with_a_realm_of_ours_or_as_its_device() {
        let snapshot = snapshot();
        let mac = |last: u8| format!("02:00:00:00:00:0{last}");
        let known = |identity: &str, calling: Option<&str>| {
            let calling = calling.map(|text| text.parse().unwrap());
            let known = Known { snapshot: &snapshot, calling };
            let found = known.credential(identity)?;
            let (password, hash) = (found.password.map(ToOwned::to_owned), found.nt_hash.is_some());
            Some((password, hash))
        };
        assert_eq!(known("amina", None), Some((Some("simba".to_owned()), false)));
        assert_eq!(known("amina@wisp.example", None), known("amina", None));
        assert_eq!(known("juma", None), Some((None, true)));
        assert_eq!(known("amina@other.example", None), None);
        assert_eq!(known(&mac(1), None), Some((Some(mac(1)), false)));
        assert_eq!(known(&mac(1), Some(&mac(1))), Some((Some(mac(1)), false)));
        assert_eq!(known(&mac(1), Some(&mac(2))), None);
        assert_eq!(known(&mac(2), Some(&mac(2))), None);
    }

    #[test]
    fn a_certificate_is_of_whom_the_peer_claims_or_of_the_first_it_names() {
        let snapshot = snapshot();
        let known = Known { snapshot: &snapshot, calling: None };
        let holder = |names: &[&str], claimed: &str| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            known.holder(&names, claimed)
        };
        let both = ["host.example", "juma", "amina@wisp.example"];
        assert_eq!(holder(&both, "anonymous").as_deref(), Some("juma"));
        assert_eq!(holder(&both, "amina@wisp.example").as_deref(), Some("amina@wisp.example"));
        // A claim alone is nothing.
        assert_eq!(holder(&both, "amina").as_deref(), Some("juma"));
        assert_eq!(holder(&["host.example"], "amina"), None);
        assert_eq!(holder(&[], "amina"), None);
    }
}
