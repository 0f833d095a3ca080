//! A kernel package, unpacked: the bare kernel, and the modules that a network can use.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace;

/// Makes a folder below `work` with `vmlinux` and `lib/modules/VERSION`.
pub(super) fn kernel(package: &Path, work: &Path, version: &str) -> Result<PathBuf> {
    let all = work.join("all");
    workspace::output(Command::new("dpkg-deb").arg("-x").arg(package).arg(&all))?;
    let made = work.join("kernel");
    let modules = made.join("lib/modules");
    fs::create_dir_all(&modules)?;
    // Since `/usr` is merged they are there.
    let packed = [all.join("usr/lib/modules"), all.join("lib/modules")];
    let packed = packed.iter().map(|folder| folder.join(version)).find(|folder| folder.is_dir());
    let packed = packed.with_context(|| format!("there are no modules for {version}"))?;
    let modules = modules.join(version);
    fs::rename(packed, &modules)?;
    let modules_only = modules.join("kernel");
    prune(&modules_only)?;
    unpack_below(&modules_only)?;
    workspace::output(Command::new("depmod").arg("-b").arg(&made).arg(version))?;

    let image = all.join(format!("boot/vmlinuz-{version}"));
    let image = fs::read(&image).with_context(|| format!("cannot read {}", image.display()))?;
    bare(&image, &made.join("vmlinux"))?;
    Ok(made)
}

/// A hundred megabytes of four, unpacked.
fn prune(kernel: &Path) -> Result<()> {
    for (folder, kept) in [
        ("", &["arch", "crypto", "drivers", "fs", "lib", "net"][..]),
        ("drivers", &["char", "net", "virtio"]),
        ("drivers/net/ethernet", &[]),
        ("drivers/net/wireless", &["virtual"]),
    ] {
        let folder = kernel.join(folder);
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let is_kept = kept.iter().any(|name| path.ends_with(name));
            if path.is_dir() && !is_kept {
                fs::remove_dir_all(path)?;
            }
        }
    }
    Ok(())
}

/// Here, once: a guest would take seconds each time.
fn unpack_below(folder: &Path) -> Result<()> {
    let mut packed = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            unpack_below(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "xz") {
            packed.push(path);
        }
    }
    if packed.is_empty() {
        return Ok(());
    }
    workspace::run(Command::new("xz").arg("-d").args(packed))
}

/// Takes the kernel out of its packing: the guest would take seconds for that. Where it is says
/// the header of Linux's x86 boot protocol.
fn bare(image: &[u8], to: &Path) -> Result<()> {
    let payload = payload(image).context("the image has no header of Linux's boot protocol")?;
    let (program, arguments) = unpacker(payload)?;
    let file = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(file)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    // What follows the packed kernel is left over, and may break the pipe.
    let _status_says_more = child.stdin.take().context("its input is piped")?.write_all(payload);
    let status = child.wait()?;
    let mut magic = [0; 4];
    File::open(to)?.read_exact(&mut magic).with_context(|| format!("{program}: {status}"))?;
    ensure!(magic == *b"\x7fELF", "{program} ({status}) made no kernel: {}", magic.escape_ascii());
    Ok(())
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let sectors = usize::from(*image.get(0x1f1)?);
    let start = (sectors + 1) * 512 + number(0x248)?;
    let end = start.checked_add(number(0x24c)?)?;
    // Behind the packed kernel stands its size unpacked.
    image.get(start..end.checked_sub(4)?)
}

fn unpacker(payload: &[u8]) -> Result<(&'static str, &'static [&'static str])> {
    Ok(match payload {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => ("xz", &["-dc"]),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd", &["-dcq"]),
        _ => bail!("the kernel is packed in an unknown way"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_found_and_what_follows_it_is_not_of_it() {
        let mut image = vec![0; 0x600];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&0x10_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&9_u32.to_le_bytes());
        image[0x410..0x419].copy_from_slice(b"xz-it1234");
        assert_eq!(payload(&image), Some(&b"xz-it"[..]));
        image[0x24c..0x250].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(payload(&image), None, "it ends behind the file");
        image[0x202] = 0;
        assert_eq!(payload(&image), None, "it is something else");
    }
}
