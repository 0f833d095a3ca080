//! Who logs in with EAP: the peer's side of each method (pure, but for TLS's randomness).

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use radius::{
    mschap::{self, challenge_hash, challenge_response},
    password::{chap_answer, nt_hash},
};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, pki_types::ServerName};

use super::framing::Framing;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Method {
    Md5,
    Peap,
    TtlsPap,
    Tls,
}

/// One conversation.
pub(super) struct Peer {
    method: Method,
    username: String,
    password: String,
    framing: Option<Framing>,
    /// Whether what only happens once has happened: the inner login is under way or done.
    has_logged_in: bool,
    /// Whether the server has proved that it knows the password too.
    is_proved: bool,
    challenge: Option<([u8; 16], mschap::NtResponse)>,
}

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;

const IDENTITY: u8 = 1;
const NAK: u8 = 3;
const MSCHAPV2: u8 = 26;
/// Microsoft's extensions: here the result, RFC 7170's TLVs before they had a name.
const EXTENSIONS: u8 = 33;

/// The TLV of a result, mandatory: success.
const SUCCESS_TLV: [u8; 6] = [0x80, 3, 0, 2, 0, 1];

impl Method {
    const fn kind(self) -> u8 {
        match self {
            Self::Md5 => 4,
            Self::Tls => 13,
            Self::TtlsPap => 21,
            Self::Peap => 25,
        }
    }
}

impl Peer {
    /// `tls` is for methods that run it.
    pub(super) fn new(
        method: Method,
        (username, password): (String, String),
        tls: &Arc<ClientConfig>,
        server: &ServerName<'static>,
    ) -> Result<Self> {
        let framing = match method {
            Method::Md5 => None,
            Method::Peap | Method::TtlsPap | Method::Tls => {
                Some(Framing::new(ClientConnection::new(Arc::clone(tls), server.clone())?))
            }
        };
        Ok(Self {
            method,
            username,
            password,
            framing,
            has_logged_in: false,
            is_proved: false,
            challenge: None,
        })
    }

    /// What is said outside of TLS.
    pub(super) fn outer_identity(&self) -> &str {
        match self.method {
            Method::Md5 | Method::Tls => &self.username,
            Method::Peap | Method::TtlsPap => "anonymous",
        }
    }

    /// The EAP packet that begins a conversation.
    pub(super) fn identity(&self) -> Vec<u8> {
        packet(0, IDENTITY, self.outer_identity().as_bytes())
    }

    /// The response to an EAP request.
    pub(super) fn respond(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        let &[REQUEST, id, _, _, kind, ref data @ ..] = request else {
            bail!("not an EAP request: {request:02x?}")
        };
        if kind != self.method.kind() {
            return Ok(packet(id, NAK, &[self.method.kind()]));
        }
        let answer = match self.method {
            Method::Md5 => self.md5(id, data)?,
            Method::Peap | Method::TtlsPap | Method::Tls => self.tls(data)?,
        };
        Ok(packet(id, kind, &answer))
    }

    fn md5(&self, id: u8, data: &[u8]) -> Result<Vec<u8>> {
        let (&len, challenge) = data.split_first().context("no challenge")?;
        let challenge = challenge.get(..usize::from(len)).context("the challenge is cut short")?;
        let answer = chap_answer(id, self.password.as_bytes(), challenge);
        Ok([&[16][..], &answer].concat())
    }

    fn tls(&mut self, data: &[u8]) -> Result<Vec<u8>> {
        let mut framing = self.framing.take().context("a method with TLS has it")?;
        if framing.take(data)? {
            let inside = framing.read()?;
            if framing.is_done() {
                let answer = match self.method {
                    Method::Peap if inside.is_empty() => None,
                    Method::Peap => Some(self.inside_peap(&inside)?),
                    Method::TtlsPap if !self.has_logged_in => {
                        self.has_logged_in = true;
                        Some(self.pap())
                    }
                    Method::Md5 | Method::TtlsPap | Method::Tls => None,
                };
                if let Some(answer) = answer {
                    std::io::Write::write_all(&mut framing.tls.writer(), &answer)?;
                }
            }
        }
        let response = framing.response();
        self.framing = Some(framing);
        response
    }

    /// An inner EAP packet has no header, RFC draft-kamath-pppext-peapv0 §1.1, but that of the
    /// extensions has one.
    fn inside_peap(&mut self, inside: &[u8]) -> Result<Vec<u8>> {
        if let [REQUEST, id, _, _, EXTENSIONS, tlvs @ ..] = inside {
            ensure!(tlvs.starts_with(&SUCCESS_TLV), "the server refuses: {tlvs:02x?}");
            return Ok(packet(*id, EXTENSIONS, &SUCCESS_TLV));
        }
        match inside {
            [IDENTITY, ..] => Ok([&[IDENTITY][..], self.username.as_bytes()].concat()),
            [MSCHAPV2, data @ ..] => self.mschapv2(data),
            other => bail!("an unexpected inner packet: {other:02x?}"),
        }
    }

    fn mschapv2(&mut self, data: &[u8]) -> Result<Vec<u8>> {
        const CHALLENGE: u8 = 1;
        const ANSWER: u8 = 2;
        const SUCCESS: u8 = 3;
        let hash = nt_hash(&self.password);
        match data {
            [CHALLENGE, id, _, _, 16, rest @ ..] => {
                let (challenge, _) = rest.split_first_chunk().context("no challenge")?;
                // It need not be random for this, only another one each time.
                let peer_challenge = challenge.map(|octet| octet ^ 0x5a);
                let asked = challenge_hash(&peer_challenge, challenge, self.username.as_bytes());
                let response = challenge_response(&asked, &hash);
                self.challenge = Some((*challenge, response));
                self.has_logged_in = true;
                let name = self.username.as_bytes();
                let len = u16::try_from(4 + 1 + 49 + name.len())?.to_be_bytes();
                let head = [MSCHAPV2, ANSWER, *id, len[0], len[1], 49];
                Ok([&head[..], &peer_challenge, &[0; 8], &response, &[0], name].concat())
            }
            [SUCCESS, _, _, _, message @ ..] => {
                let (challenge, response) = self.challenge.as_ref().context("nobody has asked")?;
                let answer = mschap::V2 {
                    ident: 0,
                    challenge,
                    peer_challenge: &challenge.map(|octet| octet ^ 0x5a),
                    response,
                };
                let proof = answer.authenticator_response(self.username.as_bytes(), &hash);
                ensure!(message.starts_with(proof.as_bytes()), "the server does not prove itself");
                self.is_proved = true;
                Ok(vec![MSCHAPV2, SUCCESS])
            }
            other => bail!("an unexpected MS-CHAPv2 packet: {other:02x?}"),
        }
    }

    /// User-Name and User-Password, RFC 5281 §10.1 and §11.2.5.
    fn pap(&self) -> Vec<u8> {
        let mut inside = avp(1, self.username.as_bytes());
        let mut password = self.password.clone().into_bytes();
        password.resize(password.len().next_multiple_of(16), 0);
        inside.extend(avp(2, &password));
        inside
    }

    /// Checks that what had to happen has happened; the keys that the NAS must have been given,
    /// and whether an earlier session was resumed.
    pub(super) fn finish(&self) -> Result<Finished> {
        let Some(framing) = &self.framing else {
            return Ok(Finished { keys: None, was_resumed: false });
        };
        let label: &[u8] = match self.method {
            Method::TtlsPap => b"ttls keying material",
            Method::Md5 | Method::Peap | Method::Tls => b"client EAP encryption",
        };
        let keys = framing.keys(label, self.method.kind())?;
        let was_resumed = framing.tls.handshake_kind() == Some(HandshakeKind::Resumed);
        ensure!(
            self.method != Method::Peap || was_resumed || self.is_proved,
            "let in by a server that has not proved itself"
        );
        Ok(Finished { keys: Some(keys), was_resumed })
    }
}

pub(super) struct Finished {
    pub(super) keys: Option<[u8; 64]>,
    pub(super) was_resumed: bool,
}

fn packet(id: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(5 + data.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[RESPONSE, id, len[0], len[1], kind][..], data].concat()
}

/// Mandatory, without a vendor, padded to four octets.
fn avp(code: u32, value: &[u8]) -> Vec<u8> {
    let len = u32::try_from(8 + value.len()).unwrap_or(u32::MAX) & 0x00ff_ffff;
    let head = (0x4000_0000 | len).to_be_bytes();
    let mut avp = [&code.to_be_bytes()[..], &head, value].concat();
    avp.resize(avp.len().next_multiple_of(4), 0);
    avp
}
