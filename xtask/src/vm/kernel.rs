//! Which kernels there are, and where they are kept.

use std::{
    env,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// A line of kernels that get repairs and nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    V6_1,
    V6_12,
}

/// A kernel that is here, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// As `uname -r` says it.
    pub(super) version: String,
    /// With `vmlinux` and `lib/modules`.
    pub(super) folder: PathBuf,
}

impl Series {
    pub(super) const ALL: [Self; 2] = [Self::V6_1, Self::V6_12];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// Debian's releases that have it, to be tried in this order.
    pub(super) const fn suites(self) -> &'static [&'static str] {
        match self {
            Self::V6_1 => &["bookworm"],
            Self::V6_12 => &["trixie", "bookworm-backports"],
        }
    }

    fn has(self, version: &str) -> bool {
        version.strip_prefix(self.name()).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The newest that is here.
    pub(super) fn newest_here(self) -> Result<Option<Kernel>> {
        Ok(all()?.into_iter().rfind(|kernel| self.has(&kernel.version)))
    }
}

impl clap::ValueEnum for Series {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(self.name().into())
    }
}

/// Every kernel that is here, the newest last.
pub(super) fn all() -> Result<Vec<Kernel>> {
    let folder = folder()?;
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let mut kernels = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let version = entry.file_name().to_string_lossy().into_owned();
        if Series::ALL.iter().any(|series| series.has(&version)) {
            kernels.push(Kernel { version, folder: entry.path() });
        }
    }
    kernels.sort_by_key(|kernel| numbers(&kernel.version));
    Ok(kernels)
}

/// Not in `target/`: they outlive a checkout, and all checkouts share them.
pub(super) fn folder() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME says where to keep kernels")?;
    Ok(cache.join("kennet/vm"))
}

/// Until the file is dropped, nobody else fetches.
pub(super) fn alone(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// What orders versions: 6.1.9 comes before 6.1.10.
fn numbers(version: &str) -> Vec<u64> {
    let runs = version.split(|letter: char| !letter.is_ascii_digit());
    runs.filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_knows_its_own() {
        assert!(Series::V6_1.has("6.1.0-50-amd64"));
        assert!(!Series::V6_1.has("6.12.117+deb13-amd64"));
        assert!(Series::V6_12.has("6.12.117+deb13-amd64"));
        assert!(!Series::V6_12.has("fetching"));
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(numbers("6.1.0-9-amd64") < numbers("6.1.0-50-amd64"));
        assert!(numbers("6.12.95+deb12-amd64") < numbers("6.12.117+deb13-amd64"));
    }
}
