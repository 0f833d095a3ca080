//! The lab: network namespaces, processes and files that vanish together.
//!
//! Everything a lab makes carries its name: processes by an environment variable, namespaces by
//! their prefix, files and mounts by their folder. So one function, [`sweep::lab`], can remove a
//! lab from nothing but its folder, and it runs in every case: when a [`Lab`] is dropped (also by
//! a panic), on Ctrl-C ([`interrupt`]), by the warden process when this one is killed, and for
//! labs of dead processes when the next lab is made.
//!
//! Start at [`network`], which has the topology.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace;

pub use self::{
    cable::{Cable, Cut},
    counters::Counters,
    namespace::Namespace,
    network::{Network, Offload, Seat},
    process::Process,
};

mod cable;
mod counters;
pub mod interrupt;
mod namespace;
pub mod network;
mod process;
pub mod sweep;

/// Owns everything that is made under its name; dropping it removes all of it.
#[derive(Debug)]
pub struct Lab {
    name: String,
    dir: PathBuf,
    keep_logs: AtomicBool,
    /// Sweeps when this process is gone, however it went: it reads our end of a pipe.
    warden: Child,
}

impl Lab {
    /// An empty lab. Removes labs of processes that are gone.
    pub fn new() -> Result<Self> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "network namespaces take root: sudo env \"PATH=$PATH\" cargo xtask …"
        );
        for dead in sweep::dead_labs()? {
            println!("removing what is left of {}", dead.display());
            sweep::lab(&dead)?;
        }
        let _making = interrupt::making();
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let dir = sweep::folder().join(&name);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{} is there, and is not ours", dir.display())
            }
            made => made.with_context(|| format!("cannot make {}", dir.display()))?,
        }
        interrupt::register(&dir);
        sweep::own(&dir)?;
        fs::create_dir(dir.join(LOGS))?;
        let warden = warden(&dir)?;
        Ok(Self { name, dir, keep_logs: AtomicBool::new(false), warden })
    }

    /// Unique among labs; prefix of everything.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For files of processes in the lab.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A folder in [`Lab::dir`], made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.dir.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// A new network namespace with its loopback up.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        let _making = interrupt::making();
        Namespace::make(format!("{}-{name}", self.name))
    }

    /// A BPF file system of the lab's own, mounted. Asked for again it is the same.
    pub fn bpffs(&self) -> Result<PathBuf> {
        let folder = self.folder("bpf")?;
        let of = nix::sys::statfs::statfs(&folder).context("cannot look at the bpffs")?;
        if of.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC {
            return Ok(folder);
        }
        let _making = interrupt::making();
        nix::mount::mount(
            Some("bpf"),
            &folder,
            Some("bpf"),
            nix::mount::MsFlags::empty(),
            Some("mode=0700"),
        )
        .with_context(|| format!("cannot mount bpffs at {}", folder.display()))?;
        Ok(folder)
    }

    /// Starts `command` in the background; what it prints goes to `logs/NAME.log`.
    pub fn start(&self, name: &str, command: &mut Command) -> Result<Process> {
        let _making = interrupt::making();
        let log = self.dir.join(LOGS).join(name).with_extension("log");
        command.env(sweep::MARK, &self.name);
        Process::start(name, log, command)
    }

    /// A command that carries the lab's mark, to be run to its end.
    pub fn command(&self, namespace: Option<&Namespace>, program: &str) -> Command {
        let mut command = match namespace {
            Some(namespace) => namespace.command(program),
            None => Command::new(program),
        };
        command = process::unblocked(&command);
        command.env(sweep::MARK, &self.name);
        command
    }

    /// Whether the logs are to outlive the lab, in `target/lab`. For as long as it may fail.
    pub fn keep_logs(&self, keep: bool) {
        self.keep_logs.store(keep, Ordering::Relaxed);
    }

    fn copy_logs(&self) -> Result<PathBuf> {
        let to = workspace::target().join("lab").join(&self.name);
        fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
        for log in fs::read_dir(self.dir.join(LOGS))? {
            let log = log?;
            fs::copy(log.path(), to.join(log.file_name()))?;
        }
        Ok(to)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Blocks for good while a signal is being handled: then that thread sweeps and exits.
        drop(interrupt::making());
        if self.keep_logs.load(Ordering::Relaxed) {
            match self.copy_logs() {
                Ok(folder) => println!("the logs are in {}", folder.display()),
                Err(error) => println!("cannot keep the logs: {error:#}"),
            }
        }
        if let Err(error) = sweep::lab(&self.dir) {
            println!("cannot remove all of {}: {error:#}", self.dir.display());
        }
        interrupt::forget(&self.dir);
        drop(self.warden.stdin.take());
        let _it_has_nothing_left_to_do = self.warden.wait();
    }
}

/// Until the file is dropped, no other test on this machine measures.
pub fn alone() -> Result<File> {
    let path = sweep::folder().join("kennet-lab.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// A lab for people to look around in.
pub fn stay(subscribers: u8) -> Result<()> {
    interrupt::watch()?;
    let lab = Lab::new()?;
    let network = Network::build(&lab, subscribers, Offload::Off)?;
    println!("edge      nsenter --net={} bash", network.edge.path().display());
    println!("internet  nsenter --net={} bash", network.internet.path().display());
    for seat in &network.seats {
        let path = seat.namespace.path();
        println!("{}  nsenter --net={} bash", seat.v4, path.display());
    }
    println!("Ctrl-C removes it");
    loop {
        std::thread::park();
    }
}

/// This program again, waiting for our death with `sweep --when-gone`.
fn warden(dir: &Path) -> Result<Child> {
    let own = std::env::current_exe().context("cannot find this program")?;
    // A test's program is in `deps/`; the command line is one folder up.
    let folder = own.parent().context("this program is in no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let xtask = folder.join("xtask");
    ensure!(xtask.is_file(), "{} is not built: cargo build -p xtask", xtask.display());
    Command::new(&xtask)
        .process_group(0)
        .args(["sweep", "--when-gone"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", xtask.display()))
}

/// Interface and namespace names say whose they are.
const PREFIX: &str = "kn-";

const LOGS: &str = "logs";

static LABS: AtomicU32 = AtomicU32::new(0);
