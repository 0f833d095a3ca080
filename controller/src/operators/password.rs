//! Passwords of staff: argon2id, a few at a time, off the threads that serve. What an import
//! brought may be bcrypt, until its next login.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use shared::secret::Secret;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Cheap to clone; the limit is one for all clones.
#[derive(Clone, Debug)]
pub struct Hasher {
    permits: Arc<Semaphore>,
}

#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error("the password could not be hashed")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("the imported hash is none of bcrypt")]
    Bcrypt(#[from] bcrypt::BcryptError),
    #[error("the thread that hashes was lost")]
    Lost(#[from] tokio::task::JoinError),
}

impl Default for Hasher {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Hasher {
    /// A PHC string with its own salt and parameters.
    pub async fn hash(&self, password: &Secret) -> Result<String, HashError> {
        let password = password.clone();
        self.run(move || {
            let hash = Argon2::default().hash_password(password.expose().as_bytes());
            hash.map(|hash| hash.to_string())
        })
        .await?
        .map_err(HashError::Hash)
    }

    /// Without a hash (nobody has this login) it takes as long and says no, so that the time of
    /// an answer does not tell which logins there are.
    pub async fn verify(&self, password: &Secret, hash: Option<String>) -> Result<bool, HashError> {
        let password = password.clone();
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
        let fits = self.run(move || fits(&password, &hash)).await??;
        Ok(fits && known)
    }

    /// Should it be hashed anew when the password is at hand?
    pub fn is_stale(hash: &str) -> bool {
        hash.starts_with(BCRYPT)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        Ok(spawn_blocking(work).await?)
    }
}

fn fits(password: &Secret, hash: &str) -> Result<bool, HashError> {
    if Hasher::is_stale(hash) {
        return Ok(bcrypt::verify(password.expose(), hash)?);
    }
    let parsed = PasswordHash::new(hash).map_err(argon2::password_hash::Error::from)?;
    match Argon2::default().verify_password(password.expose().as_bytes(), &parsed) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// `$2a$`, `$2b$`, `$2x$`, `$2y$`.
const BCRYPT: &str = "$2";
/// Each takes 19 MiB and tens of milliseconds of a core.
const AT_ONCE: usize = 4;
/// Of a random password, with the parameters of every other.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$Sa8NDNuBoQA57HbsawFJFw$rRzHIBV4rqsAV7xA8yvMN1jN10bh3Vze/OHeL356JO4";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let hasher = Hasher::default();
        let (right, wrong) = (Secret::new("right".to_owned()), Secret::new("wrong".to_owned()));
        let hash = hasher.hash(&right).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify(&right, Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(&wrong, Some(hash)).await.unwrap());
        assert!(!hasher.verify(&right, None).await.unwrap());
    }

    /// From the test vectors of crypt_blowfish 1.3.
    #[tokio::test]
    async fn an_imported_hash_is_checked_and_stale() {
        let hasher = Hasher::default();
        let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert!(Hasher::is_stale(hash) && !Hasher::is_stale(NOBODYS));
        for (password, fits) in [("U*U", true), ("U*V", false), ("", false)] {
            let password = Secret::new(password.to_owned());
            assert_eq!(hasher.verify(&password, Some(hash.to_owned())).await.unwrap(), fits);
        }
    }
}
