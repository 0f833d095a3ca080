//! What signs callbacks. Pure; compared in constant time.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha512};

use super::Unreadable;

pub(super) fn sha256(key: &str, message: &[&[u8]], signature: &[u8]) -> Result<(), Unreadable> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length");
    for part in message {
        mac.update(part);
    }
    mac.verify_slice(signature).map_err(|_| Unreadable::Forged)
}

pub(super) fn sha512(key: &str, message: &[u8], signature: &[u8]) -> Result<(), Unreadable> {
    let mut mac =
        Hmac::<Sha512>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(message);
    mac.verify_slice(signature).map_err(|_| Unreadable::Forged)
}

pub(super) fn unhex(text: &str) -> Result<Vec<u8>, Unreadable> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(2) {
        return Err(Unreadable::Forged);
    }
    let byte = |pair: &[u8]| {
        let text = str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    text.chunks(2).map(|pair| byte(pair).ok_or(Unreadable::Forged)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_cases_verify_and_others_do_not() {
        // RFC 4231 §4.3.
        let of_256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let of_512 = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                      9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";
        let message = b"what do ya want for nothing?".as_slice();
        let (one, other) = (unhex(of_256).unwrap(), unhex(of_512).unwrap());
        assert!(sha256("Jefe", &[message], &one).is_ok());
        assert!(sha256("Jefe", &[message.split_at(5).0, message.split_at(5).1], &one).is_ok());
        assert!(sha512("Jefe", message, &other).is_ok());
        assert!(sha256("jefe", &[message], &one).is_err());
        assert!(sha512("Jefe", b"what", &other).is_err());
        assert!(sha256("Jefe", &[message], &[]).is_err());
        for wrong in ["0", "zz", "é"] {
            assert!(unhex(wrong).is_err(), "{wrong}");
        }
    }
}
