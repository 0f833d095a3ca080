//! The state that is wanted here, indexed for those who look things up in it.
//!
//! A [`Snapshot`] is immutable; a change is a new one, swapped as a whole. It comes from a file
//! ([`file`]) or from the controller, whose last good copy is kept on disk ([`disk`]).

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use shared::{
    net::Mac,
    rate::Shape,
    wire::latest::desired::{Desired, Garden, Nas, Subscriber},
};

pub mod disk;
pub mod file;

/// The snapshot in force; readers load it for each packet.
pub type Current = Arc<ArcSwap<Snapshot>>;

#[derive(Debug, Default)]
pub struct Snapshot {
    pub revision: u64,
    /// Longest prefix first.
    nas: Vec<Arc<Nas>>,
    by_username: HashMap<String, Arc<Subscriber>>,
    by_mac: HashMap<Mac, Arc<Subscriber>>,
    counts_devices: bool,
    realms: Vec<String>,
    site: Option<Shape>,
    garden: Garden,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error("two NASes have the address {address}: `{first}` and `{second}`")]
    NasTwice { address: shared::net::Prefix, first: String, second: String },
    #[error("two NASes have the tls_name `{name}`: `{first}` and `{second}`")]
    TlsNameTwice { name: String, first: String, second: String },
    #[error("NAS `{0}` has an empty secret")]
    NoSecret(String),
    #[error("two subscribers have the username `{0}`")]
    UsernameTwice(String),
    #[error("device {mac} belongs to two subscribers: `{first}` and `{second}`")]
    MacTwice { mac: Mac, first: String, second: String },
    #[error("subscriber `{0}` has neither password, nt_hash nor macs, so nobody could log in")]
    NoCredential(String),
    #[error("subscriber `{username}`: {key} is longer than the {most} octets that RADIUS can say")]
    TooLong { username: String, key: &'static str, most: usize },
    #[error("realms: `{0}` should be a name without space, @ and \\")]
    Realm(String),
    #[error("garden.names: `{0}` should be a name like example.org; what is below it goes with it")]
    GardenName(String),
    #[error("subscriber `{0}`: steps should go up, each with more after_bytes than the one before")]
    Steps(String),
    #[error("subscriber `{0}`: nt_hash should be 32 hexadecimal digits")]
    NtHash(String),
}

impl Snapshot {
    /// Refuses a state that contradicts itself: the one in force stays.
    pub fn new(desired: Desired) -> Result<Self, Contradiction> {
        let mut nas: Vec<Arc<Nas>> = Vec::with_capacity(desired.nas.len());
        for one in desired.nas {
            if one.secret.expose().is_empty() {
                return Err(Contradiction::NoSecret(one.name));
            }
            if let Some(other) = nas.iter().find(|other| other.address == one.address) {
                return Err(Contradiction::NasTwice {
                    address: one.address,
                    first: other.name.clone(),
                    second: one.name,
                });
            }
            if let Some(name) = &one.tls_name
                && let Some(other) = nas.iter().find(|other| {
                    other.tls_name.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(name))
                })
            {
                return Err(Contradiction::TlsNameTwice {
                    name: name.clone(),
                    first: other.name.clone(),
                    second: one.name,
                });
            }
            nas.push(Arc::new(one));
        }
        nas.sort_by_key(|nas| std::cmp::Reverse(nas.address.bits()));

        let mut by_username = HashMap::with_capacity(desired.subscribers.len());
        let mut by_mac: HashMap<Mac, Arc<Subscriber>> = HashMap::new();
        let counts_devices = desired.subscribers.iter().any(|one| one.max_sessions.is_some());
        for subscriber in desired.subscribers {
            let name = subscriber.username.clone();
            check_lengths(&subscriber)?;
            if let Some(hash) = &subscriber.nt_hash {
                let hash = hash.expose();
                if hash.len() != 32 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(Contradiction::NtHash(name));
                }
            }
            if subscriber.password.is_none()
                && subscriber.nt_hash.is_none()
                && subscriber.macs.is_empty()
            {
                return Err(Contradiction::NoCredential(name));
            }
            let subscriber = Arc::new(subscriber);
            for &mac in &subscriber.macs {
                if let Some(other) = by_mac.insert(mac, Arc::clone(&subscriber)) {
                    let first = other.username.clone();
                    return Err(Contradiction::MacTwice { mac, first, second: name });
                }
            }
            if by_username.insert(name.clone(), subscriber).is_some() {
                return Err(Contradiction::UsernameTwice(name));
            }
        }
        let realms = desired.realms;
        if let Some(realm) = realms.iter().find(|realm| !is_realm(realm)) {
            return Err(Contradiction::Realm(realm.clone()));
        }
        let garden = desired.garden;
        for name in &garden.names {
            let fits = !name.is_empty() && name.len() <= NAME_LEN_MAX && name.contains('.');
            if !fits
                || name.contains(|letter: char| letter.is_whitespace() || "*/:@".contains(letter))
            {
                return Err(Contradiction::GardenName(name.clone()));
            }
        }
        for subscriber in by_username.values() {
            if !subscriber.steps.is_sorted_by(|one, next| one.after_bytes < next.after_bytes) {
                return Err(Contradiction::Steps(subscriber.username.clone()));
            }
        }
        Ok(Self {
            revision: desired.revision,
            nas,
            by_username,
            by_mac,
            counts_devices,
            realms,
            site: desired.site,
            garden,
        })
    }

    /// What all sessions together may move.
    pub const fn site(&self) -> Option<Shape> {
        self.site
    }

    /// What is open to everybody.
    pub const fn garden(&self) -> &Garden {
        &self.garden
    }

    /// The NAS that a packet from `address` belongs to: the longest prefix that contains it.
    pub fn nas_at(&self, address: IpAddr) -> Option<&Arc<Nas>> {
        self.nas.iter().find(|nas| nas.address.contains(address))
    }

    pub fn nas(&self) -> &[Arc<Nas>] {
        &self.nas
    }

    pub fn subscriber(&self, username: &str) -> Option<&Arc<Subscriber>> {
        self.by_username.get(username)
    }

    /// Who logs in as `identity`: a username, alone or with one of the provider's realms.
    pub fn identified(&self, identity: &str) -> Option<&Arc<Subscriber>> {
        self.subscriber(identity)
            .or_else(|| self.subscriber(without_realm(identity, &self.realms)?))
    }

    /// Whose device this is, for MAC authentication.
    pub fn owner_of(&self, mac: Mac) -> Option<&Arc<Subscriber>> {
        self.by_mac.get(&mac)
    }

    /// Is there a subscriber who may have so many devices on-line and no more?
    pub const fn counts_devices(&self) -> bool {
        self.counts_devices
    }

    pub fn subscribers(&self) -> impl Iterator<Item = &Arc<Subscriber>> {
        self.by_username.values()
    }

    /// When the next subscriber's time is over.
    pub fn next_end_ms(&self) -> Option<u64> {
        self.by_username.values().filter_map(|one| one.until_ms).min()
    }

    /// The same without those whose time is over.
    #[must_use]
    pub fn without_ended(&self, now_ms: u64) -> Self {
        let lasts = |one: &Subscriber| one.until_ms.is_none_or(|until| now_ms < until);
        let by_username = self.by_username.iter().filter(|(_, one)| lasts(one));
        let by_mac = self.by_mac.iter().filter(|(_, one)| lasts(one));
        Self {
            revision: self.revision,
            nas: self.nas.clone(),
            by_username: by_username.map(|(name, one)| (name.clone(), Arc::clone(one))).collect(),
            by_mac: by_mac.map(|(mac, one)| (*mac, Arc::clone(one))).collect(),
            counts_devices: self.counts_devices,
            realms: self.realms.clone(),
            site: self.site,
            garden: self.garden.clone(),
        }
    }
}

/// What does not fit into its attribute would keep the whole Access-Accept from being written.
fn check_lengths(subscriber: &Subscriber) -> Result<(), Contradiction> {
    let Subscriber { username, pool, filter, policy, .. } = subscriber;
    for (key, text, most) in [
        ("username", Some(username), radius::attr::VALUE_LEN_MAX),
        ("pool", pool.as_ref(), radius::attr::VALUE_LEN_MAX),
        ("filter", filter.as_ref(), radius::attr::VALUE_LEN_MAX),
        ("policy", policy.as_ref(), POLICY_LEN_MAX),
    ] {
        if text.is_some_and(|text| text.len() > most) {
            return Err(Contradiction::TooLong { username: username.clone(), key, most });
        }
    }
    Ok(())
}

/// It stands inside a vendor's attribute, behind the longest of the prefixes there.
const POLICY_LEN_MAX: usize = 200;

/// RFC 1035 §2.3.4.
const NAME_LEN_MAX: usize = 253;

/// `user@realm` (RFC 7542) or `REALM\user` (Windows) with a realm of ours.
fn without_realm<'a>(identity: &'a str, realms: &[String]) -> Option<&'a str> {
    let windows = || identity.split_once('\\').map(|(realm, user)| (user, realm));
    let (user, realm) = identity.rsplit_once('@').or_else(windows)?;
    realms.iter().any(|ours| ours.eq_ignore_ascii_case(realm)).then_some(user)
}

fn is_realm(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(|letter: char| letter.is_whitespace() || "@\\".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_of_ours_is_taken_off_and_another_is_not() {
        let ours = ["wisp.example".to_owned(), "OFFICE".to_owned()];
        for (identity, user) in [
            ("amina@wisp.example", Some("amina")),
            ("amina@WISP.Example", Some("amina")),
            ("office\\amina", Some("amina")),
            ("a@b@wisp.example", Some("a@b")),
            ("@wisp.example", Some("")),
            ("amina@wisp.example.org", None),
            ("amina@", None),
            ("amina", None),
            ("home\\amina", None),
        ] {
            assert_eq!(without_realm(identity, &ours), user, "{identity}");
        }
    }

    #[test]
    fn whose_time_is_over_is_not_there() {
        let desired: Desired = serde_json::from_str(
            r#"{ "revision": 7, "nas": [], "subscriber": [
                { "username": "guest", "macs": ["02:00:00:00:00:01"], "down_kbps": 1, "up_kbps": 1,
                  "until_ms": 1000 },
                { "username": "amina", "password": "p", "down_kbps": 1, "up_kbps": 1 } ] }"#,
        )
        .unwrap();
        let snapshot = Snapshot::new(desired).unwrap();
        assert_eq!(snapshot.next_end_ms(), Some(1000));
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let before = snapshot.without_ended(999);
        assert!(before.owner_of(mac).is_some() && before.subscriber("guest").is_some());
        let after = snapshot.without_ended(1000);
        assert!(after.owner_of(mac).is_none() && after.subscriber("guest").is_none());
        assert!(after.subscriber("amina").is_some());
        assert_eq!((after.revision, after.next_end_ms()), (7, None));
    }

    #[test]
    fn a_realm_is_one_word() {
        assert!(is_realm("wisp.example"));
        for text in ["", "a b", "a@b", "a\\b"] {
            assert!(!is_realm(text), "{text}");
        }
    }
}
