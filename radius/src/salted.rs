//! Salt encryption of a reply's secrets: Tunnel-Password (RFC 2868 §3.5) and the keys of MPPE
//! (RFC 2548 §2.4.2).
//!
//! What goes into a packet is two octets of salt and the ciphertext; a Tunnel-Password has its
//! tag before that. [`crate::Writer::salted`] and [`crate::Writer::vendor_salted`] write it in
//! one step.

use std::fmt;

use md5::Digest as _;
use zeroize::Zeroize as _;

use crate::{packet::Authenticator, secret::Secret};

/// The longest text that can be encrypted, in octets: with its length and two octets of salt it
/// fills a Tunnel-Password.
pub const PLAIN_LEN_MAX: usize = CIPHER_LEN_MAX - 1;

const BLOCK: usize = 16;
const SALT_LEN: usize = 2;
const CIPHER_LEN_MAX: usize = 15 * BLOCK;

/// Two octets that no other attribute of the same packet has. The leading bit is always set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(u16);

impl Salt {
    /// From random octets.
    pub const fn new(random: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(random) | LEADING_BIT)
    }

    /// Another one, for the next attribute of the packet.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1) | LEADING_BIT)
    }
}

const LEADING_BIT: u16 = 0x8000;

/// Salt and ciphertext.
#[derive(Clone, Copy)]
pub struct Salted {
    octets: [u8; SALT_LEN + CIPHER_LEN_MAX],
    len: usize,
}

impl Salted {
    /// As they stand in an attribute.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Salted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} octets with their salt)", self.len)
    }
}

/// What was encrypted. It does not print, and it is wiped when it goes.
pub struct Plain {
    octets: [u8; CIPHER_LEN_MAX],
    len: usize,
}

impl Plain {
    /// Without length and padding.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(1..1 + self.len).unwrap_or_default()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Why octets are not salt-encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaltedError {
    /// Not two octets of salt and 1 to 15 blocks of 16.
    #[error("{0} octets: it should be 2 of salt and 16 to 240 in steps of 16")]
    Length(usize),
    /// The length inside is more than there is.
    #[error("it was not encrypted with this secret for this request")]
    Secret,
}

/// Encrypts for the reply to a request with this authenticator. `None` if `plain` is longer than
/// [`PLAIN_LEN_MAX`].
pub fn encrypt(
    plain: &[u8],
    salt: Salt,
    request: &Authenticator,
    secret: &Secret,
) -> Option<Salted> {
    let len = u8::try_from(plain.len()).ok()?;
    let mut octets = [0; SALT_LEN + CIPHER_LEN_MAX];
    let (salt_place, text) = octets.split_first_chunk_mut::<SALT_LEN>()?;
    *salt_place = salt.0.to_be_bytes();
    let (len_place, place) = text.split_first_mut()?;
    *len_place = len;
    place.get_mut(..plain.len())?.copy_from_slice(plain);
    let used = (1 + plain.len()).next_multiple_of(BLOCK);
    let (blocks, _) = text.as_chunks_mut::<BLOCK>();
    let mut mask = first_mask(secret, request, *salt_place);
    for block in blocks.iter_mut().take(used / BLOCK) {
        xor(block, &mask);
        mask = next_mask(secret, block);
    }
    Some(Salted { octets, len: SALT_LEN + used })
}

/// Decrypts what stands in the reply to a request with this authenticator.
pub fn decrypt(
    salted: &[u8],
    request: &Authenticator,
    secret: &Secret,
) -> Result<Plain, SaltedError> {
    let bad_length = SaltedError::Length(salted.len());
    let (salt, cipher) = salted.split_first_chunk::<SALT_LEN>().ok_or(bad_length)?;
    let (blocks, rest) = cipher.as_chunks::<BLOCK>();
    if blocks.is_empty() || !rest.is_empty() || cipher.len() > CIPHER_LEN_MAX {
        return Err(bad_length);
    }
    let mut plain = Plain { octets: [0; CIPHER_LEN_MAX], len: 0 };
    let (places, _) = plain.octets.as_chunks_mut::<BLOCK>();
    let mut mask = first_mask(secret, request, *salt);
    for (place, block) in places.iter_mut().zip(blocks) {
        *place = *block;
        xor(place, &mask);
        mask = next_mask(secret, block);
    }
    let len = usize::from(plain.octets[0]);
    if len >= cipher.len() {
        return Err(SaltedError::Secret);
    }
    plain.len = len;
    Ok(plain)
}

fn first_mask(secret: &Secret, request: &Authenticator, salt: [u8; SALT_LEN]) -> [u8; BLOCK] {
    secret.md5().chain_update(request).chain_update(salt).finalize().into()
}

fn next_mask(secret: &Secret, block: &[u8; BLOCK]) -> [u8; BLOCK] {
    secret.md5().chain_update(block).finalize().into()
}

fn xor(block: &mut [u8; BLOCK], mask: &[u8; BLOCK]) {
    for (octet, mask) in block.iter_mut().zip(mask) {
        *octet ^= mask;
    }
}
