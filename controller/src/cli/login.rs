//! Where the command line keeps who it is: a file that only its owner reads.

use std::{
    env, fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};
use shared::secret::Secret;

use super::CliError;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Login {
    pub(super) server: String,
    pub(super) token: Secret,
}

impl Login {
    pub(super) fn read() -> Result<Self, CliError> {
        let path = path()?;
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|_| CliError::NotALogin(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CliError::NotLoggedIn),
            Err(source) => Err(CliError::File { attempt: "read", path, source }),
        }
    }

    pub(super) fn write(&self) -> Result<PathBuf, CliError> {
        let path = path()?;
        self.write_to(&path).map_err(|source| {
            let path = path.clone();
            CliError::File { attempt: "write", path, source }
        })?;
        Ok(path)
    }

    /// Beside it first, so that nobody reads half of it, and never with other rights.
    fn write_to(&self, path: &Path) -> io::Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let beside = path.with_extension("new");
        if beside.exists() {
            fs::remove_file(&beside)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(beside, path)
    }

    pub(super) fn forget() -> Result<(), CliError> {
        let path = path()?;
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(CliError::File { attempt: "remove", path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn path() -> Result<PathBuf, CliError> {
    let set = |key: &str| env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("KENNET_LOGIN_FILE")
        .or_else(|| set("XDG_CONFIG_HOME").map(|dir| dir.join("kennet/login.json")))
        .or_else(|| set("HOME").map(|home| home.join(".config/kennet/login.json")))
        .ok_or(CliError::NoHome)
}

/// From the file, or from standard input: typed without an echo if somebody types it.
pub(super) fn password(file: Option<&Path>) -> Result<Secret, CliError> {
    let text = match file {
        Some(path) => fs::read_to_string(path).map_err(|source| {
            let path = path.to_owned();
            CliError::File { attempt: "read", path, source }
        })?,
        None => type_password().map_err(CliError::Password)?,
    };
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn type_password() -> io::Result<String> {
    let typed = io::stdin().is_terminal();
    if typed {
        let mut out = io::stderr();
        write!(out, "Password: ")?;
        out.flush()?;
        Command::new("stty").arg("-echo").status()?;
    }
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    if typed {
        Command::new("stty").arg("echo").status()?;
        writeln!(io::stderr())?;
    }
    read.map(|_| line)
}
