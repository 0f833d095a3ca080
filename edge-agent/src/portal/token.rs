//! What a form brings back: proof that this portal has shown it to this address (pure).
//!
//! Another page cannot read it, and so cannot send the form in the device's name.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

#[derive(Clone)]
pub(super) struct Tokens {
    hmac: Hmac<Sha256>,
}

impl Tokens {
    /// `key` is random, and made anew with each start.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { hmac: Hmac::new_from_slice(key).expect("HMAC takes keys of every length") }
    }

    pub(super) fn of(&self, address: IpAddr, now_ms: u64) -> String {
        let octets = self.hmac(address, now_ms / LASTS_MS).finalize().into_bytes();
        let hex = octets.iter().take(LEN).map(|octet| format!("{octet:02x}"));
        hex.collect()
    }

    /// For the rest of the hour in which the form was shown, and for one more.
    pub(super) fn is_of(&self, token: &str, address: IpAddr, now_ms: u64) -> bool {
        let Some(octets) = octets(token) else { return false };
        let now = now_ms / LASTS_MS;
        [now, now.saturating_sub(1)]
            .into_iter()
            .any(|hour| self.hmac(address, hour).verify_truncated_left(&octets).is_ok())
    }

    fn hmac(&self, address: IpAddr, hour: u64) -> Hmac<Sha256> {
        let address = match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        self.hmac.clone().chain_update(address.octets()).chain_update(hour.to_be_bytes())
    }
}

fn octets(token: &str) -> Option<[u8; LEN]> {
    if token.len() != 2 * LEN || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(token, 16).ok().map(u128::to_be_bytes)
}

/// Octets of a token: nobody guesses 128 bits.
const LEN: usize = 16;

const LASTS_MS: u64 = 60 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_good_for_its_address_and_for_an_hour() {
        let tokens = Tokens::new(&[7; 32]);
        let (here, there) = (IpAddr::from([10, 0, 0, 20]), IpAddr::from([10, 0, 0, 21]));
        let now = 5 * LASTS_MS + 1_000;
        let token = tokens.of(here, now);
        assert_eq!(token.len(), 32);
        assert!(tokens.is_of(&token, here, now));
        assert!(tokens.is_of(&token, here, now + LASTS_MS));
        assert!(tokens.is_of(&token, "::ffff:10.0.0.20".parse().unwrap(), now));
        assert!(!tokens.is_of(&token, here, now + 2 * LASTS_MS));
        assert!(!tokens.is_of(&token, there, now));
        assert!(!Tokens::new(&[8; 32]).is_of(&token, here, now));
    }

    #[test]
    fn anything_else_is_no_token() {
        let tokens = Tokens::new(&[7; 32]);
        let here = IpAddr::from([10, 0, 0, 20]);
        let token = tokens.of(here, 0);
        for wrong in ["", "00", &token[1..], &format!("{token}0"), &format!("+{}", &token[1..])] {
            assert!(!tokens.is_of(wrong, here, 0), "{wrong}");
        }
    }
}
