//! Where maps and links outlive the process: a folder on a BPF file system.
//!
//! `PINS/v1/map-NAME` and `PINS/v1/link-INTERFACE-up|down`. The number is the layout of the maps:
//! another layout never opens these, it removes them once it has taken over.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::{
    LinkOrder, SchedClassifier, TcAttachType,
    links::{FdLink, LinkError, PinnedLink},
    tc::TcAttachOptions,
};
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

    fn link(&self, interface: &str, direction: Direction) -> PathBuf {
        let way = match direction {
            Direction::Down => "down",
            Direction::Up => "up",
        };
        self.folder.join(format!("link-{interface}-{way}"))
    }

    /// Attaches the program, in the place of the one that a process before has left there: no
    /// packet passes between the two.
    pub(super) fn attach(
        &self,
        program: &mut SchedClassifier,
        interface: &str,
        direction: Direction,
    ) -> Result<(), DataplaneError> {
        let path = self.link(interface, direction);
        let attempt = || format!("attach the program of {}", path.display());
        if let Some(pinned) = open_link(&path).within(attempt)? {
            let link = FdLink::from(pinned).try_into().within(attempt)?;
            match program.attach_to_link(link) {
                // Dropping the link leaves the pin, and the pin keeps it attached.
                Ok(link) => return program.take_link(link).map(drop).within(attempt),
                // The interface it was attached to is gone; this one has only the same name.
                Err(error) => {
                    tracing::info!("{} is stale: {error}", path.display());
                    fs::remove_file(&path).within(attempt)?;
                }
            }
        }
        let side = match direction {
            Direction::Down => TcAttachType::Egress,
            Direction::Up => TcAttachType::Ingress,
        };
        let order = TcAttachOptions::TcxOrder(LinkOrder::default());
        let link = program.attach_with_options(interface, side, order).within(attempt)?;
        let link = program.take_link(link).within(attempt)?;
        let link: FdLink = link.try_into().within(attempt)?;
        link.pin(&path).map(drop).within(attempt)
    }

    /// Detaches from interfaces that are not in `kept`, and removes what other layouts have left.
    pub(super) fn sweep(&self, kept: &[String]) -> Result<(), DataplaneError> {
        for (name, path) in entries(&self.folder)? {
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.within(|| format!("remove {}", self.folder.display()))?,
        }
        // It may have been made for us alone, or be one that everybody uses.
        if let Err(error) = fs::remove_dir(&self.root) {
            tracing::debug!("{} stays: {error}", self.root.display());
        }
        Ok(())
    }
}

fn open_link(path: &Path) -> Result<Option<PinnedLink>, LinkError> {
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
