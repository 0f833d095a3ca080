//! The user that runs Postgres: Postgres refuses root, so root steps down for it.

use std::{
    io,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};
use tokio::process::Command;

#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    #[error("there is no user `{0}` to run Postgres as")]
    NoSuchUser(String),
    #[error("Postgres cannot run as root, and there is neither a user `postgres` nor `nobody`")]
    Nobody,
    #[error("cannot look up users")]
    Lookup(#[source] nix::Error),
    #[error("only root can run Postgres as another user (`{0}`)")]
    NotRoot(String),
    #[error(
        "the user `{user}` cannot enter {}, so Postgres cannot run below it: \
         `chmod o+x` it, or choose another data directory", dir.display()
    )]
    Closed { user: String, dir: PathBuf },
    #[error("cannot give {} to the user that runs Postgres", path.display())]
    Give { path: PathBuf, source: io::Error },
}

/// Another user than ours, or none when we are not root.
#[derive(Clone, Debug)]
pub(super) struct Owner(Option<User>);

impl Owner {
    /// The named one, else `postgres`, else `nobody`.
    pub(super) fn choose(name: Option<&str>) -> Result<Self, OwnerError> {
        let find = |name: &str| User::from_name(name).map_err(OwnerError::Lookup);
        if !Uid::effective().is_root() {
            return match name {
                Some(name) if find(name)?.is_none_or(|user| user.uid != Uid::effective()) => {
                    Err(OwnerError::NotRoot(name.to_owned()))
                }
                Some(_) | None => Ok(Self(None)),
            };
        }
        if let Some(name) = name {
            let user = find(name)?.ok_or_else(|| OwnerError::NoSuchUser(name.to_owned()))?;
            return Ok(Self(Some(user)));
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = find(name)? {
                return Ok(Self(Some(user)));
            }
        }
        Err(OwnerError::Nobody)
    }

    /// A command that runs as this user, in a process group of its own: a Ctrl-C on the terminal
    /// is for the controller, which stops Postgres when it is done with it.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(user) = &self.0 {
            // Supplementary groups are dropped with the uid.
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.process_group(0).current_dir("/").stdin(std::process::Stdio::null());
        command
    }

    pub(super) fn give(&self, path: &Path) -> Result<(), OwnerError> {
        let Some(user) = &self.0 else { return Ok(()) };
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .map_err(|source| OwnerError::Give { path: path.to_owned(), source })
    }

    /// Finds the closed door before `initdb` says "Permission denied" about something else.
    pub(super) fn can_reach(&self, dir: &Path) -> Result<(), OwnerError> {
        let Some(user) = &self.0 else { return Ok(()) };
        for dir in dir.ancestors() {
            let Ok(meta) = dir.metadata() else { continue };
            let (mode, uid) = (meta.mode(), user.uid.as_raw());
            let open = if meta.uid() == uid {
                mode & 0o100 != 0
            } else if meta.gid() == user.gid.as_raw() {
                mode & 0o010 != 0
            } else {
                mode & 0o001 != 0
            };
            if !open {
                return Err(OwnerError::Closed { user: user.name.clone(), dir: dir.to_owned() });
            }
        }
        Ok(())
    }
}

/// The data directory can be entered by the user that runs Postgres, and not listed.
pub(super) const DATA_DIR_MODE: u32 = 0o711;
