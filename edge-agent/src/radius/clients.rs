//! Whose packet it is, and whether it is genuine (pure).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use radius::{
    AttrType, Code, Packet, Secret,
    authenticator::{self, MessageAuthenticator},
    dictionary::Dictionary,
};
use shared::{
    daemon::Chain,
    net::Prefix,
    wire::latest::desired::{Nas, Require},
};

use super::{
    drops::{self, DropReason},
    policy::Extras,
    standing::Standing,
};
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
    pub(super) fn new(desired: Current, dictionary: Arc<Dictionary>) -> Self {
        // Nobody was here before.
        let nobody = Clients { dictionary, ..Clients::default() };
        let clients = nobody.followed_by(&desired.load(), Instant::now());
        let latest = Mutex::new(Arc::new(clients));
        Self { desired, latest }
    }

    pub(super) fn current(&self) -> Arc<Clients> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let desired = self.desired.load();
        if !Arc::ptr_eq(&desired, &latest.snapshot) {
            *latest = Arc::new(latest.followed_by(&desired, Instant::now()));
        }
        Arc::clone(&latest)
    }

    /// Did anything change? Cheap when nothing did.
    pub(super) fn refresh(&self, clients: &mut Arc<Clients>) -> bool {
        let is_old = !Arc::ptr_eq(&self.desired.load(), &clients.snapshot);
        if is_old {
            *clients = self.current();
        }
        is_old
    }
}

/// The NASes of a snapshot, with the work on their secrets done.
#[derive(Debug, Default)]
pub(super) struct Clients {
    pub(super) snapshot: Arc<Snapshot>,
    dictionary: Arc<Dictionary>,
    /// By length of the prefix, longest first.
    by_length: Vec<(u8, HashMap<Prefix, Arc<Client>>)>,
    /// By the name in their certificate, in lower case.
    by_tls_name: HashMap<String, Arc<Client>>,
}

/// A RADIUS client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) nas: Arc<Nas>,
    pub(super) named: NasRef,
    pub(super) secret: Secret,
    pub(super) standing: Arc<Standing>,
    pub(super) extras: Extras,
    /// Its connection proves who it is.
    over_tls: bool,
    /// The same NAS with another secret that counts too, and until when if not always.
    also: Option<(Arc<Self>, Option<Instant>)>,
}

/// What a genuine request has to show for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Made by somebody who knows the secret.
    Secret,
    /// It came over a connection that proves who is at its other end.
    Connection,
    /// The NAS is excepted from proving it.
    Excepted,
}

/// What was sent before a secret changed may come after it. NASes ask again after longer.
const IN_FLIGHT: Duration = Duration::from_millis(500);

/// The secret of RADIUS over TLS, which protects what a secret did: RFC 6614 §2.3.
const RADSEC: &[u8] = b"radsec";

impl Clients {
    /// Those of `snapshot`; what is known of a NAS stays known.
    fn followed_by(&self, snapshot: &Arc<Snapshot>, now: Instant) -> Self {
        let dictionary = Arc::clone(&self.dictionary);
        let mut next = Self { snapshot: Arc::clone(snapshot), dictionary, ..Self::default() };
        // Longest prefix first, so that equal lengths are neighbours.
        for nas in snapshot.nas() {
            let client = Arc::new(Client::new(
                Arc::clone(nas),
                self.extras_of(nas),
                self.known_as(nas),
                now,
            ));
            if let Some(name) = &nas.tls_name {
                next.by_tls_name.insert(name.to_ascii_lowercase(), Arc::clone(&client));
            }
            let bits = nas.address.bits();
            match next.by_length.last_mut() {
                Some((last, group)) if *last == bits => {
                    group.insert(nas.address, client);
                }
                _ => next.by_length.push((bits, HashMap::from([(nas.address, client)]))),
            }
        }
        next
    }

    /// A word that is wrong keeps nobody off-line.
    fn extras_of(&self, nas: &Nas) -> Extras {
        Extras::of(&self.dictionary, nas).unwrap_or_else(|error| {
            tracing::error!(nas.name = %nas.name, error = %Chain(&error),
                "Access-Accepts to NAS {} go without what its `reply` says", nas.name);
            Extras::default()
        })
    }

    fn known_as(&self, nas: &Nas) -> Option<&Arc<Client>> {
        let bits = nas.address.bits();
        let (_, group) = self.by_length.iter().find(|(length, _)| *length == bits)?;
        group.get(&nas.address).filter(|known| known.nas.name == nas.name)
    }

    /// The longest prefix that contains `source`.
    pub(super) fn at(&self, source: IpAddr) -> Option<&Arc<Client>> {
        let source = source.to_canonical();
        self.by_length.iter().find_map(|(bits, group)| group.get(&Prefix::new(source, *bits)?))
    }

    /// Who has a certificate with these names and comes from `source`. A NAS whose name is known
    /// is known by nothing else.
    pub(super) fn at_with_certificate(
        &self,
        source: IpAddr,
        names: &[String],
    ) -> Result<&Arc<Client>, DropReason> {
        let by_name = || names.iter().find_map(|name| self.by_tls_name.get(name));
        match self.at(source) {
            Some(client) if client.nas.tls_name.is_none() => Ok(by_name().unwrap_or(client)),
            Some(_) => by_name().ok_or(DropReason::CertificateName),
            None => by_name().ok_or(DropReason::UnknownNas),
        }
    }

    /// May somebody come over TLS from `source`, as far as one knows before the certificate?
    pub(super) fn may_connect(&self, source: IpAddr) -> bool {
        !self.by_tls_name.is_empty() || self.at(source).is_some()
    }
}

impl Client {
    fn new(nas: Arc<Nas>, extras: Extras, known: Option<&Arc<Self>>, now: Instant) -> Self {
        let standing = known.map(|known| Arc::clone(&known.standing));
        let also = known.and_then(|known| {
            if known.nas.secret == nas.secret {
                return known.also.clone().filter(|(_, until)| until.is_some_and(|at| now <= at));
            }
            Some((Arc::new(known.copy()), Some(now + IN_FLIGHT)))
        });
        Self {
            named: NasRef { id: nas.id, name: Arc::from(nas.name.as_str()) },
            secret: Secret::new(nas.secret.expose().as_bytes()),
            standing: standing.unwrap_or_else(|| Arc::new(Standing::new(&nas.name))),
            nas,
            extras,
            over_tls: false,
            also,
        }
    }

    /// With its secret and no other.
    fn copy(&self) -> Self {
        Self {
            nas: Arc::clone(&self.nas),
            named: self.named.clone(),
            secret: self.secret.clone(),
            standing: Arc::clone(&self.standing),
            extras: self.extras.clone(),
            over_tls: self.over_tls,
            also: None,
        }
    }

    /// The same NAS at the other end of a TLS connection: its secret is the one of the RFC, or
    /// what it has over UDP.
    pub(super) fn over_tls(&self) -> Arc<Self> {
        let own = Arc::new(Self { over_tls: true, ..self.copy() });
        let secret = Secret::new(RADSEC);
        Arc::new(Self { secret, also: Some((own, None)), over_tls: true, ..self.copy() })
    }

    /// Does `request` come from somebody who knows the secret? With whom its reply is for: the
    /// client as it is, or as it was when the request was sent.
    pub(super) fn admit<'a>(
        self: &'a Arc<Self>,
        now: Instant,
        request: &Packet<'_>,
    ) -> Result<(&'a Arc<Self>, Proof), DropReason> {
        match (self.verify(request), &self.also) {
            (Ok(proof), _) => Ok((self, proof)),
            (
                Err(DropReason::BadAuthenticator | DropReason::BadMessageAuthenticator),
                Some((also, until)),
            ) if until.is_none_or(|until| now <= until) => Ok((also, also.verify(request)?)),
            (Err(why), _) => Err(why),
        }
    }

    fn verify(&self, request: &Packet<'_>) -> Result<Proof, DropReason> {
        if matches!(
            request.code(),
            Code::ACCOUNTING_REQUEST | Code::COA_REQUEST | Code::DISCONNECT_REQUEST
        ) {
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
            MessageAuthenticator::Absent => self.without_proof(request),
        }
    }

    fn without_proof(&self, request: &Packet<'_>) -> Result<Proof, DropReason> {
        // RFC 3579 §3.2 and RFC 5997 §3: in these it is never optional.
        let always = request.code() == Code::STATUS_SERVER || is_eap(request);
        let demanded = match self.nas.require_message_authenticator {
            Require::Yes => true,
            Require::Auto => self.standing.proves(),
            Require::No => false,
        };
        if always {
            Err(DropReason::NoMessageAuthenticator)
        } else if self.over_tls {
            Ok(Proof::Connection)
        } else if demanded {
            Err(DropReason::NoMessageAuthenticator)
        } else if request.attr(AttrType::PROXY_STATE).is_some() {
            // What a forger needs to steer the reply's hash.
            Err(DropReason::UnprovedProxyState)
        } else {
            Ok(Proof::Excepted)
        }
    }

    /// Remembers and says what a NAS does about its proofs.
    pub(super) fn take_note(&self, proof: Proof, request: &Packet<'_>) {
        match proof {
            Proof::Connection => {}
            Proof::Excepted => {
                if self.standing.is_unproved() {
                    drops::unproved(&self.named.name, self.nas.require_message_authenticator);
                }
            }
            Proof::Secret => {
                // A prefix is many devices, of which some may not; and with EAP every device does.
                let learns = self.nas.require_message_authenticator == Require::Auto
                    && !self.over_tls
                    && self.nas.address.is_one_host()
                    && request.code() == Code::ACCESS_REQUEST
                    && !is_eap(request);
                if learns && self.standing.has_proved() {
                    drops::proves(&self.named.name);
                }
            }
        }
    }
}

fn is_eap(request: &Packet<'_>) -> bool {
    request.attr(AttrType::EAP_MESSAGE).is_some()
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

    fn snapshot(nas: Vec<Nas>) -> Arc<Snapshot> {
        Arc::new(Snapshot::new(Desired { nas, ..Desired::default() }).unwrap())
    }

    fn clients(nas: Vec<Nas>) -> Clients {
        Clients::default().followed_by(&snapshot(nas), Instant::now())
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
        let got = client.admit(Instant::now(), &Packet::decode(bytes).unwrap());
        assert_eq!(got.map(|(_, proof)| proof), expected);
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

    fn auto(address: &str) -> Nas {
        Nas { require_message_authenticator: Require::Auto, ..nas("one", address, true) }
    }

    /// An Access-Request, with a Message-Authenticator or without.
    fn access(secret: &str, with_proof: bool, attrs: &[AttrType]) -> Vec<u8> {
        let mut buffer = [0; LEN_MAX];
        let mut writer = if with_proof {
            Writer::request(&mut buffer, Code::ACCESS_REQUEST, 1, [7; 16])
        } else {
            Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, 1, [7; 16])
        };
        for &kind in attrs {
            writer.attr(kind, b"x");
        }
        writer.sign(&Secret::new(secret.as_bytes())).unwrap().to_vec()
    }

    /// As the responder does it.
    fn ask(clients: &Clients, now: Instant, bytes: &[u8]) -> Result<Proof, DropReason> {
        let request = Packet::decode(bytes).unwrap();
        let client = clients.at(IpAddr::from([10, 0, 0, 1])).unwrap();
        let (client, proof) = client.admit(now, &request)?;
        client.take_note(proof, &request);
        Ok(proof)
    }

    #[test]
    fn a_nas_that_has_proved_a_request_has_to_prove_all() {
        let now = Instant::now();
        let (proved, bare) = (access("testing123", true, &[]), access("testing123", false, &[]));
        let clients = clients(vec![auto("10.0.0.1")]);
        assert_eq!(ask(&clients, now, &bare), Ok(Proof::Excepted));
        let proxied = access("testing123", false, &[AttrType::PROXY_STATE]);
        assert_eq!(ask(&clients, now, &proxied), Err(DropReason::UnprovedProxyState));
        // Whatever does not know the secret, and EAP, where all have to, teach nothing.
        let wrong = access("testing124", true, &[]);
        assert_eq!(ask(&clients, now, &wrong), Err(DropReason::BadMessageAuthenticator));
        let eap = access("testing123", true, &[AttrType::EAP_MESSAGE]);
        assert_eq!(ask(&clients, now, &eap), Ok(Proof::Secret));
        assert_eq!(ask(&clients, now, &bare), Ok(Proof::Excepted));
        assert_eq!(ask(&clients, now, &proved), Ok(Proof::Secret));
        assert_eq!(ask(&clients, now, &bare), Err(DropReason::NoMessageAuthenticator));
        // It stays known when the desired state changes, but not of another NAS.
        let same = clients.followed_by(&snapshot(vec![auto("10.0.0.1"), auto("10.0.0.2")]), now);
        assert_eq!(ask(&same, now, &bare), Err(DropReason::NoMessageAuthenticator));
        let other = Nas { name: "other".to_owned(), ..auto("10.0.0.1") };
        let other = clients.followed_by(&snapshot(vec![other]), now);
        assert_eq!(ask(&other, now, &bare), Ok(Proof::Excepted));
    }

    #[test]
    fn what_one_device_of_a_prefix_does_is_not_demanded_of_all() {
        let now = Instant::now();
        let clients = clients(vec![auto("10.0.0.0/24")]);
        assert_eq!(ask(&clients, now, &access("testing123", true, &[])), Ok(Proof::Secret));
        assert_eq!(ask(&clients, now, &access("testing123", false, &[])), Ok(Proof::Excepted));
    }

    #[test]
    fn a_new_secret_counts_at_once_and_the_old_one_for_what_is_under_way() {
        let t0 = Instant::now();
        let (old, new) = (access("testing123", true, &[]), access("karibu", true, &[]));
        let clients = clients(vec![nas("one", "10.0.0.1", true)]);
        assert_eq!(ask(&clients, t0, &new), Err(DropReason::BadMessageAuthenticator));
        let secret = Text::new("karibu".to_owned());
        let changed = Nas { secret, ..nas("one", "10.0.0.1", true) };
        let next = clients.followed_by(&snapshot(vec![changed.clone()]), t0);
        assert_eq!(ask(&next, t0, &new), Ok(Proof::Secret));
        assert_eq!(ask(&next, t0 + IN_FLIGHT, &old), Ok(Proof::Secret));
        // A change of something else ends it no sooner.
        let again = next.followed_by(&snapshot(vec![changed.clone()]), t0);
        assert_eq!(ask(&again, t0 + IN_FLIGHT, &old), Ok(Proof::Secret));
        let later = t0 + IN_FLIGHT + Duration::from_millis(1);
        assert_eq!(ask(&again, later, &old), Err(DropReason::BadMessageAuthenticator));
        assert_eq!(ask(&next, later, &old), Err(DropReason::BadMessageAuthenticator));
        // And does not bring it back.
        let after = next.followed_by(&snapshot(vec![changed]), later);
        assert_eq!(ask(&after, later, &old), Err(DropReason::BadMessageAuthenticator));
        // Another NAS at the address has never had it.
        let secret = Text::new("karibu".to_owned());
        let other = Nas { secret, ..nas("other", "10.0.0.1", true) };
        let other = clients.followed_by(&snapshot(vec![other]), t0);
        assert_eq!(ask(&other, t0, &old), Err(DropReason::BadMessageAuthenticator));
    }

    #[test]
    fn over_tls_a_nas_is_known_by_its_certificate_or_its_address() {
        let over_tls = |name: &str, address: &str, tls_name: &str| Nas {
            tls_name: Some(tls_name.to_owned()),
            ..nas(name, address, true)
        };
        let some = clients(vec![
            nas("bare", "10.0.0.1", true),
            over_tls("named", "10.0.0.2", "NAS.example"),
            nas("rest", "10.0.0.0/8", true),
        ]);
        for (source, names, expected) in [
            ([10, 0, 0, 1], &[][..], Ok("bare")),
            ([10, 0, 0, 1], &["stranger.example"], Ok("bare")),
            ([10, 0, 0, 1], &["nas.example"], Ok("named")),
            ([10, 0, 0, 2], &["x.example", "nas.example"], Ok("named")),
            ([10, 0, 0, 2], &["x.example"], Err(DropReason::CertificateName)),
            ([192, 0, 2, 1], &["nas.example"], Ok("named")),
            ([192, 0, 2, 1], &["x.example"], Err(DropReason::UnknownNas)),
        ] {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            let found = some.at_with_certificate(IpAddr::from(source), &names);
            assert_eq!(found.map(|client| &*client.named.name), expected, "{source:?} {names:?}");
        }
        let stranger = IpAddr::from([192, 0, 2, 1]);
        assert!(some.may_connect(stranger));
        assert!(!clients(vec![nas("bare", "10.0.0.1", true)]).may_connect(stranger));
    }

    #[test]
    fn over_tls_the_secret_is_the_one_of_the_rfc_or_its_own_and_the_connection_is_proof() {
        let clients = clients(vec![nas("one", "10.0.0.1", true)]);
        let client = clients.at(IpAddr::from([10, 0, 0, 1])).unwrap().over_tls();
        let late = Instant::now() + Duration::from_hours(1);
        let admit = |bytes: &[u8]| {
            client.admit(late, &Packet::decode(bytes).unwrap()).map(|(_, proof)| proof)
        };
        assert_eq!(admit(&access("radsec", true, &[])), Ok(Proof::Secret));
        assert_eq!(admit(&access("testing123", true, &[])), Ok(Proof::Secret));
        let wrong = admit(&access("other", true, &[]));
        assert_eq!(wrong, Err(DropReason::BadMessageAuthenticator));
        assert_eq!(
            admit(&access("radsec", false, &[AttrType::PROXY_STATE])),
            Ok(Proof::Connection)
        );
        let eap = admit(&access("radsec", false, &[AttrType::EAP_MESSAGE]));
        assert_eq!(eap, Err(DropReason::NoMessageAuthenticator));
    }
}
