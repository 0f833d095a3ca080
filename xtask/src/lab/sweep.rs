//! Removing a lab, from nothing but its folder.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{lab::PREFIX, workspace};

/// The environment variable that says whose a process is; children inherit it.
pub(super) const MARK: &str = "KENNET_LAB";

/// Where labs have their folders. On disk, so that `fsync` means something.
pub(super) fn folder() -> PathBuf {
    std::env::temp_dir()
}

/// Writes down who owns the lab in `dir`, so that its death can be seen.
pub(super) fn own(dir: &Path) -> Result<()> {
    let pid = std::process::id();
    let started = started(pid).context("cannot read /proc/self/stat")?;
    fs::write(dir.join(OWNER), format!("{pid} {started}"))
        .with_context(|| format!("cannot write into {}", dir.display()))
}

/// Labs whose owner is gone.
pub(super) fn dead_labs() -> Result<Vec<PathBuf>> {
    let folder = folder();
    let mut dead = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let number = |text: &str| text.parse::<u32>().ok();
        let Some((pid, lab)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'))
        else {
            continue;
        };
        let (Some(pid), Some(_)) = (number(pid), number(lab)) else { continue };
        let Some(now) = started(pid) else {
            dead.push(entry.path());
            continue;
        };
        // Without an owner's file it is being made just now.
        let owner = fs::read_to_string(entry.path().join(OWNER)).unwrap_or_default();
        if !owner.is_empty() && owner != format!("{pid} {now}") {
            dead.push(entry.path());
        }
    }
    Ok(dead)
}

/// Waits until standard input ends, which is when the lab's owner is gone, then sweeps.
pub fn when_gone(dir: &Path) -> Result<()> {
    io::copy(&mut io::stdin(), &mut io::sink()).context("cannot read standard input")?;
    if dir.exists() { lab(dir) } else { Ok(()) }
}

/// Ends the lab's processes, removes its namespaces, mounts and files. Twice is fine, also at once:
/// whoever begins a lab sweeps those of the dead, while their wardens do.
pub fn lab(dir: &Path) -> Result<()> {
    let name = dir.file_name().context("a lab's folder has a name")?.to_string_lossy().into_owned();
    if !name.starts_with(PREFIX) {
        bail!("{} is not a lab", dir.display());
    }
    // Gone with this process, however that ends; the folder itself goes last.
    let turn = File::open(dir);
    if let Ok(turn) = &turn {
        turn.lock().with_context(|| format!("cannot lock {}", dir.display()))?;
        if !dir.exists() {
            return Ok(());
        }
    }
    end_processes(&name, dir)?;
    for namespace in namespaces(&name) {
        workspace::output(Command::new("ip").args(["netns", "delete", &namespace]))?;
    }
    for mount in mounts(dir)? {
        umount2(&mount, MntFlags::MNT_DETACH)
            .with_context(|| format!("cannot unmount {}", mount.display()))?;
    }
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// What is there of a lab: for tests, and for people who wonder.
pub fn leftovers(name: &str) -> Result<Vec<String>> {
    let dir = folder().join(name);
    let mut left: Vec<String> =
        processes(name, &dir).iter().map(|pid| format!("process {pid}")).collect();
    left.extend(namespaces(name).iter().map(|name| format!("namespace {name}")));
    left.extend(mounts(&dir)?.iter().map(|mount| format!("mount {}", mount.display())));
    if dir.exists() {
        left.push(format!("folder {}", dir.display()));
    }
    Ok(left)
}

fn end_processes(name: &str, dir: &Path) -> Result<()> {
    for (signal, grace) in
        [(Signal::SIGTERM, Duration::from_secs(4)), (Signal::SIGKILL, Duration::from_secs(5))]
    {
        for pid in processes(name, dir) {
            let _gone_already_is_fine = kill(pid, signal);
        }
        let start = Instant::now();
        while start.elapsed() < grace {
            if processes(name, dir).is_empty() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    bail!("processes that cannot be killed: {:?}", processes(name, dir))
}

/// Living processes that carry the lab's mark, work in its folder, or are in its namespaces.
/// Postgres, for one, overwrites the environment that others see, but works in its data folder.
fn processes(name: &str, dir: &Path) -> Vec<Pid> {
    let mark = format!("{MARK}={name}");
    let own = std::process::id();
    let inodes: Vec<PathBuf> = namespaces(name)
        .iter()
        .filter_map(|namespace| {
            use std::os::unix::fs::MetadataExt as _;
            let inode = fs::metadata(Path::new(NAMESPACES).join(namespace)).ok()?.ino();
            Some(PathBuf::from(format!("net:[{inode}]")))
        })
        .collect();
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    all.flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_string_lossy().parse().ok()?;
            let proc = entry.path();
            let marked = || {
                let environ = fs::read(proc.join("environ")).unwrap_or_default();
                environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
            };
            let works_there =
                || fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
            let is_there =
                || fs::read_link(proc.join("ns/net")).is_ok_and(|net| inodes.contains(&net));
            let ours = pid != own && (marked() || works_there() || is_there());
            // A zombie is only waiting for its parent; `stat` of what is gone cannot be read.
            (ours && started(pid).is_some()).then(|| Pid::from_raw(pid.cast_signed()))
        })
        .collect()
}

fn namespaces(name: &str) -> Vec<String> {
    let Ok(all) = fs::read_dir(NAMESPACES) else { return Vec::new() };
    let prefix = format!("{name}-");
    all.flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|namespace| namespace.starts_with(&prefix))
        .collect()
}

/// Mount points below `dir`, the innermost first.
fn mounts(dir: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    let mut below: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(dir))
        .collect();
    below.reverse();
    Ok(below)
}

/// When a process started, in ticks since boot: with its number, which one it is. `None` when it
/// is gone or a zombie.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

const OWNER: &str = "owner";

const NAMESPACES: &str = "/run/netns";
