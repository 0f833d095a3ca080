//! Secrets at rest: sealed with the master key, bound to the place where they are stored.
//!
//! A sealed value copied to another row, column or tenant does not open there. Passwords that need
//! only be checked are not sealed but hashed: see `operators::password`.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use shared::{id::TenantId, secret::Secret};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Where a sealed value is stored.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub tenant: TenantId,
    pub table: &'static str,
    pub row: Uuid,
    pub column: &'static str,
}

impl Place {
    fn bytes(&self) -> Vec<u8> {
        format!("{}|{}|{}|{}", self.tenant, self.table, self.row, self.column).into_bytes()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("cannot read the master key {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot make the master key {}", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("the master key {} must have 64 hexadecimal digits", .0.display())]
    Malformed(PathBuf),
    #[error("the master key {} may be read by others: `chmod 600` it", .0.display())]
    Open(PathBuf),
}

#[derive(Debug, thiserror::Error)]
#[error("{}.{} of {} does not open with this master key", .0.table, .0.column, .0.row)]
pub struct OpenError(Place);

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Seal {
    cipher: Arc<XChaCha20Poly1305>,
    /// From the same master key, for what is only compared.
    marks: Arc<Zeroizing<[u8; 32]>>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    pub fn new(key: &[u8; 32]) -> Self {
        let marks = hmac(key, &[b"kennet marks 1"]);
        Self {
            cipher: Arc::new(XChaCha20Poly1305::new(key.into())),
            marks: Arc::new(Zeroizing::new(marks)),
        }
    }

    /// Reads the key file of the settings, which must be there; or the one in the data
    /// directory, which is made at the first start.
    pub fn load(chosen: Option<&Path>, data_dir: &Path) -> Result<Self, MasterKeyError> {
        let path = chosen.map_or_else(|| data_dir.join("master.key"), Path::to_owned);
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && chosen.is_none() => {
                make(&path).map_err(|source| MasterKeyError::Make { path: path.clone(), source })?
            }
            Err(source) => return Err(MasterKeyError::Read { path, source }),
        };
        let mode = fs::metadata(&path).map(|meta| meta.permissions().mode());
        let mode = mode.map_err(|source| MasterKeyError::Read { path: path.clone(), source })?;
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::Open(path));
        }
        let key = unhex(text.trim()).ok_or(MasterKeyError::Malformed(path))?;
        Ok(Self::new(&key))
    }

    /// One version byte, a random nonce, the sealed text.
    pub fn seal(&self, place: &Place, secret: &Secret) -> Vec<u8> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        let payload = Payload { msg: secret.expose().as_bytes(), aad: &place.bytes() };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a secret is far shorter than what the cipher can take");
        [&[VERSION], nonce.as_slice(), &sealed].concat()
    }

    pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<Secret, OpenError> {
        self.try_open(place, sealed).ok_or(OpenError(*place))
    }

    /// What is stored of a short secret: whoever has only the database cannot guess it.
    pub fn mark(&self, tenant: TenantId, purpose: &'static str, secret: &str) -> [u8; 32] {
        let place = [purpose.as_bytes(), b"|", tenant.as_uuid().as_bytes(), secret.as_bytes()];
        hmac(&self.marks, &place)
    }

    fn try_open(&self, place: &Place, sealed: &[u8]) -> Option<Secret> {
        let (&VERSION, rest) = sealed.split_first()? else { return None };
        let (nonce, msg) = rest.split_first_chunk::<NONCE_LEN>()?;
        let payload = Payload { msg, aad: &place.bytes() };
        let text = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(text).ok().map(Secret::new)
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn make(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut key = Zeroizing::new([0_u8; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(io::Error::other)?;
    let text = Zeroizing::new(crate::token::hex(key.as_slice()));
    // With a Postgres of somebody else's, nobody has made the data directory before.
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text)
}

fn unhex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(key)
}

const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        let tenant = TenantId::from_uuid(Uuid::from_u128(1));
        Place { tenant, table: "nas", row: Uuid::from_u128(2), column: "secret_sealed" }
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_and_nowhere_else() {
        let seal = Seal::new(&[7; 32]);
        let secret = Secret::new("testing123".to_owned());
        let sealed = seal.seal(&place(), &secret);
        assert_eq!(seal.open(&place(), &sealed).unwrap(), secret);

        let elsewhere = [
            Place { tenant: TenantId::from_uuid(Uuid::from_u128(9)), ..place() },
            Place { table: "edge", ..place() },
            Place { row: Uuid::from_u128(9), ..place() },
            Place { column: "other", ..place() },
        ];
        for place in elsewhere {
            assert!(seal.open(&place, &sealed).is_err(), "{place:?}");
        }
        assert!(Seal::new(&[8; 32]).open(&place(), &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(seal.open(&place(), &sealed[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_mark_is_of_one_key_tenant_and_purpose() {
        let seal = Seal::new(&[7; 32]);
        let tenant = |n| TenantId::from_uuid(Uuid::from_u128(n));
        let mark = seal.mark(tenant(1), "voucher", "KEN3T7QW");
        assert_eq!(mark, seal.mark(tenant(1), "voucher", "KEN3T7QW"));
        assert_ne!(mark, seal.mark(tenant(2), "voucher", "KEN3T7QW"));
        assert_ne!(mark, seal.mark(tenant(1), "other", "KEN3T7QW"));
        assert_ne!(mark, seal.mark(tenant(1), "voucher", "KEN3T7QX"));
        assert_ne!(mark, Seal::new(&[8; 32]).mark(tenant(1), "voucher", "KEN3T7QW"));
    }

    #[test]
    fn two_seals_of_one_secret_differ() {
        let seal = Seal::new(&[7; 32]);
        let secret = Secret::new("testing123".to_owned());
        assert_ne!(seal.seal(&place(), &secret), seal.seal(&place(), &secret));
    }

    #[test]
    fn the_key_is_made_once_and_must_be_private() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("data");
        assert!(Seal::load(None, &below).is_ok());
        let mode = fs::metadata(&below).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let first = Seal::load(None, dir.path()).unwrap();
        let sealed = first.seal(&place(), &Secret::new("x".to_owned()));
        assert!(Seal::load(None, dir.path()).unwrap().open(&place(), &sealed).is_ok());

        let key = dir.path().join("master.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Seal::load(None, dir.path()), Err(MasterKeyError::Open(_))));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, "short").unwrap();
        assert!(matches!(Seal::load(None, dir.path()), Err(MasterKeyError::Malformed(_))));
        let missing = dir.path().join("missing.key");
        let chosen = Seal::load(Some(&missing), dir.path());
        assert!(matches!(chosen, Err(MasterKeyError::Read { .. })));
    }
}
