//! Inside EAP-TTLS: the peer says name and proof, or speaks EAP. RFC 5281 §11.

use subtle::ConstantTimeEq as _;

use super::{
    avp::{self, Avp},
    tunnel::Tunnel,
    tunnelled::Inside,
};
use crate::{
    attr::{AttrType, microsoft, vendor::Vendor},
    eap::{
        Around, Credential, Reason, Unusable,
        login::{self, INNER, Login},
        packet::{Code, Kind, Packet, encode},
    },
    mschap::{Answer, V1, V2},
    password::chap_answer,
};

#[derive(Debug, Default)]
pub(super) struct Ttls {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    New,
    Eap(Login),
    /// The peer sees our proof and acknowledges it.
    Proved {
        identity: String,
    },
}

/// What the peer has said.
#[derive(Default)]
struct Said<'a> {
    name: Option<&'a [u8]>,
    password: Option<&'a [u8]>,
    chap: Option<&'a [u8]>,
    chap_challenge: Option<&'a [u8]>,
    ms_challenge: Option<&'a [u8]>,
    ms_response: Option<&'a [u8]>,
    ms2_response: Option<&'a [u8]>,
    eap: Vec<u8>,
}

impl<'a> Said<'a> {
    fn parse(mut octets: &'a [u8]) -> Result<Self, avp::Malformed> {
        let mut said = Self::default();
        while let Some(Avp { code, vendor, value }) = avp::next(&mut octets)? {
            let Ok(number) = u8::try_from(code) else { continue };
            let place = match (Vendor(vendor), AttrType(number)) {
                (Vendor(0), AttrType::USER_NAME) => &mut said.name,
                (Vendor(0), AttrType::USER_PASSWORD) => &mut said.password,
                (Vendor(0), AttrType::CHAP_PASSWORD) => &mut said.chap,
                (Vendor(0), AttrType::CHAP_CHALLENGE) => &mut said.chap_challenge,
                (Vendor(0), AttrType::EAP_MESSAGE) => {
                    said.eap.extend_from_slice(value);
                    continue;
                }
                (Vendor::MICROSOFT, AttrType(microsoft::CHAP_CHALLENGE)) => &mut said.ms_challenge,
                (Vendor::MICROSOFT, AttrType(microsoft::CHAP_RESPONSE)) => &mut said.ms_response,
                (Vendor::MICROSOFT, AttrType(microsoft::CHAP2_RESPONSE)) => &mut said.ms2_response,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        Ok(said)
    }
}

impl Ttls {
    /// `None` when the peer has said nothing and it is its turn.
    pub(super) fn handle(
        &mut self,
        octets: &[u8],
        tunnel: &Tunnel,
        around: &mut Around<'_>,
    ) -> Option<Inside> {
        if let State::Proved { identity } = &mut self.state {
            return Some(Inside::Right { identity: std::mem::take(identity) });
        }
        if octets.is_empty() {
            return None;
        }
        let Ok(said) = Said::parse(octets) else { return Some(wrong(Reason::Malformed, None)) };
        Some(match &mut self.state {
            State::Eap(login) => go_on(login, &said.eap, around),
            State::New | State::Proved { .. } if !said.eap.is_empty() => {
                self.begin(&said.eap, around)
            }
            State::New | State::Proved { .. } => {
                // A name that is not text is nobody's.
                let name = String::from_utf8_lossy(said.name.unwrap_or_default()).into_owned();
                let known = around.directory.credential(&name);
                match self.check(&said, &name, known, tunnel) {
                    Ok(Some(proof)) => Inside::Say(proof),
                    Ok(None) => Inside::Right { identity: name },
                    Err(reason) => wrong(reason, Some(name)),
                }
            }
        })
    }

    /// PAP, CHAP, MS-CHAP or MS-CHAPv2; the last proves us, too.
    fn check(
        &mut self,
        said: &Said<'_>,
        name: &str,
        known: Option<Credential<'_>>,
        tunnel: &Tunnel,
    ) -> Result<Option<Vec<u8>>, Reason> {
        // Who is unknown is checked as everybody is, against something.
        let reason = if known.is_some() { Reason::WrongPassword } else { Reason::UnknownIdentity };
        let against = known.unwrap_or(Credential { password: Some(""), nt_hash: None });
        let decide = |is_right| if is_right && known.is_some() { Ok(()) } else { Err(reason) };
        if let Some(padded) = said.password {
            let end = padded.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
            let typed = padded.get(..end).unwrap_or_default();
            let is_right = against.is(typed).map_err(|Unusable| Reason::Unusable)?;
            return decide(is_right).map(|()| None);
        }
        if let Some(value) = said.chap {
            let password = against.password.ok_or(Reason::Unusable)?;
            let (&id, answer) = value.split_first().ok_or(Reason::Malformed)?;
            implied(tunnel, said.chap_challenge, Some(id))?;
            let challenge = said.chap_challenge.unwrap_or_default();
            let expected = chap_answer(id, password.as_bytes(), challenge);
            return decide(expected.ct_eq(answer).into()).map(|()| None);
        }
        let answer = Answer::from_parts(said.ms_challenge, said.ms_response, said.ms2_response);
        let answer = answer.map_err(|_| Reason::Malformed)?.ok_or(Reason::NoCommonMethod)?;
        let (Answer::V1(V1 { ident, .. }) | Answer::V2(V2 { ident, .. })) = answer;
        implied(tunnel, said.ms_challenge, Some(ident))?;
        let hash = against.to_nt_hash().ok_or(Reason::Unusable)?;
        decide(answer.is(name.as_bytes(), &hash))?;
        let Answer::V2(v2) = answer else { return Ok(None) };
        let mut proof = Vec::new();
        let value = v2.success(name.as_bytes(), &hash);
        let code = u32::from(microsoft::CHAP2_SUCCESS);
        avp::write(&mut proof, Avp { code, vendor: Vendor::MICROSOFT.0, value: &value });
        self.state = State::Proved { identity: name.to_owned() };
        Ok(Some(proof))
    }

    fn begin(&mut self, packet: &[u8], around: &mut Around<'_>) -> Inside {
        let Ok(Packet { code: Code::Response, id, body: Some((Kind::IDENTITY, name)) }) =
            Packet::decode(packet)
        else {
            return wrong(Reason::Malformed, None);
        };
        let identity = String::from_utf8_lossy(name).into_owned();
        let first = INNER.first().copied().unwrap_or(Kind::NAK);
        match Login::start(identity, first, id.wrapping_add(1), true, around) {
            Some((login, data)) => {
                self.state = State::Eap(login);
                Inside::Say(message(id.wrapping_add(1), first, &data))
            }
            None => wrong(Reason::NoCommonMethod, None),
        }
    }
}

fn go_on(login: &mut Login, packet: &[u8], around: &mut Around<'_>) -> Inside {
    let identity = Some(login.identity().to_owned());
    let Ok(Packet { code: Code::Response, id, body: Some(body) }) = Packet::decode(packet) else {
        return wrong(Reason::Malformed, identity);
    };
    match login.handle(id, body, INNER, around) {
        login::Next::Ask(kind, data) => Inside::Say(message(id.wrapping_add(1), kind, &data)),
        login::Next::Right(_) => Inside::Right { identity: login.identity().to_owned() },
        login::Next::Wrong(reason) => wrong(reason, identity),
    }
}

const fn wrong(reason: Reason, identity: Option<String>) -> Inside {
    Inside::Wrong { reason, identity }
}

fn message(id: u8, kind: Kind, data: &[u8]) -> Vec<u8> {
    let packet = encode(Code::Request, id, kind, data);
    let mut octets = Vec::with_capacity(packet.len() + 8);
    let code = u32::from(AttrType::EAP_MESSAGE.0);
    avp::write(&mut octets, Avp { code, vendor: 0, value: &packet });
    octets
}

/// The challenge comes of the tunnel, so that an answer of elsewhere is no answer here: as many
/// octets as the challenge has, then the identifier. RFC 5281 §11.1.
fn implied(tunnel: &Tunnel, challenge: Option<&[u8]>, id: Option<u8>) -> Result<(), Reason> {
    // Of TLS 1.3 the number of octets goes into the derivation.
    let is_right = match challenge {
        Some(challenge) if challenge.len() == 16 => {
            tunnel.export::<17>(LABEL, None).is_some_and(|implied| {
                implied.get(..16) == Some(challenge) && implied.last().copied() == id
            })
        }
        Some(challenge) if challenge.len() == 8 => {
            tunnel.export::<9>(LABEL, None).is_some_and(|implied| {
                implied.get(..8) == Some(challenge) && implied.last().copied() == id
            })
        }
        Some(_) | None => false,
    };
    if is_right { Ok(()) } else { Err(Reason::Malformed) }
}

const LABEL: &[u8] = b"ttls challenge";
