//! MS-CHAP (RFC 2433), MS-CHAPv2 (RFC 2759) and the session keys of both (RFC 3079), from the NT
//! hash of a password.
//!
//! Here is the arithmetic; [`Answer`] is what a NAS relays (RFC 2548).

use std::fmt::{self, Write as _};

use des::{
    Des,
    cipher::{BlockCipherEncrypt as _, KeyInit as _},
};
use md4::Md4;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::{
    attr::{microsoft, vendor::Vendor},
    packet::Packet,
};

/// MD4 over the password: see [`crate::password::nt_hash`].
pub type NtHash = [u8; 16];

/// What a peer answers to a challenge.
pub type NtResponse = [u8; 24];

/// An answer as a NAS relays it in MS-CHAP-Challenge with MS-CHAP-Response or MS-CHAP2-Response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Version 1.
    V1(V1<'a>),
    /// Version 2.
    V2(V2<'a>),
}

/// MS-CHAP, RFC 2433.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V1<'a> {
    /// Comes back in an MS-CHAP-Error.
    pub ident: u8,
    /// What the NAS has asked.
    pub challenge: &'a [u8; 8],
    /// What the peer has answered.
    pub response: &'a NtResponse,
}

/// MS-CHAPv2, RFC 2759.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V2<'a> {
    /// Comes back in MS-CHAP2-Success and MS-CHAP-Error.
    pub ident: u8,
    /// What the NAS has asked.
    pub challenge: &'a [u8; 16],
    /// What the peer has asked.
    pub peer_challenge: &'a [u8; 16],
    /// What the peer has answered.
    pub response: &'a NtResponse,
}

/// The attributes of MS-CHAP are not of the lengths that RFC 2548 says, or an answer is of the
/// old LAN Manager kind only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MS-CHAP attributes that are not of the form of RFC 2548")]
pub struct Malformed;

impl<'a> Answer<'a> {
    /// `None` where the request has neither MS-CHAP-Response nor MS-CHAP2-Response.
    pub fn of(request: &Packet<'a>) -> Result<Option<Self>, Malformed> {
        let (mut challenge, mut v1, mut v2) = (None, None, None);
        for found in request.attrs().flat_map(|attr| attr.vendor_attrs()) {
            if found.vendor != Vendor::MICROSOFT {
                continue;
            }
            match found.attr.kind.0 {
                microsoft::CHAP_CHALLENGE => challenge = Some(found.attr.value),
                microsoft::CHAP_RESPONSE => v1 = Some(found.attr.value),
                microsoft::CHAP2_RESPONSE => v2 = Some(found.attr.value),
                _ => {}
            }
        }
        Self::from_parts(challenge, v1, v2)
    }

    /// From the values of MS-CHAP-Challenge, MS-CHAP-Response and MS-CHAP2-Response.
    pub fn from_parts(
        challenge: Option<&'a [u8]>,
        v1: Option<&'a [u8]>,
        v2: Option<&'a [u8]>,
    ) -> Result<Option<Self>, Malformed> {
        let answer = match (v1, v2) {
            (None, None) => return Ok(None),
            (_, Some(v2)) => V2::parse(challenge, v2).map(Self::V2),
            (Some(v1), None) => V1::parse(challenge, v1).map(Self::V1),
        };
        answer.map(Some).ok_or(Malformed)
    }

    /// Is it the answer of somebody called `username` who knows the password with this hash?
    pub fn is(&self, username: &[u8], hash: &NtHash) -> bool {
        match self {
            Self::V1(v1) => v1.is(hash),
            Self::V2(v2) => v2.is(username, hash),
        }
    }

    /// The value of an MS-CHAP-Error: wrong password (691), and no second try with the same
    /// challenge. `fresh` is random.
    pub fn error(&self, fresh: &[u8; 16]) -> Vec<u8> {
        let (ident, text) = match self {
            Self::V1(v1) => (v1.ident, "E=691 R=0".to_owned()),
            Self::V2(v2) => (v2.ident, error_message(fresh)),
        };
        [&[ident], text.as_bytes()].concat()
    }
}

impl<'a> V1<'a> {
    /// Ident, flags, LM-Response (24), NT-Response (24). RFC 2548 §2.1.3.
    fn parse(challenge: Option<&'a [u8]>, value: &'a [u8]) -> Option<Self> {
        let (&[ident, flags], rest) = value.split_first_chunk()?;
        let (_lan_manager, rest) = rest.split_first_chunk::<24>()?;
        let response: &NtResponse = rest.try_into().ok()?;
        // Else the NT-Response is empty: the LAN Manager one says next to nothing.
        (flags & 1 == 1).then_some(Self { ident, challenge: challenge?.try_into().ok()?, response })
    }

    /// Is it the answer of somebody who knows the password with this hash?
    pub fn is(&self, hash: &NtHash) -> bool {
        challenge_response(self.challenge, hash).ct_eq(self.response).into()
    }
}

impl<'a> V2<'a> {
    /// Ident, flags, Peer-Challenge (16), reserved (8), Response (24). RFC 2548 §2.3.2.
    fn parse(challenge: Option<&'a [u8]>, value: &'a [u8]) -> Option<Self> {
        let (&[ident, _flags], rest) = value.split_first_chunk()?;
        let (peer_challenge, rest) = rest.split_first_chunk::<16>()?;
        let (_reserved, rest) = rest.split_first_chunk::<8>()?;
        let response = rest.try_into().ok()?;
        Some(Self { ident, challenge: challenge?.try_into().ok()?, peer_challenge, response })
    }

    /// Is it the answer of somebody called `username` who knows the password with this hash?
    ///
    /// The name is taken without a Windows domain before it (RFC 2759 §8.2), and as it is where
    /// that is wrong: there are peers that leave it there.
    pub fn is(&self, username: &[u8], hash: &NtHash) -> bool {
        let with = |name| {
            let challenge = challenge_hash(self.peer_challenge, self.challenge, name);
            bool::from(challenge_response(&challenge, hash).ct_eq(self.response))
        };
        let bare = without_domain(username);
        with(bare) || (bare.len() < username.len() && with(username))
    }

    /// Proves to the peer that we know the password, too: `S=` and 40 digits. RFC 2759 §8.7.
    pub fn authenticator_response(&self, username: &[u8], hash: &NtHash) -> String {
        let mut name = without_domain(username);
        if name.len() < username.len() && !self.is(name, hash) {
            name = username;
        }
        let first = Sha1::new()
            .chain_update(md4(hash))
            .chain_update(self.response)
            .chain_update(b"Magic server to client signing constant");
        let second = Sha1::new()
            .chain_update(first.finalize())
            .chain_update(challenge_hash(self.peer_challenge, self.challenge, name))
            .chain_update(b"Pad to make it do more than one iteration");
        let mut text = "S=".to_owned();
        for octet in second.finalize() {
            write!(text, "{octet:02X}").expect("a string takes all text");
        }
        text
    }

    /// The value of an MS-CHAP2-Success.
    pub fn success(&self, username: &[u8], hash: &NtHash) -> Vec<u8> {
        [&[self.ident], self.authenticator_response(username, hash).as_bytes()].concat()
    }
}

/// The text of a refused MS-CHAPv2: wrong password (691), not to be tried again, a challenge that
/// nobody will answer, version 3. RFC 2759 §6.
pub fn error_message(fresh: &[u8; 16]) -> String {
    format!("E=691 R=0 C={:032X} V=3", u128::from_be_bytes(*fresh))
}

/// Keys for MPPE as the authenticator sees them, 128 bits each. RFC 3079 §3. They do not print and
/// are wiped when they go.
pub struct Keys {
    /// What the authenticator encrypts with: MS-MPPE-Send-Key.
    pub send: [u8; 16],
    /// What the peer encrypts with: MS-MPPE-Recv-Key.
    pub recv: [u8; 16],
}

impl Keys {
    /// Of an MS-CHAPv2 login that was right. RFC 3079 §3.3, §3.4.
    pub fn of(response: &NtResponse, hash: &NtHash) -> Self {
        let master = Sha1::new()
            .chain_update(md4(hash))
            .chain_update(response)
            .chain_update(b"This is the MPPE Master Key")
            .finalize();
        let master = master.first_chunk::<16>().expect("SHA-1 has 20 octets");
        let key = |magic: &[u8]| {
            let digest = Sha1::new()
                .chain_update(master)
                .chain_update([0; 40])
                .chain_update(magic)
                .chain_update([0xf2; 40])
                .finalize();
            *digest.first_chunk().expect("SHA-1 has 20 octets")
        };
        Self { send: key(SERVER_SENDS), recv: key(CLIENT_SENDS) }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.send.zeroize();
        self.recv.zeroize();
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(keys)")
    }
}

const CLIENT_SENDS: &[u8] = b"On the client side, this is the send key; \
    on the server side, it is the receive key.";
const SERVER_SENDS: &[u8] = b"On the client side, this is the receive key; \
    on the server side, it is the send key.";

/// What stands in an MS-CHAP-MPPE-Keys before it is hidden as a User-Password: no LAN Manager key
/// (8 zeros), the NT key (16), padding (8). RFC 2548 §2.4.1.
pub fn v1_mppe_keys(hash: &NtHash) -> [u8; 32] {
    let mut keys = [0; 32];
    if let Some(place) = keys.get_mut(8..24) {
        place.copy_from_slice(&md4(hash));
    }
    keys
}

/// The challenge that an MS-CHAPv2 peer really answers. RFC 2759 §8.2.
pub fn challenge_hash(
    peer_challenge: &[u8; 16],
    authenticator_challenge: &[u8; 16],
    username: &[u8],
) -> [u8; 8] {
    let digest = Sha1::new()
        .chain_update(peer_challenge)
        .chain_update(authenticator_challenge)
        .chain_update(username)
        .finalize();
    *digest.first_chunk().expect("SHA-1 has 20 octets")
}

/// What a peer answers to a challenge of 8 octets. RFC 2759 §8.5.
pub fn challenge_response(challenge: &[u8; 8], hash: &NtHash) -> NtResponse {
    let mut padded = [0; 21];
    for (place, &octet) in padded.iter_mut().zip(hash) {
        *place = octet;
    }
    let mut response = [0; 24];
    let (keys, _) = padded.as_chunks::<7>();
    let (places, _) = response.as_chunks_mut::<8>();
    for (place, key) in places.iter_mut().zip(keys) {
        let mut block = (*challenge).into();
        Des::new(&with_parity(*key).into()).encrypt_block(&mut block);
        *place = block.into();
    }
    padded.zeroize();
    response
}

/// DES takes seven bits of each octet; the eighth is not looked at.
fn with_parity(key: [u8; 7]) -> [u8; 8] {
    let bits = key.iter().fold(0_u64, |bits, &octet| bits << 8 | u64::from(octet));
    let mut spread = [0; 8];
    for (place, shift) in spread.iter_mut().rev().zip((0..56).step_by(7)) {
        *place = u8::try_from(bits >> shift & 0x7f).expect("seven bits") << 1;
    }
    spread
}

/// Of an NT hash: what the RFCs call PasswordHashHash.
fn md4(hash: &NtHash) -> [u8; 16] {
    Md4::digest(hash).into()
}

/// `DOMAIN\name` is `name`.
fn without_domain(username: &[u8]) -> &[u8] {
    let after = username.iter().rposition(|&octet| octet == b'\\').map_or(0, |at| at + 1);
    username.get(after..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::nt_hash;

    const CHALLENGE: [u8; 16] =
        *b"\x5b\x5d\x7c\x7d\x7b\x3f\x2f\x3e\x3c\x2c\x60\x21\x32\x26\x26\x28";
    const PEER: [u8; 16] = *b"\x21\x40\x23\x24\x25\x5e\x26\x2a\x28\x29\x5f\x2b\x3a\x33\x7c\x7e";
    const RESPONSE: NtResponse = [
        0x82, 0x30, 0x9e, 0xcd, 0x8d, 0x70, 0x8b, 0x5e, 0xa0, 0x8f, 0xaa, 0x39, 0x81, 0xcd, 0x83,
        0x54, 0x42, 0x33, 0x11, 0x4a, 0x3d, 0x85, 0xd6, 0xdf,
    ];

    fn v2() -> V2<'static> {
        V2 { ident: 7, challenge: &CHALLENGE, peer_challenge: &PEER, response: &RESPONSE }
    }

    /// RFC 2433, appendix B.2.
    #[test]
    fn version_1_answers_as_the_rfc() {
        let hash = nt_hash("MyPw");
        let expected = [
            0xfc, 0x15, 0x6a, 0xf7, 0xed, 0xcd, 0x6c, 0x0e, 0xdd, 0xe3, 0x33, 0x7d, 0x42, 0x7f,
            0x4e, 0xac,
        ];
        assert_eq!(hash, expected);
        let challenge = [0x10, 0x2d, 0xb5, 0xdf, 0x08, 0x5d, 0x30, 0x41];
        let response = [
            0x4e, 0x9d, 0x3c, 0x8f, 0x9c, 0xfd, 0x38, 0x5d, 0x5b, 0xf4, 0xd3, 0x24, 0x67, 0x91,
            0x95, 0x6c, 0xa4, 0xc3, 0x51, 0xab, 0x40, 0x9a, 0x3d, 0x61,
        ];
        assert_eq!(challenge_response(&challenge, &hash), response);
        let answer = V1 { ident: 1, challenge: &challenge, response: &response };
        assert!(answer.is(&hash));
        assert!(!answer.is(&nt_hash("mypw")));
    }

    /// RFC 2759 §9.2.
    #[test]
    fn version_2_answers_as_the_rfc() {
        let hash = nt_hash("clientPass");
        assert_eq!(
            challenge_hash(&PEER, &CHALLENGE, b"User"),
            [0xd0, 0x2e, 0x43, 0x86, 0xbc, 0xe9, 0x12, 0x26]
        );
        assert!(v2().is(b"User", &hash));
        assert!(!v2().is(b"user", &hash));
        assert!(!v2().is(b"User", &nt_hash("clientpass")));
        let hash_hash = [
            0x41, 0xc0, 0x0c, 0x58, 0x4b, 0xd2, 0xd9, 0x1c, 0x40, 0x17, 0xa2, 0xa1, 0x2f, 0xa5,
            0x9f, 0x3f,
        ];
        assert_eq!(md4(&hash), hash_hash);
        let proof = v2().authenticator_response(b"User", &hash);
        assert_eq!(proof, "S=407A5589115FD0D6209F510FE9C04566932CDA56");
        assert_eq!(v2().success(b"User", &hash), [b"\x07", proof.as_bytes()].concat());
        assert_eq!(v1_mppe_keys(&hash)[8..24], hash_hash);
    }

    /// RFC 3079 §3.5.3.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let keys = Keys::of(&RESPONSE, &nt_hash("clientPass"));
        let send = [
            0x8b, 0x7c, 0xdc, 0x14, 0x9b, 0x99, 0x3a, 0x1b, 0xa1, 0x18, 0xcb, 0x15, 0x3f, 0x56,
            0xdc, 0xcb,
        ];
        assert_eq!(keys.send, send);
        assert_ne!(keys.recv, send);
    }

    #[test]
    fn a_domain_may_be_counted_or_not() {
        let hash = nt_hash("clientPass");
        assert!(v2().is(b"OFFICE\\User", &hash));
        let proof = v2().authenticator_response(b"User", &hash);
        assert_eq!(v2().authenticator_response(b"OFFICE\\User", &hash), proof);

        let name = b"OFFICE\\User";
        let response = challenge_response(&challenge_hash(&PEER, &CHALLENGE, name), &hash);
        let counted = V2 { response: &response, ..v2() };
        assert!(counted.is(name, &hash));
        assert!(!counted.is(b"User", &hash));
        assert_ne!(counted.authenticator_response(name, &hash), proof);
    }

    #[test]
    fn attributes_of_another_length_are_no_answer() {
        let (long, short) = ([1; 16], [1; 8]);
        let value = [1; 50];
        let parts = |challenge, v1, v2| Answer::from_parts(challenge, v1, v2);
        assert_eq!(parts(None, None, None), Ok(None));
        assert_eq!(parts(Some(&long), None, None), Ok(None));
        assert!(matches!(parts(Some(&long), None, Some(&value)), Ok(Some(Answer::V2(_)))));
        assert!(matches!(parts(Some(&short), Some(&value), None), Ok(Some(Answer::V1(_)))));
        assert_eq!(parts(Some(&short), None, Some(&value)), Err(Malformed));
        assert_eq!(parts(Some(&long), Some(&value), None), Err(Malformed));
        assert_eq!(parts(None, None, Some(&value)), Err(Malformed));
        for len in 0..50 {
            assert_eq!(parts(Some(&long), None, value.get(..len)), Err(Malformed));
            assert_eq!(parts(Some(&short), value.get(..len), None), Err(Malformed));
        }
        let lan_manager_only = [0; 50];
        assert_eq!(parts(Some(&short), Some(&lan_manager_only), None), Err(Malformed));
    }

    #[test]
    fn who_is_refused_is_told_in_the_words_of_the_rfc() {
        let error = Answer::V2(v2()).error(&[0xab; 16]);
        let text = format!("\u{7}E=691 R=0 C={} V=3", "AB".repeat(16));
        assert_eq!(String::from_utf8(error), Ok(text));
    }
}
