//! Where the command line keeps who it is: a file that only its owner reads.

use std::{
    env, fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::secret::Secret;

use super::{CliError, client::Client};
use crate::clock;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Login {
    pub(super) server: String,
    pub(super) token: Secret,
    /// For the next token; not in files of before.
    #[serde(default)]
    refresh_token: Option<Secret>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

impl Login {
    /// What the controller told who logged in.
    pub(super) fn of(server: &str, answer: &Value) -> Result<Self, CliError> {
        let text = |key: &str| answer.get(key).and_then(Value::as_str);
        let secret = |key: &str| text(key).map(|text| Secret::new(text.to_owned()));
        Ok(Self {
            server: server.to_owned(),
            token: secret("token").ok_or(CliError::Lacks("token"))?,
            refresh_token: secret("refresh_token"),
            expires_at: text("expires_at").and_then(|text| text.parse().ok()),
        })
    }

    /// As it was kept; with a new token, if that is about to expire.
    pub(super) async fn fresh() -> Result<Self, CliError> {
        let kept = Self::read()?;
        if !kept.is_stale() {
            return Ok(kept);
        }
        // A refresh token is good once, and another `kennet` may run at the same time.
        let path = path()?.with_extension("lock");
        let lock = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let _locked = lock
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|source| CliError::File { attempt: "lock", path, source })?;
        let kept = Self::read()?;
        let Some(refresh_token) = kept.refresh_token.as_ref().filter(|_| kept.is_stale()) else {
            return Ok(kept);
        };
        let client = Client::anonymous(&kept.server);
        let body = json!({ "refresh_token": refresh_token });
        let new = Self::of(&kept.server, &client.post("/api/auth/refresh", &body).await?)?;
        new.write()?;
        Ok(new)
    }

    fn is_stale(&self) -> bool {
        let soon = clock::now() + SignedDuration::from_mins(1);
        self.refresh_token.is_some() && self.expires_at.is_some_and(|at| at <= soon)
    }

    fn read() -> Result<Self, CliError> {
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
