//! The secret that a client and a server share.

use std::fmt;

use hmac::{Hmac, KeyInit as _};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

/// A shared secret, with the work that is the same for every packet done once.
///
/// It does not print and its text is wiped when it goes.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<Box<[u8]>>,
    /// MD5 after the secret.
    md5: Md5,
    /// HMAC-MD5 after its key.
    hmac: Hmac<Md5>,
}

impl Secret {
    /// RFC 2865 §3 wants at least 16 octets; what a NAS was given is what has to be used.
    pub fn new(text: &[u8]) -> Self {
        Self {
            text: Zeroizing::new(Box::from(text)),
            md5: Md5::new_with_prefix(text),
            hmac: Hmac::new_from_slice(text).expect("HMAC takes keys of every length"),
        }
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn md5(&self) -> Md5 {
        self.md5.clone()
    }

    pub(crate) fn hmac(&self) -> Hmac<Md5> {
        self.hmac.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
