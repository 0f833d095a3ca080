//! Whose packet it is, and whether it is genuine (pure).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use radius::{
    AttrType, Code, Packet, Secret,
    authenticator::{self, MessageAuthenticator},
};
use shared::{
    net::Prefix,
    wire::latest::desired::{Nas, Require},
};

use super::drops::{DropReason, Tally};
use crate::{
    desired::{Current, Snapshot},
    sessions::event::NasRef,
};

/// The clients of the desired state in force. A change of it is seen at the next packet.
#[derive(Debug)]
pub(super) struct Roster {
    desired: Current,
    latest: Mutex<Arc<Clients>>,
}

impl Roster {
    pub(super) fn new(desired: Current) -> Self {
        let latest = Mutex::new(Arc::new(Clients::of(desired.load_full())));
        Self { desired, latest }
    }

    pub(super) fn current(&self) -> Arc<Clients> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let desired = self.desired.load();
        if !Arc::ptr_eq(&desired, &latest.snapshot) {
            *latest = Arc::new(Clients::of(Arc::clone(&desired)));
        }
        Arc::clone(&latest)
    }

    /// Cheap when nothing has changed.
    pub(super) fn refresh(&self, clients: &mut Arc<Clients>) {
        if !Arc::ptr_eq(&self.desired.load(), &clients.snapshot) {
            *clients = self.current();
        }
    }
}

/// The NASes of a snapshot, with the work on their secrets done.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) snapshot: Arc<Snapshot>,
    /// By length of the prefix, longest first.
    by_length: Vec<(u8, HashMap<Prefix, Arc<Client>>)>,
}

/// A RADIUS client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) nas: Arc<Nas>,
    pub(super) named: NasRef,
    pub(super) secret: Secret,
    /// It was said that its requests prove nothing.
    said_unproved: AtomicBool,
}

/// What a genuine request has to show for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Made by somebody who knows the secret.
    Secret,
    /// The NAS is excepted from proving it.
    Excepted,
}

impl Clients {
    pub(super) fn of(snapshot: Arc<Snapshot>) -> Self {
        let mut by_length: Vec<(u8, HashMap<_, _>)> = Vec::new();
        // Longest prefix first, so that equal lengths are neighbours.
        for nas in snapshot.nas() {
            let bits = nas.address.bits();
            let client = Arc::new(Client {
                named: NasRef { id: nas.id, name: Arc::from(nas.name.as_str()) },
                secret: Secret::new(nas.secret.expose().as_bytes()),
                nas: Arc::clone(nas),
                said_unproved: AtomicBool::new(false),
            });
            match by_length.last_mut() {
                Some((last, group)) if *last == bits => {
                    group.insert(nas.address, client);
                }
                _ => by_length.push((bits, HashMap::from([(nas.address, client)]))),
            }
        }
        Self { snapshot, by_length }
    }

    /// The longest prefix that contains `source`.
    pub(super) fn at(&self, source: IpAddr) -> Option<&Arc<Client>> {
        let source = source.to_canonical();
        self.by_length.iter().find_map(|(bits, group)| group.get(&Prefix::new(source, *bits)?))
    }
}

impl Client {
    /// Does `request` come from somebody who knows the secret?
    pub(super) fn verify(&self, request: &Packet<'_>) -> Result<Proof, DropReason> {
        if request.code() == Code::ACCOUNTING_REQUEST {
            authenticator::verify_accounting(request, &self.secret)
                .map_err(|_| DropReason::BadAuthenticator)?;
            // Its authenticator covers all of it; a second proof is not asked for.
            return match authenticator::message_authenticator(request, &self.secret) {
                MessageAuthenticator::Valid | MessageAuthenticator::Absent => Ok(Proof::Secret),
                MessageAuthenticator::Invalid => Err(DropReason::BadMessageAuthenticator),
            };
        }
        match authenticator::message_authenticator(request, &self.secret) {
            MessageAuthenticator::Valid => Ok(Proof::Secret),
            MessageAuthenticator::Invalid => Err(DropReason::BadMessageAuthenticator),
            MessageAuthenticator::Absent => {
                // RFC 3579 §3.2 and RFC 5997 §3: in these it is never optional.
                let always = request.code() == Code::STATUS_SERVER
                    || request.attr(AttrType::EAP_MESSAGE).is_some();
                let demanded = match self.nas.require_message_authenticator {
                    Require::Yes | Require::Auto => true,
                    Require::No => false,
                };
                if always || demanded {
                    Err(DropReason::NoMessageAuthenticator)
                } else if request.attr(AttrType::PROXY_STATE).is_some() {
                    // What a forger needs to steer the reply's hash.
                    Err(DropReason::UnprovedProxyState)
                } else {
                    Ok(Proof::Excepted)
                }
            }
        }
    }

    /// Once: this NAS is excepted, and its requests prove nothing.
    pub(super) fn say_unproved(&self, tally: &Tally) {
        if !self.said_unproved.load(Ordering::Relaxed)
            && !self.said_unproved.swap(true, Ordering::Relaxed)
        {
            tally.unproved(&self.named.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use radius::{LEN_MAX, Writer};
    use shared::{secret::Secret as Text, wire::latest::desired::Desired};

    use super::*;

    fn nas(name: &str, address: &str, require: bool) -> Nas {
        let secret = Text::new("testing123".to_owned());
        let nas = Nas::new(name.to_owned(), address.parse().unwrap(), secret);
        let require_message_authenticator = if require { Require::Yes } else { Require::No };
        Nas { require_message_authenticator, ..nas }
    }

    fn clients(nas: Vec<Nas>) -> Clients {
        Clients::of(Arc::new(Snapshot::new(Desired { nas, ..Desired::default() }).unwrap()))
    }

    #[test]
    fn the_longest_prefix_wins() {
        let clients = clients(vec![
            nas("all", "0.0.0.0/0", true),
            nas("site", "10.1.0.0/16", true),
            nas("one", "10.1.0.7", true),
            nas("other", "10.1.0.8", true),
            nas("six", "2001:db8::/32", true),
        ]);
        for (source, name) in [
            ("10.1.0.7", Some("one")),
            ("10.1.0.8", Some("other")),
            ("::ffff:10.1.0.7", Some("one")),
            ("10.1.0.9", Some("site")),
            ("192.0.2.1", Some("all")),
            ("2001:db8::1", Some("six")),
            ("2001:db9::1", None),
        ] {
            let found = clients.at(source.parse().unwrap());
            assert_eq!(found.map(|client| &*client.named.name), name, "{source}");
        }
    }

    /// What a NAS's request is worth. `attrs` are added behind the Message-Authenticator.
    #[track_caller]
    fn check(
        (code, secret, with_proof): (Code, &str, bool),
        attrs: &[AttrType],
        required: bool,
        expected: Result<Proof, DropReason>,
    ) {
        let clients = clients(vec![nas("one", "10.0.0.1", required)]);
        let client = clients.at(IpAddr::from([10, 0, 0, 1])).unwrap();
        let mut buffer = [0; LEN_MAX];
        let mut writer = match (code, with_proof) {
            (Code::ACCOUNTING_REQUEST, _) => Writer::accounting_request(&mut buffer, code, 1),
            (_, true) => Writer::request(&mut buffer, code, 1, [7; 16]),
            (_, false) => Writer::unsigned_request(&mut buffer, code, 1, [7; 16]),
        };
        for &kind in attrs {
            writer.attr(kind, b"0123456789abcdef");
        }
        let bytes = writer.sign(&Secret::new(secret.as_bytes())).unwrap();
        assert_eq!(client.verify(&Packet::decode(bytes).unwrap()), expected);
    }

    #[test]
    fn a_request_proves_that_its_nas_knows_the_secret() {
        use DropReason as Why;
        let (access, acct, status) =
            (Code::ACCESS_REQUEST, Code::ACCOUNTING_REQUEST, Code::STATUS_SERVER);
        let (right, wrong) = ("testing123", "testing124");
        check((access, right, true), &[], true, Ok(Proof::Secret));
        check((access, wrong, true), &[], true, Err(Why::BadMessageAuthenticator));
        check((access, wrong, true), &[], false, Err(Why::BadMessageAuthenticator));
        check((access, right, false), &[], true, Err(Why::NoMessageAuthenticator));
        check((access, right, false), &[], false, Ok(Proof::Excepted));
        let proxied = &[AttrType::PROXY_STATE];
        check((access, right, false), proxied, false, Err(Why::UnprovedProxyState));
        check((access, right, true), proxied, false, Ok(Proof::Secret));
        let eap = &[AttrType::EAP_MESSAGE];
        check((access, right, false), eap, false, Err(Why::NoMessageAuthenticator));
        check((status, right, true), &[], true, Ok(Proof::Secret));
        check((status, right, false), &[], false, Err(Why::NoMessageAuthenticator));
        check((acct, right, false), &[], true, Ok(Proof::Secret));
        check((acct, wrong, false), &[], true, Err(Why::BadAuthenticator));
        let forged = &[AttrType::MESSAGE_AUTHENTICATOR];
        check((acct, right, false), forged, true, Err(Why::BadMessageAuthenticator));
    }
}
