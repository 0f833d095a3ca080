//! User-Password (PAP) and CHAP-Password.

use std::fmt;

use md4::Md4;
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::{
    attr::AttrType,
    packet::{Authenticator, Packet},
    secret::Secret,
};

/// The longest password that User-Password carries, RFC 2865 §5.2.
pub const LEN_MAX: usize = 128;

const BLOCK: usize = 16;

/// A password as somebody has typed it. It does not print, and it is wiped when it goes.
pub struct Password {
    octets: [u8; LEN_MAX],
    len: usize,
}

/// The octets of a User-Password are not 16 to 128 in blocks of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a User-Password of {0} octets: it should be 16 to 128, in steps of 16")]
pub struct BadLength(pub usize);

impl Password {
    /// Takes the hiding off, RFC 2865 §5.2. The padding at the end is gone. With a wrong secret
    /// the result is just another password.
    pub fn reveal(
        hidden: &[u8],
        request: &Authenticator,
        secret: &Secret,
    ) -> Result<Self, BadLength> {
        let (blocks, rest) = hidden.as_chunks::<BLOCK>();
        if blocks.is_empty() || !rest.is_empty() || hidden.len() > LEN_MAX {
            return Err(BadLength(hidden.len()));
        }
        let mut password = Self { octets: [0; LEN_MAX], len: 0 };
        let (places, _) = password.octets.as_chunks_mut::<BLOCK>();
        let mut chain = request;
        for (place, block) in places.iter_mut().zip(blocks) {
            *place = xor(block, &mask(secret, chain));
            chain = block;
        }
        let used = password.octets.iter().rposition(|&octet| octet != 0);
        password.len = used.map_or(0, |last| last + 1);
        Ok(password)
    }

    /// As it was typed, where nothing hides it. `None` if it is longer than [`LEN_MAX`]: no
    /// User-Password could carry it either.
    pub fn typed(password: &[u8]) -> Option<Self> {
        let mut octets = [0; LEN_MAX];
        octets.get_mut(..password.len())?.copy_from_slice(password);
        Some(Self { octets, len: password.len() })
    }

    /// What was typed.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    /// Without telling by the time it takes how much of it is right.
    pub fn is(&self, expected: &[u8]) -> bool {
        self.as_bytes().ct_eq(expected).into()
    }

    /// As [`Password::is`], for who keeps an [`nt_hash`] and not the password.
    pub fn has_nt_hash(&self, expected: &[u8; 16]) -> bool {
        let typed = std::str::from_utf8(self.as_bytes());
        typed.is_ok_and(|text| nt_hash(text).ct_eq(expected).into())
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(password)")
    }
}

/// Hides a password for a User-Password attribute: the octets and how many of them count. `None`
/// if it is longer than 128 octets.
pub fn hide(
    password: &[u8],
    request: &Authenticator,
    secret: &Secret,
) -> Option<([u8; LEN_MAX], usize)> {
    let mut octets = [0; LEN_MAX];
    octets.get_mut(..password.len())?.copy_from_slice(password);
    let len = password.len().next_multiple_of(BLOCK).max(BLOCK);
    let (blocks, _) = octets.as_chunks_mut::<BLOCK>();
    let mut chain = *request;
    for block in blocks.iter_mut().take(len / BLOCK) {
        *block = xor(block, &mask(secret, &chain));
        chain = *block;
    }
    Some((octets, len))
}

fn mask(secret: &Secret, chain: &[u8; BLOCK]) -> [u8; BLOCK] {
    secret.md5().chain_update(chain).finalize().into()
}

fn xor(left: &[u8; BLOCK], right: &[u8; BLOCK]) -> [u8; BLOCK] {
    let mut out = *left;
    for (out, right) in out.iter_mut().zip(right) {
        *out ^= right;
    }
    out
}

/// MD4 of the password in UTF-16 (little-endian), as Windows and MS-CHAP keep it. RFC 2759 §8.3.
pub fn nt_hash(password: &str) -> [u8; 16] {
    let mut md4 = Md4::new();
    for unit in password.encode_utf16() {
        md4.update(unit.to_le_bytes());
    }
    md4.finalize().into()
}

/// A CHAP answer, RFC 2865 §2.2: an identifier and the MD5 over it, the password and a challenge.
#[derive(Clone, Copy, Debug)]
pub struct Chap<'a> {
    id: u8,
    answer: &'a [u8; 16],
    challenge: &'a [u8],
}

impl<'a> Chap<'a> {
    /// `None` if the request has no CHAP-Password of 17 octets. Without a CHAP-Challenge the
    /// challenge is the request's authenticator.
    pub fn of(request: &Packet<'a>) -> Option<Self> {
        let value = request.attr(AttrType::CHAP_PASSWORD)?.value;
        let (&id, answer) = value.split_first()?;
        let challenge = match request.attr(AttrType::CHAP_CHALLENGE) {
            Some(attr) => attr.value,
            None => request.authenticator(),
        };
        Some(Self { id, answer: answer.try_into().ok()?, challenge })
    }

    /// Is it the answer of somebody who knows `password`?
    pub fn is(&self, password: &[u8]) -> bool {
        chap_answer(self.id, password, self.challenge).ct_eq(self.answer).into()
    }
}

/// The answer to a CHAP challenge.
pub fn chap_answer(id: u8, password: &[u8], challenge: &[u8]) -> [u8; 16] {
    let md5 = Md5::new_with_prefix([id]).chain_update(password).chain_update(challenge);
    md5.finalize().into()
}
