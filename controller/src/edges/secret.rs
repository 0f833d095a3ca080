//! How an edge proves who it is: a 256-bit secret, of which the office keeps only the hash.

use std::{error::Error, fmt};

use sha2::{Digest as _, Sha256};
use shared::id::EdgeId;
use subtle::ConstantTimeEq as _;

/// SHA-256 of a secret. The secrets are random and long, so one round is enough.
#[derive(Clone, Copy, Default)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// In constant time.
    pub fn matches(self, secret: &[u8]) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hash)")
    }
}

/// Where the hashes are. A trait, because the broker is also tested without a database.
pub trait EdgeSecrets: Send + Sync + 'static {
    type Error: Error + Send;

    /// `None` for an edge that is not there or whose access is revoked.
    fn secret_hash(
        &self,
        edge: EdgeId,
    ) -> impl Future<Output = Result<Option<SecretHash>, Self::Error>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_matches() {
        let hash = SecretHash::of(b"s3cret");
        assert!(hash.matches(b"s3cret"));
        for wrong in [&b""[..], b"s3cre", b"s3cret ", b"S3cret"] {
            assert!(!hash.matches(wrong));
        }
    }

    /// What an unknown edge is compared with.
    #[test]
    fn nothing_matches_the_empty_hash() {
        assert!(!SecretHash::default().matches(b""));
    }
}
