//! Whole EAP conversations in memory, against a small peer on a rustls client.

#![cfg(feature = "tls")]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
};

use proptest::prelude::*;
use radius::{
    eap::{
        Around, Code, Conversation, Credential, Directory, Keys, Kind, Methods, Packet, Reason,
        Step,
        mschapv2::Response as MsResponse,
        packet::encode,
        tls::{
            Files, Options, Tls, Version,
            avp::{self, Avp},
            tunnel::Fragment,
        },
    },
    mschap,
    password::{chap_answer, nt_hash},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ED25519, RevokedCertParams, SanType,
    date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore,
    client::{ClientSessionMemoryCache, Resumption},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};

const NOW: u64 = 1_800_000_000;
const LEN_MAX: usize = 1020;
/// Of the certificates of peers.
const SERIAL: u64 = 4711;

/// amina has a password, windows a hash of it, and amina's certificate says amina@example.
struct World {
    methods: Arc<Methods>,
    amina: &'static str,
    seed: u8,
    now: u64,
    ca: CertifiedIssuer<'static, KeyPair>,
    len_max: usize,
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Directory for World {
    fn credential<'a>(&'a self, identity: &'a str) -> Option<Credential<'a>> {
        match identity {
            "amina" => Some(Credential { password: Some(self.amina), nt_hash: None }),
            "windows" => Some(Credential { password: None, nt_hash: Some(nt_hash("simba")) }),
            _ => None,
        }
    }

    fn holder(&self, names: &[String], _claimed: &str) -> Option<String> {
        names.iter().any(|name| name == "amina@example").then(|| "amina".to_owned())
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for a mail address that ends in this year.
fn bearer(ca: &CertifiedIssuer<'_, KeyPair>, mail: &str, year: i32) -> (String, KeyPair) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, mail);
    params.subject_alt_names = vec![SanType::Rfc822Name(mail.try_into().unwrap())];
    params.not_after = date_time_ymd(year, 1, 1);
    params.serial_number = Some(SERIAL.into());
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, ca).unwrap().pem(), key)
}

impl World {
    fn new() -> Self {
        Self::with(Options::default(), None)
    }

    fn with(options: Options, order: Option<&[Kind]>) -> Self {
        let ca = authority("KenNet test authority");
        let params = CertificateParams::new(vec!["radius.example".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        let chain = certificate.pem() + &ca.pem();
        let (chain, key) = (chain.into_bytes(), key.serialize_pem().into_bytes());
        let mut world = Self {
            methods: Arc::new(Methods::simple(None)),
            amina: "simba",
            seed: 0,
            now: NOW,
            ca,
            len_max: LEN_MAX,
            chain,
            key,
        };
        world.load(None, options, order);
        world
    }

    /// With what the authority has revoked.
    fn load(&mut self, client_crl: Option<&str>, options: Options, order: Option<&[Kind]>) {
        let authority = self.ca.pem();
        let files = Files {
            certificate: &self.chain,
            key: &self.key,
            client_ca: Some(authority.as_bytes()),
            client_crl: client_crl.map(str::as_bytes),
        };
        self.methods = Arc::new(Methods::with_tls(Tls::new(files, options).unwrap(), order));
    }

    fn step(&mut self, conversation: &mut Conversation, message: &[u8]) -> Step {
        let seed = &mut self.seed.wrapping_add(1);
        let mut random = |octets: &mut [u8]| {
            for octet in octets {
                *seed = seed.wrapping_mul(5).wrapping_add(17);
                *octet = *seed;
            }
        };
        let around = &mut Around {
            directory: self,
            random: &mut random,
            now: self.now,
            len_max: self.len_max,
        };
        let step = conversation.step(message, around);
        self.seed = self.seed.wrapping_add(7);
        step
    }
}

/// What the peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Md5,
    Mschapv2,
    Tls,
    Peap,
    TtlsPap,
    TtlsChap,
    TtlsMschap,
    TtlsMschapv2,
    TtlsEapMschapv2,
    TtlsEapMd5,
    PeapMd5,
}

use How as H;

impl How {
    fn kind(self) -> Kind {
        match self {
            H::Md5 => Kind::MD5,
            H::Mschapv2 => Kind::MSCHAPV2,
            H::Tls => Kind::TLS,
            H::Peap | H::PeapMd5 => Kind::PEAP,
            H::TtlsPap
            | H::TtlsChap
            | H::TtlsMschap
            | H::TtlsMschapv2
            | H::TtlsEapMschapv2
            | H::TtlsEapMd5 => Kind::TTLS,
        }
    }

    fn inner(self) -> Kind {
        if matches!(self, H::TtlsEapMd5 | H::PeapMd5 | H::Md5) { Kind::MD5 } else { Kind::MSCHAPV2 }
    }
}

const TUNNELLED: [How; 9] = [
    H::Tls,
    H::Peap,
    H::PeapMd5,
    H::TtlsPap,
    H::TtlsChap,
    H::TtlsMschap,
    H::TtlsMschapv2,
    H::TtlsEapMschapv2,
    H::TtlsEapMd5,
];

struct Peer {
    how: How,
    name: &'static str,
    password: &'static str,
    tls: Option<ClientConnection>,
    /// How many octets of TLS go into one packet.
    fragment: usize,
    outgoing: Vec<u8>,
    /// Its last message was the end of the handshake.
    is_established: bool,
    has_spoken: bool,
    keys: Option<Keys>,
    /// What is said inside instead.
    babble: Vec<Vec<u8>>,
}

/// How it ended.
#[derive(Debug)]
struct End {
    result: Result<String, Reason>,
    rounds: usize,
    is_resumed: bool,
}

fn client(
    world: &World,
    version: Version,
    certificate: Option<(String, KeyPair)>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(world.ca.der().clone()).unwrap();
    let versions = match version {
        Version::Tls12 => [&TLS12],
        Version::Tls13 => [&TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some((pem, key)) => {
            use rustls::pki_types::pem::PemObject as _;
            let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap);
            let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.collect(), key).unwrap()
        }
    };
    config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(8)));
    Arc::new(config)
}

impl Peer {
    fn new(how: How, name: &'static str, password: &'static str) -> Self {
        Self {
            how,
            name,
            password,
            tls: None,
            fragment: 1000,
            outgoing: Vec::new(),
            is_established: false,
            has_spoken: false,
            keys: None,
            babble: Vec::new(),
        }
    }

    fn over(mut self, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("radius.example").unwrap();
        self.tls = Some(ClientConnection::new(Arc::clone(config), name).unwrap());
        self
    }

    /// Runs a login with `anonymous` as outer name where there is an inner one.
    fn run(&mut self, world: &mut World) -> End {
        let mut conversation = Conversation::new(Arc::clone(&world.methods));
        let outer = if self.tls.is_some() { "anonymous" } else { self.name };
        let mut message = encode(Code::Response, 1, Kind::IDENTITY, outer.as_bytes());
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 120, "no end");
            match world.step(&mut conversation, &message) {
                Step::Challenge(request) => {
                    assert!(request.len() <= world.len_max, "{} octets", request.len());
                    let Packet { code: Code::Request, id, body: Some((kind, data)) } =
                        Packet::decode(&request).unwrap()
                    else {
                        panic!("not a request: {request:?}")
                    };
                    let (kind, data) = self.answer(id, kind, data);
                    message = encode(Code::Response, id, kind, &data);
                }
                Step::Success(success) => {
                    let [code, id, ..] = success.packet;
                    assert_eq!((code, id), (3, message[1]));
                    assert_eq!(success.method, self.how.kind());
                    let expected = self.tls.as_ref().map(|tls| msk(tls, success.method));
                    if let Some(expected) = expected.or_else(|| self.keys.take()) {
                        let keys = success.keys.unwrap();
                        assert!(keys == expected, "the keys of both ends differ");
                    }
                    let result = Ok(success.identity);
                    return End { result, rounds, is_resumed: success.is_resumed };
                }
                Step::Failure(failure) => {
                    assert_eq!(failure.packet, [4, message[1], 0, 4]);
                    return End { result: Err(failure.reason), rounds, is_resumed: false };
                }
            }
        }
    }

    fn answer(&mut self, id: u8, kind: Kind, data: &[u8]) -> (Kind, Vec<u8>) {
        if kind != self.how.kind() {
            return (Kind::NAK, vec![self.how.kind().0]);
        }
        match kind {
            Kind::MD5 | Kind::MSCHAPV2 => (kind, self.simple(id, kind, data)),
            _ => (kind, self.tunnelled(id, data)),
        }
    }

    fn simple(&mut self, id: u8, kind: Kind, data: &[u8]) -> Vec<u8> {
        if kind == Kind::MD5 {
            assert_eq!((data[0], data.len()), (16, 17));
            let answer = chap_answer(id, self.password.as_bytes(), &data[1..17]);
            return [&[16], &answer[..]].concat();
        }
        let hash = nt_hash(self.password);
        match data[0] {
            1 => {
                let challenge: [u8; 16] = data[5..21].try_into().unwrap();
                let (peer, name) = ([9; 16], self.name.as_bytes());
                let hashed = mschap::challenge_hash(&peer, &challenge, name);
                let response = mschap::challenge_response(&hashed, &hash);
                let keys = mschap::Keys::of(&response, &hash);
                self.keys = Some(Keys { recv: keys.recv.to_vec(), send: keys.send.to_vec() });
                let value = [&peer[..], &[0; 8], &response, &[0]].concat();
                let [high, low] = u16::try_from(5 + 49 + name.len()).unwrap().to_be_bytes();
                let answer = [&[2, data[1], high, low, 49], &value[..], name].concat();
                assert!(MsResponse::parse(&answer).is_some());
                answer
            }
            3 => {
                assert!(data[4..].starts_with(b"S="));
                vec![3]
            }
            4 => {
                assert!(data[4..].starts_with(b"E=691 R=0 C="));
                vec![4]
            }
            other => panic!("operation {other}"),
        }
    }

    fn tunnelled(&mut self, id: u8, data: &[u8]) -> Vec<u8> {
        let fragment = Fragment::parse(data).unwrap();
        if !self.outgoing.is_empty() {
            assert_eq!(fragment.payload, b"");
            return self.next();
        }
        let tls = self.tls.as_mut().unwrap();
        let mut payload = fragment.payload;
        while !payload.is_empty() {
            tls.read_tls(&mut payload).unwrap();
            if let Err(error) = tls.process_new_packets() {
                // The alert goes out, or there is nothing to say.
                assert!(!matches!(error, rustls::Error::DecryptError));
            }
        }
        if fragment.has_more {
            return vec![0];
        }
        let mut inside = Vec::new();
        let _ = tls.reader().read_to_end(&mut inside);
        // As others do: the end of the handshake first, then what is said inside.
        if !tls.is_handshaking() && std::mem::replace(&mut self.is_established, true) {
            let babble = self.babble.pop();
            let speaks = babble.unwrap_or_else(|| self.speak(id, &inside));
            let tls = self.tls.as_mut().unwrap();
            tls.writer().write_all(&speaks).unwrap();
        }
        let tls = self.tls.as_mut().unwrap();
        while tls.wants_write() {
            tls.write_tls(&mut self.outgoing).unwrap();
        }
        self.next()
    }

    fn next(&mut self) -> Vec<u8> {
        let rest = self.outgoing.split_off(self.outgoing.len().min(self.fragment));
        let part = std::mem::replace(&mut self.outgoing, rest);
        let has_more = u8::from(!self.outgoing.is_empty()) * 0x40;
        [&[has_more], &part[..]].concat()
    }

    /// What the peer says inside.
    fn speak(&mut self, id: u8, said: &[u8]) -> Vec<u8> {
        let is_resumed =
            self.tls.as_ref().unwrap().handshake_kind() == Some(HandshakeKind::Resumed);
        match self.how {
            H::Tls => {
                assert!(said.is_empty() || said == [0], "{said:?}");
                Vec::new()
            }
            H::Peap | H::PeapMd5 => match *said {
                [] => Vec::new(),
                [1, inner_id, 0, 11, 33, 0x80, 3, 0, 2, 0, result] => {
                    assert_eq!(inner_id, id);
                    vec![2, inner_id, 0, 11, 33, 0x80, 3, 0, 2, 0, result]
                }
                [1] => [&[1], self.name.as_bytes()].concat(),
                [kind, ..] if Kind(kind) != self.how.inner() => vec![3, self.how.inner().0],
                [kind, ref data @ ..] => [&[kind], &self.simple(id, Kind(kind), data)[..]].concat(),
            },
            _ if is_resumed => {
                assert!(said.is_empty() || said == [0], "{said:?}");
                Vec::new()
            }
            H::Md5
            | H::Mschapv2
            | H::TtlsPap
            | H::TtlsChap
            | H::TtlsMschap
            | H::TtlsMschapv2
            | H::TtlsEapMschapv2
            | H::TtlsEapMd5 => self.speak_ttls(said),
        }
    }

    fn speak_ttls(&mut self, said: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut say =
            |code, vendor, value: &[u8]| avp::write(&mut out, Avp { code, vendor, value });
        if said.is_empty() {
            if std::mem::replace(&mut self.has_spoken, true) {
                return Vec::new();
            }
            if matches!(self.how, H::TtlsEapMschapv2 | H::TtlsEapMd5) {
                let identity = encode(Code::Response, 0, Kind::IDENTITY, self.name.as_bytes());
                say(79, 0, &identity);
                return out;
            }
            let tls = self.tls.as_ref().unwrap();
            let name = self.name.as_bytes();
            say(1, 0, name);
            let implied = |len: usize| {
                let octets = vec![0; len + 1];
                let mut octets =
                    tls.export_keying_material(octets, b"ttls challenge", None).unwrap();
                let id = octets.pop().unwrap();
                (octets, id)
            };
            let hash = nt_hash(self.password);
            match self.how {
                H::TtlsPap => {
                    let mut padded = self.password.as_bytes().to_vec();
                    padded.resize(16, 0);
                    say(2, 0, &padded);
                }
                H::TtlsChap => {
                    let (challenge, id) = implied(16);
                    let answer = chap_answer(id, self.password.as_bytes(), &challenge);
                    say(60, 0, &challenge);
                    say(3, 0, &[&[id], &answer[..]].concat());
                }
                H::TtlsMschap => {
                    let (challenge, id) = implied(8);
                    let response =
                        mschap::challenge_response(&challenge[..].try_into().unwrap(), &hash);
                    say(11, 311, &challenge);
                    say(1, 311, &[&[id, 1], &[0; 24][..], &response].concat());
                }
                H::TtlsMschapv2 => {
                    let (challenge, id) = implied(16);
                    let fixed = challenge[..].try_into().unwrap();
                    let hashed = mschap::challenge_hash(&[9; 16], &fixed, name);
                    let response = mschap::challenge_response(&hashed, &hash);
                    say(11, 311, &challenge);
                    say(25, 311, &[&[id, 0], &[9; 16][..], &[0; 8], &response].concat());
                }
                H::Md5
                | H::Mschapv2
                | H::Tls
                | H::Peap
                | H::PeapMd5
                | H::TtlsEapMschapv2
                | H::TtlsEapMd5 => panic!("not said like this"),
            }
            return out;
        }
        let Avp { code, value, .. } = avp::next(&mut &said[..]).unwrap().unwrap();
        if code == 26 {
            assert!(value[1..].starts_with(b"S="));
            return Vec::new();
        }
        assert_eq!(code, 79);
        let packet = Packet::decode(value).unwrap();
        let (kind, data) = packet.body.unwrap();
        let (kind, data) = if kind == self.how.inner() {
            (kind, self.simple(packet.id, kind, data))
        } else {
            (Kind::NAK, vec![self.how.inner().0])
        };
        say(79, 0, &encode(Code::Response, packet.id, kind, &data));
        out
    }
}

/// The peer's MSK, derived here independently of the server's code.
fn msk(tls: &ClientConnection, kind: Kind) -> Keys {
    let is_tls13 = tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let (label, context): (&[u8], _) = match (is_tls13, kind) {
        (true, _) => (b"EXPORTER_EAP_TLS_Key_Material", Some(vec![kind.0])),
        (false, Kind::TTLS) => (b"ttls keying material", None),
        (false, _) => (b"client EAP encryption", None),
    };
    let octets = tls.export_keying_material(vec![0; 128], label, context.as_deref()).unwrap();
    Keys { recv: octets[..32].to_vec(), send: octets[32..64].to_vec() }
}

const VERSIONS: [Version; 2] = [Version::Tls12, Version::Tls13];

fn login(world: &mut World, how: How, config: &Arc<ClientConfig>) -> End {
    Peer::new(how, "amina", "simba").over(config).run(world)
}

#[test]
fn every_method_with_every_tls_ends_well_with_the_same_keys() {
    for version in VERSIONS {
        for how in TUNNELLED {
            let mut world = World::new();
            let certificate = (how == H::Tls).then(|| bearer(&world.ca, "amina@example", 2090));
            let config = client(&world, version, certificate);
            let end = login(&mut world, how, &config);
            assert_eq!(end.result.as_deref(), Ok("amina"), "{how:?} {version:?}");
            assert!(!end.is_resumed);
            assert!(end.rounds <= 13, "{how:?} {version:?}: {} rounds", end.rounds);
        }
    }
}

#[test]
fn methods_without_tls_end_well() {
    for how in [H::Md5, H::Mschapv2] {
        for mut world in [World::new(), World::with(Options::default(), Some(&[how.kind()]))] {
            let end = Peer::new(how, "amina", "simba").run(&mut world);
            assert_eq!(end.result.as_deref(), Ok("amina"), "{how:?}");
        }
    }
}

#[test]
fn a_wrong_password_and_a_wrong_name_look_alike() {
    for how in [
        H::Md5,
        H::Mschapv2,
        H::Peap,
        H::PeapMd5,
        H::TtlsPap,
        H::TtlsChap,
        H::TtlsMschap,
        H::TtlsMschapv2,
        H::TtlsEapMschapv2,
        H::TtlsEapMd5,
    ] {
        let mut world = World::new();
        let config = client(&world, Version::Tls13, None);
        let mut run = |name, password| {
            let peer = Peer::new(how, name, password);
            let mut peer = if how.kind() == how.inner() { peer } else { peer.over(&config) };
            peer.run(&mut world)
        };
        let wrong = run("amina", "Simba");
        assert_eq!(wrong.result, Err(Reason::WrongPassword), "{how:?}");
        for password in ["simba", ""] {
            let unknown = run("nobody", password);
            assert_eq!(unknown.result, Err(Reason::UnknownIdentity), "{how:?}");
            assert_eq!(unknown.rounds, wrong.rounds, "{how:?}");
        }
    }
}

#[test]
fn a_hash_of_the_password_is_enough_for_some_methods() {
    for (how, expected) in [
        (H::Peap, Ok("windows")),
        (H::TtlsPap, Ok("windows")),
        (H::TtlsMschap, Ok("windows")),
        (H::TtlsMschapv2, Ok("windows")),
        (H::TtlsEapMschapv2, Ok("windows")),
        (H::TtlsChap, Err(Reason::Unusable)),
        (H::PeapMd5, Err(Reason::Unusable)),
    ] {
        let mut world = World::new();
        let config = client(&world, Version::Tls12, None);
        let end = Peer::new(how, "windows", "simba").over(&config).run(&mut world);
        assert_eq!(end.result.as_deref().map_err(|reason| *reason), expected, "{how:?}");
    }
}

#[test]
fn who_comes_back_says_no_password_and_is_authorised_again() {
    for version in VERSIONS {
        for how in [H::Tls, H::Peap, H::TtlsPap, H::TtlsMschapv2] {
            let mut world = World::new();
            let certificate = (how == H::Tls).then(|| bearer(&world.ca, "amina@example", 2090));
            let config = client(&world, version, certificate);
            let first = login(&mut world, how, &config);
            assert!(!first.is_resumed);
            for _ in 0..2 {
                let again = login(&mut world, how, &config);
                assert_eq!(again.result.as_deref(), Ok("amina"), "{how:?} {version:?}");
                assert!(again.is_resumed, "{how:?} {version:?}");
                assert!(again.rounds < first.rounds, "{how:?} {version:?}");
            }
            // Whose password has changed has to say it; a certificate stays what it is.
            world.amina = "changed";
            let changed = login(&mut world, how, &config);
            let expected = if how == H::Tls { Ok("amina") } else { Err(Reason::WrongPassword) };
            let got = changed.result.as_deref().map_err(|reason| *reason);
            assert_eq!(got, expected, "{how:?} {version:?}");
            world.amina = "simba";
            let once_more = login(&mut world, how, &config);
            assert_eq!(once_more.result.as_deref(), Ok("amina"), "{how:?} {version:?}");
        }
    }
}

#[test]
fn a_session_ends_with_its_time_and_with_its_certificate() {
    for version in VERSIONS {
        let mut world = World::new();
        let config = client(&world, version, None);
        login(&mut world, H::Peap, &config);
        world.now += 24 * 60 * 60;
        assert!(!login(&mut world, H::Peap, &config).is_resumed);

        let mut world =
            World::with(Options { session_seconds: u32::MAX, ..Options::default() }, None);
        let certificate = bearer(&world.ca, "amina@example", 2028);
        let config = client(&world, version, Some(certificate));
        assert_eq!(login(&mut world, H::Tls, &config).result.as_deref(), Ok("amina"));
        assert!(login(&mut world, H::Tls, &config).is_resumed);
        // Handshakes look at the clock of the machine; this is for what was shown before.
        world.now = 1_900_000_000;
        let end = login(&mut world, H::Tls, &config);
        assert_eq!(end.result, Err(Reason::Certificate), "{version:?}");

        let mut world = World::with(Options { session_seconds: 0, ..Options::default() }, None);
        let config = client(&world, version, None);
        for _ in 0..2 {
            let end = login(&mut world, H::Peap, &config);
            assert_eq!((end.result.as_deref(), end.is_resumed), (Ok("amina"), false));
        }
    }
}

#[test]
fn who_fails_leaves_no_session() {
    for version in VERSIONS {
        let mut world = World::new();
        let config = client(&world, version, None);
        for _ in 0..2 {
            let end = Peer::new(H::TtlsPap, "amina", "wrong").over(&config).run(&mut world);
            assert_eq!(end.result, Err(Reason::WrongPassword));
        }
        assert!(!login(&mut world, H::TtlsPap, &config).is_resumed);
    }
}

#[test]
fn certificates_that_are_expired_or_of_others_are_refused() {
    for version in VERSIONS {
        let mut world = World::new();
        let stranger = authority("another authority");
        for (certificate, expected) in [
            (Some(bearer(&world.ca, "amina@example", 2020)), Reason::Certificate),
            (Some(bearer(&stranger, "amina@example", 2090)), Reason::Certificate),
            (Some(bearer(&world.ca, "nobody@example", 2090)), Reason::UnknownCertificate),
            (None, Reason::Certificate),
        ] {
            let config = client(&world, version, certificate);
            let end = login(&mut world, H::Tls, &config);
            assert_eq!(end.result, Err(expected), "{version:?}");
        }
        // The peer trusts somebody else.
        let other = World::new();
        let config = client(&other, version, None);
        assert_eq!(login(&mut world, H::Peap, &config).result, Err(Reason::Tls));
    }
}

#[test]
fn a_certificate_that_is_revoked_is_refused() {
    let mut world = World::new();
    let certificate = bearer(&world.ca, "amina@example", 2090);
    let config = client(&world, Version::Tls13, Some(certificate));
    assert_eq!(login(&mut world, H::Tls, &config).result.as_deref(), Ok("amina"));
    for (serial, expected) in [(SERIAL, Err(Reason::Certificate)), (SERIAL + 1, Ok("amina"))] {
        let revoked = RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&world.ca).unwrap().pem().unwrap();
        world.load(Some(&list), Options::default(), None);
        let end = login(&mut world, H::Tls, &config);
        assert_eq!(end.result.as_deref().map_err(|reason| *reason), expected);
    }
}

#[test]
fn long_chains_come_in_fragments_both_ways() {
    for version in VERSIONS {
        let mut world = World::new();
        world.len_max = 300;
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = (0..200)
            .map(|number| format!("alias-{number}.example").try_into().unwrap())
            .map(SanType::DnsName)
            .chain([SanType::Rfc822Name("amina@example".try_into().unwrap())])
            .collect();
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &world.ca).unwrap().pem();
        assert!(pem.len() > 4096);
        let config = client(&world, version, Some((pem, key)));
        let mut peer = Peer::new(H::Tls, "amina", "").over(&config);
        peer.fragment = 150;
        let end = peer.run(&mut world);
        assert_eq!(end.result.as_deref(), Ok("amina"));
        assert!(end.rounds > 25, "{} rounds", end.rounds);
    }
}

#[test]
fn tls_1_2_can_be_switched_off() {
    let options = Options { min_version: Version::Tls13, ..Options::default() };
    let mut world = World::with(options, None);
    let old = client(&world, Version::Tls12, None);
    assert_eq!(login(&mut world, H::Peap, &old).result, Err(Reason::Tls));
    let new = client(&world, Version::Tls13, None);
    assert_eq!(login(&mut world, H::Peap, &new).result.as_deref(), Ok("amina"));
}

#[test]
fn nobody_says_a_password_outside_of_a_tunnel() {
    let mut world = World::new();
    let mut conversation = Conversation::new(Arc::clone(&world.methods));
    let identity = encode(Code::Response, 1, Kind::IDENTITY, b"amina");
    assert!(matches!(world.step(&mut conversation, &identity), Step::Challenge(_)));
    let nak = encode(Code::Response, 2, Kind::NAK, &[Kind::GTC.0]);
    let step = world.step(&mut conversation, &nak);
    let Step::Failure(failure) = step else { panic!("{step:?}") };
    assert_eq!(failure.reason, Reason::NoCommonMethod);
}

#[test]
fn who_wants_no_method_that_there_is_fails() {
    let mut world = World::with(Options::default(), Some(&[Kind::PEAP]));
    let end = Peer::new(H::Md5, "amina", "simba").run(&mut world);
    assert_eq!(end.result, Err(Reason::NoCommonMethod));
}

#[test]
fn nonsense_fails_and_does_no_harm() {
    let identity = encode(Code::Response, 1, Kind::IDENTITY, b"amina");
    let messages: [&[u8]; 8] = [
        b"",
        b"\x02",
        b"\x01\x01\x00\x05\x01",
        b"\x03\x01\x00\x04",
        b"\x02\x01\x00\x05\x19",
        b"\x02\x02\x00\x06\x19\x20",
        b"\x02\x02\x00\x06\x19\xff",
        b"\x02\x02\x00\x0a\x19\x80\x7f\xff\xff\xff",
    ];
    for first in [&[][..], &identity] {
        for message in messages {
            let mut world = World::new();
            let mut conversation = Conversation::new(Arc::clone(&world.methods));
            if !first.is_empty() {
                assert!(matches!(world.step(&mut conversation, first), Step::Challenge(_)));
            } else if message.is_empty() {
                let step = world.step(&mut conversation, message);
                assert!(matches!(step, Step::Challenge(ask) if ask == [1, 0, 0, 5, 1]));
                continue;
            }
            for _ in 0..3 {
                let step = world.step(&mut conversation, message);
                assert!(matches!(step, Step::Failure(_)), "{message:?}: {step:?}");
            }
        }
    }
}

#[test]
fn a_peer_that_never_ends_is_ended() {
    let mut world = World::new();
    let mut conversation = Conversation::new(Arc::clone(&world.methods));
    let mut message = encode(Code::Response, 1, Kind::IDENTITY, b"amina");
    for round in 0..200 {
        match world.step(&mut conversation, &message) {
            // A TLS record that says it is long, in pieces of one octet.
            Step::Challenge(request) => {
                let piece = [0x40, if round == 0 { 22 } else { 3 }];
                message = encode(Code::Response, request[1], Kind::PEAP, &piece);
            }
            Step::Failure(_) => return,
            Step::Success(_) => panic!("with what?"),
        }
    }
    panic!("200 rounds");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is said, in a tunnel or outside: there is an end, and nothing comes of it.
    #[test]
    fn no_messages_log_anybody_in_or_do_harm(
        kind in prop::sample::select(vec![1_u8, 3, 4, 13, 21, 25, 26, 254]),
        messages in prop::collection::vec(any::<Vec<u8>>(), 1..8),
    ) {
        let mut world = World::new();
        let mut conversation = Conversation::new(Arc::clone(&world.methods));
        let identity = encode(Code::Response, 1, Kind::IDENTITY, b"amina");
        let mut step = world.step(&mut conversation, &identity);
        let nak = [kind];
        for data in [&nak[..]].into_iter().chain(messages.iter().map(|data| &data[..])) {
            let Step::Challenge(request) = step else { break };
            let answers = if data == nak { Kind::NAK } else { Kind(request[4]) };
            step = world.step(&mut conversation, &encode(Code::Response, request[1], answers, data));
        }
        prop_assert!(!matches!(step, Step::Success(_)));
    }

    #[test]
    fn whatever_is_said_in_a_tunnel_does_no_harm(
        is_peap: bool,
        // Who says nothing at first may still say the right thing.
        said in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 1..4),
    ) {
        let mut world = World::new();
        let config = client(&world, Version::Tls13, None);
        let how = if is_peap { H::Peap } else { H::TtlsPap };
        let mut peer = Peer::new(how, "amina", "simba").over(&config);
        peer.babble = said;
        prop_assert!(peer.run(&mut world).result.is_err());
    }
}

#[test]
fn keys_and_certificates_that_do_not_fit_are_refused_at_once() {
    let ca = authority("authority");
    let (certificate, key) = bearer(&ca, "radius.example", 2090);
    let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let load = |certificate: &str, key: &str, ca: Option<&str>| {
        let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
        let client_ca = ca.map(str::as_bytes);
        Tls::new(Files { certificate, key, client_ca, client_crl: None }, Options::default())
    };
    let right = key.serialize_pem();
    load(&certificate, &right, None).unwrap();
    let fault = |result: Result<Tls, _>| format!("{}", result.unwrap_err());
    let said = fault(load(&certificate, &other.serialize_pem(), None));
    assert_eq!(said, "certificate and private key do not fit");
    assert_eq!(fault(load("nothing", &right, None)), "there is no certificate in the file");
    assert_eq!(fault(load(&certificate, "x", None)), "the private key cannot be read as PEM");
    let said = fault(load(&certificate, &right, Some("x")));
    assert_eq!(said, "the certificates of clients cannot be verified");
}
