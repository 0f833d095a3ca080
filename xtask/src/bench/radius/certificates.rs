//! The certificates of the bench: ECDSA on P-256, as both servers show them.

use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;

use super::request::username;
use crate::provider::authority::{Authority, Identity, Role};

pub(super) struct Certificates {
    pub(super) ca: PathBuf,
    pub(super) server: Identity,
    /// The first subscriber's.
    pub(super) client: Identity,
    _folder: TempDir,
}

/// What the server's certificate says.
pub(super) const SERVER: &str = "radius.bench";

impl Certificates {
    pub(super) fn make() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new(folder.path(), "authority")?;
        Ok(Self {
            ca: authority.certificate().to_owned(),
            server: authority.issue(Role::Server, SERVER)?,
            client: authority.issue(Role::Client, &client())?,
            _folder: folder,
        })
    }
}

/// Who logs in with a certificate.
pub(super) fn client() -> String {
    username(0)
}
