//! Finds the programs of Postgres on this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    #[error(
        "no Postgres {OLDEST} or newer is installed: looked in {looked}. Install it \
         (`apt-get install postgresql`), set KENNET_PG_BIN, or use a database of your own with \
         KENNET_DATABASE_URL"
    )]
    Missing { looked: String },
    #[error(
        "{} was made by Postgres {made_by}, and here is only {found}: install Postgres {made_by}, \
         or move the data with `pg_upgrade`", cluster.display()
    )]
    OtherMajor { cluster: PathBuf, made_by: u32, found: String },
    #[error("KENNET_PG_BIN is {}, and there is no `postgres` that runs", .0.display())]
    NotThere(PathBuf),
}

/// A folder with `postgres` and `initdb` of one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Programs {
    major: u32,
    dir: PathBuf,
}

impl Programs {
    /// The version that made the cluster if there is one, else the newest.
    pub(super) fn find(
        chosen: Option<&Path>,
        made_by: Option<u32>,
        cluster: &Path,
    ) -> Result<Self, ProgramsError> {
        let mut found: Vec<Self> = match chosen {
            Some(dir) => vec![Self::at(dir).ok_or_else(|| ProgramsError::NotThere(dir.into()))?],
            None => candidates().iter().filter_map(|dir| Self::at(dir)).collect(),
        };
        found.sort();
        if let Some(made_by) = made_by {
            let seen = list(found.iter().map(|programs| programs.major.to_string()));
            let fit = found.into_iter().find(|programs| programs.major == made_by);
            let cluster = cluster.to_owned();
            return fit.ok_or(ProgramsError::OtherMajor { cluster, made_by, found: seen });
        }
        found.retain(|programs| programs.major >= OLDEST);
        found.pop().ok_or_else(|| ProgramsError::Missing {
            looked: list(candidates().iter().map(|dir| dir.display().to_string())),
        })
    }

    fn at(dir: &Path) -> Option<Self> {
        let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
        let major = major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { major, dir: dir.to_owned() }).filter(|programs| programs.initdb().is_file())
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Ok(entries) = fs::read_dir(DEBIAN) {
        dirs.extend(entries.flatten().map(|entry| entry.path().join("bin")));
    }
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    if let Some(path) = env::var_os("PATH") {
        dirs.extend(env::split_paths(&path).filter(|dir| dir.join("postgres").is_file()));
    }
    dirs.push(PathBuf::from(DEBIAN).join("*/bin"));
    dirs
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 15; `17beta1` → 17.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(char::is_numeric))?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..end)?.parse().ok()
}

fn list(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// Oldest major version whose every feature the migrations may use.
const OLDEST: u32 = 15;
const DEBIAN: &str = "/usr/lib/postgresql";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says_of_itself() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major("sh: not found"), None);
    }

    #[test]
    fn another_major_version_is_refused_with_both_numbers() {
        let error = Programs::find(None, Some(9), Path::new("/data/postgres")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("/data/postgres was made by Postgres 9, and here is only "));
    }

    #[test]
    fn a_chosen_folder_without_postgres_is_named() {
        let error = Programs::find(Some(Path::new("/nowhere")), None, Path::new("/d")).unwrap_err();
        let want = "KENNET_PG_BIN is /nowhere, and there is no `postgres` that runs";
        assert_eq!(error.to_string(), want);
    }
}
