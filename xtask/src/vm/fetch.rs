//! Kernel packages from the machine's own Debian mirror.
//!
//! apt works here on lists and a source of our own, so the machine's stay as they are. The kernel
//! is not installed: nothing on this machine would boot it.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{
    vm::{
        kernel::{self, Kernel, Series},
        unpack,
    },
    workspace,
};

/// The newest of the series that is here; fetched if there is none.
pub(super) fn any(series: Series) -> Result<Kernel> {
    match series.newest_here()? {
        Some(kernel) => Ok(kernel),
        None => newest(series),
    }
}

/// The newest of the series that Debian has.
pub(super) fn newest(series: Series) -> Result<Kernel> {
    ensure!(
        env::consts::ARCH == "x86_64",
        "guests run this machine's programs, and the kernels are for x86_64, not for {}",
        env::consts::ARCH
    );
    let folder = kernel::folder()?;
    let _alone = kernel::alone(&folder)?;
    let mirror = mirror()?;
    let mut failures = Vec::new();
    for suite in series.suites() {
        for pause in PAUSES {
            thread::sleep(pause);
            match from(&folder, &mirror, suite) {
                Ok(kernel) => return Ok(kernel),
                Err(error) => failures.push(format!("{mirror} {suite}: {error:#}")),
            }
        }
    }
    bail!(
        "no kernel {} can be had; {MIRROR} names another mirror. Tried:\n  {}",
        series.name(),
        failures.join("\n  ")
    )
}

fn from(folder: &Path, mirror: &str, suite: &str) -> Result<Kernel> {
    let start = Instant::now();
    let apt = Apt::prepare(folder, mirror, suite)?;
    workspace::output(apt.command("apt-get").args(["-q", "update"]))?;
    let said = workspace::output(apt.command("apt-cache").args(["depends", META]))?;
    let package = image(&said).with_context(|| format!("{META} names no image: {said}"))?;
    let version = package.trim_start_matches(IMAGE);
    let kernel = Kernel { version: version.to_owned(), folder: folder.join(version) };
    if kernel.folder.exists() {
        println!("{version} is here, and the newest of {suite}");
        return Ok(kernel);
    }
    println!("fetching {package} of {suite} from {mirror}");
    let work = tempfile::Builder::new().prefix("fetching-").tempdir_in(folder)?;
    let mut download = apt.command("apt-get");
    workspace::output(download.current_dir(&work).args(["-q", "download", package]))?;
    let made = unpack::kernel(&the_package(work.path())?, work.path(), version)?;
    fs::rename(&made, &kernel.folder)
        .with_context(|| format!("cannot make {}", kernel.folder.display()))?;
    println!("{version} is here after {} s", start.elapsed().as_secs());
    Ok(kernel)
}

/// apt on lists of its own.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn prepare(folder: &Path, mirror: &str, suite: &str) -> Result<Self> {
        let folder = folder.join("apt").join(suite);
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        let source = format!("deb [arch=amd64 signed-by={KEYS}] {mirror} {suite} main\n");
        let file = folder.join(SOURCE);
        fs::write(&file, source).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { folder })
    }

    /// The machine's settings, of proxies and the like, stay in force.
    fn command(&self, program: &str) -> Command {
        let folder = self.folder.display();
        let mut command = Command::new(program);
        for option in [
            format!("Dir::Etc::SourceList={folder}/{SOURCE}"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            format!("Dir::State::Lists={folder}/lists"),
            format!("Dir::Cache={folder}/cache"),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=3".to_owned(),
            // The folder may be root's alone.
            "APT::Sandbox::User=".to_owned() + &user(),
            "APT::Update::Error-Mode=any".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command.env("LC_ALL", "C");
        command
    }
}

fn user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
    user.ok().flatten().map_or_else(|| "root".to_owned(), |user| user.name)
}

/// The first that the machine itself fetches Debian's releases from.
fn mirror() -> Result<String> {
    if let Ok(named) = env::var(MIRROR) {
        return Ok(named);
    }
    let said = workspace::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE)",
        "Created-By: Packages",
    ]))?;
    first_mirror(&said).ok_or_else(|| {
        anyhow!("apt's sources name no mirror of Debian; {MIRROR} can. They name: {}", said.trim())
    })
}

/// Security updates are elsewhere, and other people's packages have other releases.
fn first_mirror(targets: &str) -> Option<String> {
    let known: BTreeSet<&str> =
        Series::ALL.iter().flat_map(|series| series.suites()).copied().collect();
    let is_debian = |release: &str| {
        known.contains(release) || ["stable", "testing", "sid", "forky"].contains(&release)
    };
    let mut lines = targets.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(_, release)| is_debian(release)).map(|(mirror, _)| mirror.to_owned())
}

/// The image that the meta package stands for.
fn image(depends: &str) -> Option<&str> {
    let mut packages = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    packages.find(|package| {
        let version = package.strip_prefix(IMAGE);
        version.is_some_and(|version| version.starts_with(|letter: char| letter.is_ascii_digit()))
    })
}

fn the_package(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get succeeded, yet there is no package in {}", folder.display())
}

const META: &str = "linux-image-amd64";
const IMAGE: &str = "linux-image-";
const SOURCE: &str = "debian.list";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The environment variable for machines that have no Debian mirror of their own.
const MIRROR: &str = "KENNET_DEBIAN_MIRROR";

/// Before each try: a mirror that is being updated is whole again soon.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(5), Duration::from_secs(20)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_found_behind_the_meta_package() {
        let said = "linux-image-amd64\n  Depends: linux-image-6.1.0-50-amd64\n  Suggests: x\n";
        assert_eq!(image(said), Some("linux-image-6.1.0-50-amd64"));
        assert_eq!(image("linux-image-amd64\n  Depends: linux-image-signed\n"), None);
    }

    #[test]
    fn the_mirror_is_the_one_of_a_release() {
        let said = "https://packages.example/ nodistro\n\
                    http://security.example/debian-security/ bookworm-security\n\
                    http://mirror.example/debian/ bookworm\n";
        assert_eq!(first_mirror(said).as_deref(), Some("http://mirror.example/debian/"));
        assert_eq!(first_mirror("https://packages.example/ nodistro\n"), None);
    }
}
