//! The last good copy of the desired state, written atomically, read at start.
//!
//! It holds the passwords of subscribers and the secrets of NASes: mode 0600, in the state
//! folder.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use shared::wire::latest::desired::Desired;

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("cannot {attempt} {path}")]
    Io { attempt: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is not a desired state")]
    Malformed { path: PathBuf, source: serde_json::Error },
}

/// `None` if there is no copy yet.
pub fn load(folder: &Path) -> Result<Option<Desired>, DiskError> {
    let path = folder.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DiskError::Io { attempt: "read", path, source }),
    };
    match serde_json::from_slice(&bytes) {
        Ok(desired) => Ok(Some(desired)),
        Err(source) => Err(DiskError::Malformed { path, source }),
    }
}

/// When it returns, the copy is on the disk; until then the one before is.
pub fn save(folder: &Path, desired: &Desired) -> Result<(), DiskError> {
    let path = folder.join(NAME);
    let bytes = serde_json::to_vec(desired)
        .map_err(|source| DiskError::Malformed { path: path.clone(), source })?;
    let scratch = folder.join(SCRATCH);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&scratch)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&scratch, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| DiskError::Io { attempt: "write", path, source })
}

const NAME: &str = "desired.json";
const SCRATCH: &str = "desired.json.new";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_copy_comes_back_and_only_the_agent_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), None);
        let desired = Desired { revision: 7, ..Desired::default() };
        save(folder.path(), &desired).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(desired));
        let mode = fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_copy_that_is_cut_short_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "{\"revision\":").unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(error.to_string().contains(NAME), "{error}");
    }
}
