//! Writes pairs, and encrypts those that are to be encrypted.

use md5::{Digest as _, Md5};

use super::{EncodeError, Writer, place::kind};
use crate::{
    dictionary::{Encryption, Pair},
    password,
    salted::{self, Salt},
    secret::Secret,
};

impl Writer<'_> {
    /// Adds a pair that needs no encryption.
    pub fn pair(&mut self, pair: &Pair) -> &mut Self {
        if pair.encryption().is_some() {
            return self.fail(EncodeError::NotEncrypted { kind: kind(pair.place()) });
        }
        self.place(pair.place(), pair.tag(), pair.value())
    }

    /// Adds a pair, encrypted if it has to be: for this packet, with a salt that no other
    /// attribute of it has.
    pub fn pair_with(&mut self, pair: &Pair, salt: Salt, secret: &Secret) -> &mut Self {
        let (plain, place) = (pair.value(), pair.place());
        let too_long = EncodeError::ValueTooLong { kind: kind(place), len: plain.len() };
        match pair.encryption() {
            None => self.pair(pair),
            Some(Encryption::UserPassword) => match password::hide(plain, &self.nonce, secret) {
                Some((hidden, len)) => {
                    self.place(place, pair.tag(), hidden.get(..len).unwrap_or_default())
                }
                None => self.fail(too_long),
            },
            Some(Encryption::Salted) => match salted::encrypt(plain, salt, &self.nonce, secret) {
                Some(salted) => self.place(place, pair.tag(), salted.as_bytes()),
                None => self.fail(too_long),
            },
            Some(Encryption::Ascend) => {
                let mut octets: [u8; 16] =
                    Md5::new_with_prefix(self.nonce).chain_update(secret.text()).finalize().into();
                if plain.len() > octets.len() {
                    return self.fail(too_long);
                }
                for (octet, plain) in octets.iter_mut().zip(plain) {
                    *octet ^= plain;
                }
                self.place(place, pair.tag(), &octets)
            }
        }
    }
}
