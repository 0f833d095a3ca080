//! `cargo xtask dist`: what is shipped: release binaries, and Debian packages where `dpkg-deb` is.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    setup::{self, program},
    workspace,
};

/// A Debian package: what goes where, and what happens when it is there.
struct Package {
    name: &'static str,
    about: &'static str,
    recommends: &'static str,
    programs: &'static [&'static str],
    /// From `systemd/`, and the folder it goes to.
    files: &'static [(&'static str, &'static str)],
    /// Files of a person's own making, kept when the package is upgraded.
    settings: &'static [&'static str],
    configured: &'static str,
}

const PACKAGES: [Package; 2] = [
    Package {
        name: "kennet-controller",
        about: "KenNet's controller: API, books, and the office end of every edge",
        recommends: "postgresql (>= 15)",
        programs: &["kennet-controller", "kennet"],
        files: &[
            ("kennet-controller.service", "usr/lib/systemd/system/kennet-controller.service"),
            ("controller.env", "etc/kennet/controller.env"),
        ],
        settings: &["/etc/kennet/controller.env"],
        configured: "",
    },
    Package {
        name: "kennet-edge",
        about: "KenNet's edge: RADIUS, metering and shaping in the kernel, journal",
        recommends: "iproute2",
        programs: &["kennet-edge"],
        files: &[
            ("kennet-edge.service", "usr/lib/systemd/system/kennet-edge.service"),
            ("kennet.sysusers.conf", "usr/lib/sysusers.d/kennet-edge.conf"),
            ("kennet.tmpfiles.conf", "usr/lib/tmpfiles.d/kennet-edge.conf"),
            ("desired.toml", "usr/share/doc/kennet-edge/desired.toml"),
            ("edge.toml", "usr/share/doc/kennet-edge/edge.toml"),
        ],
        settings: &[],
        configured: "systemd-sysusers kennet-edge.conf\nsystemd-tmpfiles --create kennet-edge.conf\n",
    },
];

pub fn run() -> Result<()> {
    setup::run()?;
    let packages = ["build", "--release", "-p", "controller", "-p", "edge-agent", "--bins"];
    workspace::run(workspace::cargo().args(packages))?;
    let binaries = workspace::target().join("release");
    println!("release binaries are in {}", binaries.display());
    if program("dpkg-deb").is_none() {
        println!("no dpkg-deb here, so no Debian packages");
        return Ok(());
    }
    for package in &PACKAGES {
        let file = package.build(&binaries, &workspace::target().join("dist"))?;
        println!("{}", file.display());
    }
    Ok(())
}

impl Package {
    fn build(&self, binaries: &Path, dist: &Path) -> Result<PathBuf> {
        let tree = dist.join(self.name);
        if tree.exists() {
            fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))?;
        }
        for name in self.programs {
            let to = tree.join("usr/bin").join(name);
            put(&binaries.join(name), &to, 0o755)?;
            if program("strip").is_some() {
                workspace::output(Command::new("strip").arg(&to))?;
            }
        }
        for (from, to) in self.files {
            put(&workspace::root().join("systemd").join(from), &tree.join(to), 0o644)?;
        }
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let to = tree.join("usr/share/doc").join(self.name).join(licence);
            put(&workspace::root().join(licence), &to, 0o644)?;
        }
        let control = tree.join("DEBIAN");
        fs::create_dir_all(&control).with_context(|| format!("make {}", control.display()))?;
        let architecture = workspace::output(Command::new("dpkg").arg("--print-architecture"))?;
        let architecture = architecture.trim();
        write(&control.join("control"), &self.control(architecture, &libc()?), 0o644)?;
        if !self.settings.is_empty() {
            write(&control.join("conffiles"), &(self.settings.join("\n") + "\n"), 0o644)?;
        }
        let script = format!(
            "#!/bin/sh\nset -e\n{}if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi\n",
            self.configured
        );
        write(&control.join("postinst"), &script, 0o755)?;
        let file = dist.join(format!("{}_{VERSION}_{architecture}.deb", self.name));
        workspace::output(
            Command::new("dpkg-deb").args(["--build", "--root-owner-group"]).arg(&tree).arg(&file),
        )?;
        Ok(file)
    }

    fn control(&self, architecture: &str, libc: &str) -> String {
        let Self { name, about, recommends, .. } = self;
        format!(
            "Package: {name}\nVersion: {VERSION}\nArchitecture: {architecture}\n\
             Maintainer: The KenNet authors <kennet@localhost>\nSection: net\nPriority: optional\n\
             Depends: libc6 (>= {libc}), systemd\nRecommends: {recommends}\n\
             Description: {about}\n"
        )
    }
}

/// The C library that the binaries were linked with: older ones may lack a symbol.
fn libc() -> Result<String> {
    let version = workspace::output(Command::new("dpkg-query").args(["-Wf${Version}", "libc6"]))?;
    Ok(version.split('-').next().unwrap_or_default().to_owned())
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let folder = to.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn write(file: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    fs::set_permissions(file, fs::Permissions::from_mode(mode))?;
    Ok(())
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_programs_units_and_settings_that_stay() {
        let folder = tempfile::tempdir().unwrap();
        for package in &PACKAGES {
            for name in package.programs {
                fs::copy("/bin/true", folder.path().join(name)).unwrap();
            }
            let file = package.build(folder.path(), &folder.path().join("dist")).unwrap();
            let deb = |what| Command::new("dpkg-deb").arg(what).arg(&file).output().unwrap().stdout;
            let contents = String::from_utf8(deb("--contents")).unwrap();
            for name in package.programs {
                assert!(contents.contains("-rwxr-xr-x root/root"), "{contents}");
                assert!(contents.contains(&format!("./usr/bin/{name}\n")), "{contents}");
            }
            for (_, to) in package.files {
                assert!(contents.contains(&format!("./{to}\n")), "{contents}");
            }
            let info = String::from_utf8(deb("--info")).unwrap();
            assert!(info.contains(&format!("Package: {}", package.name)), "{info}");
            assert!(info.contains("postinst"), "{info}");
        }
    }
}
