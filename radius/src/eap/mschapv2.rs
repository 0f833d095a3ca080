//! EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2-02): alone, in PEAP and in EAP-TTLS.

use super::{Around, Keys, Reason};
use crate::mschap::{self, NtHash, NtResponse, V2};

const CHALLENGE: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;

/// Who we are: peers want a name, and nobody looks at it.
const NAME: &[u8] = b"radius";

#[derive(Debug)]
pub(super) struct Mschapv2 {
    id: u8,
    state: State,
}

#[derive(Debug)]
enum State {
    Challenged([u8; 16]),
    /// The peer's answer was right, and the peer now sees our proof.
    Right(Keys),
    /// The peer is told that it was not.
    Wrong(Reason),
}

pub(super) enum Next {
    Ask(Vec<u8>),
    Right(Keys),
    Wrong(Reason),
}

impl Mschapv2 {
    /// And what is asked.
    pub(super) fn start(id: u8, around: &mut Around<'_>) -> (Self, Vec<u8>) {
        let challenge: [u8; 16] = around.random();
        let data = [&[16], &challenge[..], NAME].concat();
        (Self { id, state: State::Challenged(challenge) }, frame(CHALLENGE, id, &data))
    }

    pub(super) fn handle(&mut self, data: &[u8], identity: &str, around: &mut Around<'_>) -> Next {
        match &self.state {
            State::Challenged(challenge) => match Response::parse(data) {
                Some(response) => {
                    let challenge = *challenge;
                    self.verify(&response, &challenge, identity, around)
                }
                None => Next::Wrong(Reason::Malformed),
            },
            State::Right(keys) => match data.first() {
                Some(&SUCCESS) => Next::Right(keys.clone()),
                // The peer does not believe that we know the password.
                Some(_) | None => Next::Wrong(Reason::Malformed),
            },
            State::Wrong(reason) => Next::Wrong(*reason),
        }
    }

    /// Who is unknown is answered as who is wrong, and as fast.
    fn verify(
        &mut self,
        response: &Response<'_>,
        challenge: &[u8; 16],
        identity: &str,
        around: &mut Around<'_>,
    ) -> Next {
        let (hash, wrong) = match around.directory.credential(identity) {
            Some(known) => match known.to_nt_hash() {
                Some(hash) => (hash, Reason::WrongPassword),
                None => (around.random(), Reason::Unusable),
            },
            None => (around.random(), Reason::UnknownIdentity),
        };
        let v2 = response.v2(challenge);
        if v2.is(response.name, &hash) {
            self.state = State::Right(keys(response.response, &hash));
            let text = v2.authenticator_response(response.name, &hash) + " M=OK";
            Next::Ask(frame(SUCCESS, self.id, text.as_bytes()))
        } else {
            self.state = State::Wrong(wrong);
            let text = mschap::error_message(&around.random());
            Next::Ask(frame(FAILURE, self.id, text.as_bytes()))
        }
    }
}

/// The keys as an MSK: the peer's sending key first.
fn keys(response: &NtResponse, hash: &NtHash) -> Keys {
    let keys = mschap::Keys::of(response, hash);
    Keys { recv: keys.recv.to_vec(), send: keys.send.to_vec() }
}

/// OpCode, MS-CHAPv2-ID, MS-Length, data.
fn frame(code: u8, id: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + data.len()).unwrap_or(u16::MAX);
    let [high, low] = len.to_be_bytes();
    [&[code, id, high, low], data].concat()
}

/// What a peer answers to a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// What the peer has asked.
    pub peer_challenge: &'a [u8; 16],
    /// What it has answered.
    pub response: &'a NtResponse,
    /// What it calls itself; the answer is over it.
    pub name: &'a [u8],
}

impl<'a> Response<'a> {
    /// OpCode, id, length, value size (49), Peer-Challenge (16), reserved (8), NT-Response (24),
    /// flags, name.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let (&[code, _id, _, _, size], rest) = data.split_first_chunk()?;
        let (peer_challenge, rest) = rest.split_first_chunk()?;
        let (_reserved, rest) = rest.split_first_chunk::<8>()?;
        let (response, rest) = rest.split_first_chunk()?;
        let (_flags, name) = rest.split_first()?;
        (code == RESPONSE && size == 49).then_some(Self { peer_challenge, response, name })
    }

    fn v2(&self, challenge: &'a [u8; 16]) -> V2<'a> {
        let Self { peer_challenge, response, .. } = *self;
        V2 { ident: 0, challenge, peer_challenge, response }
    }
}
