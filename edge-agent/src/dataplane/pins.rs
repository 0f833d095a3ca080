//! Where maps and links outlive the process: a folder on a BPF file system.
//!
//! `PINS/v2/map-NAME` and `PINS/v2/link-INTERFACE-up|down`. The number is the layout of the maps:
//! another layout never opens these; it takes over what is in them, and then removes them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::links::{LinkError, PinnedLink};
use ebpf::layout::{Direction, LAYOUT};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::{DataplaneError, Within};

#[derive(Clone, Debug)]
pub(super) struct Pins {
    root: PathBuf,
    /// Of this layout.
    folder: PathBuf,
}

impl Pins {
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), folder: root.join(format!("v{LAYOUT}")) }
    }

    /// Makes the folder, and mounts the BPF file system where everybody has it if it is not there.
    pub(super) fn prepare(&self) -> Result<(), DataplaneError> {
        if !is_bpffs(&self.root)? && self.root.starts_with(BPFFS) {
            mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), None::<&str>)
                .within(|| format!("mount a BPF file system on {BPFFS}"))?;
            tracing::info!("mounted a BPF file system on {BPFFS}");
        }
        if !is_bpffs(&self.root)? {
            return Err(DataplaneError::NoBpffs(self.root.clone()));
        }
        fs::create_dir_all(&self.folder)
            .within(|| format!("make the folder {}", self.folder.display()))
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.folder.join(format!("map-{name}"))
    }

    pub(super) fn link(&self, interface: &str, direction: Direction) -> PathBuf {
        let way = match direction {
            Direction::Down => "down",
            Direction::Up => "up",
        };
        self.folder.join(format!("link-{interface}-{way}"))
    }

    /// The pins of another layout, if there are any.
    pub(super) fn of_layout(&self, layout: u32) -> Option<Self> {
        let folder = self.root.join(format!("v{layout}"));
        folder.is_dir().then(|| Self { root: self.root.clone(), folder })
    }

    /// Puts a link of another layout here: the interface keeps it, and it gets our program.
    pub(super) fn inherit(
        &self,
        from: &Self,
        interface: &str,
        direction: Direction,
    ) -> Result<(), DataplaneError> {
        let (from, to) = (from.link(interface, direction), self.link(interface, direction));
        if !from.exists() || to.exists() {
            return Ok(());
        }
        fs::rename(&from, &to).within(|| format!("move {} to {}", from.display(), to.display()))
    }

    /// Detaches from interfaces that are not in `kept`, and removes what other layouts have left.
    pub(super) fn sweep(&self, kept: &[String]) -> Result<(), DataplaneError> {
        let own = if self.folder.is_dir() { entries(&self.folder)? } else { Vec::new() };
        for (name, path) in own {
            let interface = name
                .strip_prefix("link-")
                .and_then(|rest| rest.strip_suffix("-up").or(rest.strip_suffix("-down")));
            if interface.is_some_and(|interface| !kept.iter().any(|kept| kept == interface)) {
                fs::remove_file(&path).within(|| format!("remove {}", path.display()))?;
            }
        }
        for (name, path) in entries(&self.root)? {
            let is_layout = name.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok());
            if is_layout && path != self.folder {
                fs::remove_dir_all(&path).within(|| format!("remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Detaches everywhere, then forgets the maps.
    pub(super) fn remove(&self) -> Result<(), DataplaneError> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.within(|| format!("remove {}", self.folder.display()))?,
        }
        if self.root.is_dir() {
            self.sweep(&[])?;
        }
        // It may have been made for us alone, or be one that everybody uses.
        if let Err(error) = fs::remove_dir(&self.root) {
            tracing::debug!("{} stays: {error}", self.root.display());
        }
        Ok(())
    }
}

pub(super) fn open_link(path: &Path) -> Result<Option<PinnedLink>, LinkError> {
    match PinnedLink::from_pin(path) {
        Ok(link) => Ok(Some(link)),
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataplaneError> {
    let attempt = || format!("list {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).within(attempt)? {
        let entry = entry.within(attempt)?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    Ok(found)
}

/// Whether the nearest folder above that exists is on a BPF file system.
fn is_bpffs(path: &Path) -> Result<bool, DataplaneError> {
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let about =
        statfs(there).within(|| format!("ask for the file system of {}", there.display()))?;
    Ok(about.filesystem_type() == BPF_FS_MAGIC)
}

/// Where distributions mount it.
const BPFFS: &str = "/sys/fs/bpf";
