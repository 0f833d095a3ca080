//! What a guest has in memory when it starts: busybox, a few modules, and `init.sh`.
//!
//! It is packed anew for each run, with the command in it: nothing can be out of date.

use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{vm::kernel::Kernel, workspace};

/// Writes it to `file`. The guest runs `command`, a script, in the host's root, and writes through
/// to `kept`.
pub(super) fn write(
    file: &Path,
    work: &Path,
    kernel: &Kernel,
    kept: &Path,
    command: &str,
) -> Result<()> {
    let root = work.join("initramfs");
    for folder in ["bin", "dev", "modules", "proc", "sys"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(BUSYBOX, root.join("bin/busybox"))
        .with_context(|| format!("cannot copy {BUSYBOX}"))?;
    for (number, module) in modules(kernel)?.iter().enumerate() {
        fs::copy(module, root.join(format!("modules/{number:02}.ko")))
            .with_context(|| format!("cannot copy {}", module.display()))?;
    }
    let init = root.join("init");
    fs::write(&init, include_str!("init.sh"))?;
    fs::set_permissions(&init, Permissions::from_mode(0o755))?;
    fs::write(root.join("command"), command)?;
    fs::write(root.join("kernel"), kernel.folder.display().to_string())?;
    fs::write(root.join("kept"), kept.display().to_string())?;
    pack(&root, file)
}

/// The files, in the order in which they can be loaded.
fn modules(kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for module in MODULES {
        let mut command = Command::new("modprobe");
        command.args(["--show-depends", "-C", "/dev/null", "-S", &kernel.version, "-d"]);
        let said = workspace::output(command.arg(&kernel.folder).arg(module))?;
        for line in said.lines() {
            // Others are built in.
            let file = line.strip_prefix("insmod ").and_then(|rest| rest.split(' ').next());
            let Some(file) = file.map(PathBuf::from) else { continue };
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn pack(root: &Path, file: &Path) -> Result<()> {
    let output = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let mut cpio = Command::new("cpio")
        .args(["--create", "--format=newc", "--null", "--quiet", "--owner=0:0"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(output)
        .spawn()
        .context("cannot start cpio")?;
    let mut names = cpio.stdin.take().context("its input is piped")?;
    for name in below(root, Path::new(""))? {
        write!(names, "{}\0", name.display())?;
    }
    drop(names);
    let status = cpio.wait()?;
    ensure!(status.success(), "cpio ended with {status}");
    Ok(())
}

/// All files, folders before what they hold.
fn below(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        names.push(name.clone());
        if entry.file_type()?.is_dir() {
            names.extend(below(root, &name)?);
        }
    }
    Ok(names)
}

/// Statically linked: there is no library in memory.
const BUSYBOX: &str = "/bin/busybox";

/// What it takes to see the host's files and to speak to it.
const MODULES: [&str; 5] = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"];
