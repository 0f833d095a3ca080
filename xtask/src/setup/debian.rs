//! Installing with `apt-get`, without starting anything.

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{setup::needs::program, workspace};

pub(super) struct Apt {
    /// Empty for root, else what makes one.
    become_root: Vec<&'static str>,
}

impl Apt {
    pub(super) fn find() -> Option<Self> {
        program("apt-get")?;
        program("dpkg")?;
        let root = nix::unistd::geteuid().is_root();
        Some(Self { become_root: if root { Vec::new() } else { vec!["sudo"] } })
    }

    pub(super) fn install(&self, packages: &[&str]) -> Result<()> {
        let line = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
        if !self.become_root.is_empty() && program("sudo").is_none() {
            bail!("installing takes root and there is no sudo; as root, run: {line}");
        }
        println!("installing: {}", packages.join(" "));
        let quiet = Quiet::begin(self)?;
        // A fresh image has no lists, an old one has stale lists: then fetch them and try again.
        let installed = self.try_install(packages).or_else(|_| {
            workspace::run(self.root("apt-get").args(LOCK).args(["-q", "update"]))?;
            self.try_install(packages)
        });
        drop(quiet);
        installed.with_context(|| format!("to try it yourself, as root: {line}"))?;
        self.keep_from_starting(packages);
        Ok(())
    }

    fn try_install(&self, packages: &[&str]) -> Result<()> {
        workspace::run(
            self.root("env")
                .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
                .args(LOCK)
                .args(["-q", "install", "-y", "--no-install-recommends"])
                .args(packages)
                .stdin(Stdio::null()),
        )
    }

    /// These daemons came as a dependency of a test; they are not to run at the next boot.
    fn keep_from_starting(&self, packages: &[&str]) {
        if program("systemctl").is_none() {
            return;
        }
        for (_, daemon) in DAEMONS.iter().filter(|(package, _)| packages.contains(package)) {
            let _not_enabled_is_fine = self
                .root("systemctl")
                .args(["--quiet", "disable", daemon])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }

    fn root(&self, program: &str) -> Command {
        match self.become_root.split_first() {
            None => Command::new(program),
            Some((sudo, arguments)) => {
                let mut command = Command::new(sudo);
                command.args(arguments).arg(program);
                command
            }
        }
    }
}

/// While this lives, packages that are installed start no daemon: `invoke-rc.d` asks this file.
struct Quiet<'a> {
    ours: Option<&'a Apt>,
}

impl<'a> Quiet<'a> {
    fn begin(apt: &'a Apt) -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: None }); // The machine has a policy of its own.
        }
        if apt.become_root.is_empty() {
            let mut file = fs::OpenOptions::new();
            file.write(true).create_new(true).mode(0o755);
            let mut file = file.open(POLICY).with_context(|| format!("cannot write {POLICY}"))?;
            std::io::Write::write_all(&mut file, DENY.as_bytes())
                .with_context(|| format!("cannot write {POLICY}"))?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        } else {
            let script =
                format!("printf '{}' > {POLICY} && chmod 755 {POLICY}", DENY.escape_default());
            workspace::run(apt.root("sh").args(["-c", &script]))?;
        }
        Ok(Self { ours: Some(apt) })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        if let Some(apt) = self.ours {
            let _best_effort = apt.root("rm").args(["-f", POLICY]).status();
        }
    }
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// 101: "action forbidden by policy".
const DENY: &str = "#!/bin/sh\nexit 101\n";

/// Another apt may be at work: wait for it.
const LOCK: [&str; 2] = ["-o", "DPkg::Lock::Timeout=300"];

/// Packages and the services that come with them.
const DAEMONS: &[(&str, &str)] = &[
    ("exim4-daemon-light", "exim4"),
    ("freeradius", "freeradius"),
    ("hostapd", "hostapd"),
    ("mosquitto", "mosquitto"),
    ("ocserv", "ocserv"),
    ("postgresql", "postgresql"),
    ("radsecproxy", "radsecproxy"),
    ("wpasupplicant", "wpa_supplicant"),
];
