//! Compiles the kernel programs of `../ebpf` and hands them to `src/dataplane` to embed.
//!
//! Two ways, the first that is there: Debian's Rust with its standard library for BPF, or a
//! nightly of rustup's with `rust-src`; both with `bpf-linker`. Where neither is there, the edge
//! compiles without the programs (`cfg(kernel_program)` is not set) and says so when it is asked
//! for a data plane. `KENNET_EBPF=debian|nightly|skip` forces one.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed={CHOICE}");
    for source in ["../ebpf/src", "../ebpf/Cargo.toml", "../Cargo.lock", "build.rs"] {
        println!("cargo::rerun-if-changed={source}");
    }
    let choice = env::var(CHOICE).unwrap_or_default();
    if choice == "skip" {
        warn(&format!("{CHOICE}=skip: this edge has no data plane"));
        return ExitCode::SUCCESS;
    }
    let way = match Way::find(&choice) {
        Ok(way) => way,
        Err(missing) => {
            // Installing what is missing changes these folders.
            for folder in [Some(PathBuf::from(DEBIAN_RUSTLIB)), cargo_bin()] {
                if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
                    println!("cargo::rerun-if-changed={}", folder.display());
                }
            }
            for line in missing {
                warn(&line);
            }
            warn("this edge has no data plane; `cargo xtask setup` installs what is missing");
            // Whoever asks for one way wants it, or to know.
            return if choice.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    match way.compile() {
        Ok(()) => {
            println!("cargo::rustc-cfg=kernel_program");
            ExitCode::SUCCESS
        }
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

const CHOICE: &str = "KENNET_EBPF";
const TARGET: &str = "bpfel-unknown-none";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_RUSTLIB: &str = "/usr/lib/rustlib";

struct Way {
    kind: Kind,
    linker: PathBuf,
}

enum Kind {
    /// `rustc-web`, `libstd-rust-web-dev-bpf`.
    Debian,
    /// `rustup toolchain install nightly --component rust-src`.
    Nightly,
}

impl Way {
    /// `Err` names all that is missing, a line for each.
    fn find(choice: &str) -> Result<Self, Vec<String>> {
        let mut missing = Vec::new();
        let linker = find_linker();
        if linker.is_none() {
            missing.push(
                "bpf-linker is neither in PATH nor in ~/.cargo/bin (cargo install bpf-linker)"
                    .to_owned(),
            );
        }
        let mut kind = None;
        for (name, candidate, lacks) in [
            ("debian", Kind::Debian, debian_lacks as fn() -> Option<String>),
            ("nightly", Kind::Nightly, nightly_lacks),
        ] {
            if kind.is_none() && (choice.is_empty() || choice == name) {
                match lacks() {
                    None => kind = Some(candidate),
                    Some(lack) => missing.push(lack),
                }
            }
        }
        kind.zip(linker).map(|(kind, linker)| Self { kind, linker }).ok_or(missing)
    }

    fn compile(&self) -> Result<(), String> {
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
        // Its own folder: the outer cargo holds the lock of the other one.
        let target = out.join("ebpf");
        let mut cargo = match self.kind {
            // Debian's cargo is a package of its own, and any will do.
            Kind::Debian => Command::new(env::var_os("CARGO").expect("cargo sets it")),
            Kind::Nightly => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", "nightly", "cargo"]);
                rustup
            }
        };
        for (name, _) in env::vars_os() {
            if belongs_to_outer_build(&name) {
                cargo.env_remove(name);
            }
        }
        match self.kind {
            // `aya-ebpf` and the atomics use features that are not stable.
            Kind::Debian => cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1"),
            Kind::Nightly => cargo.arg("-Zbuild-std=core"),
        };
        let flags = [
            format!("--cfg=bpf_target_arch=\"{arch}\""),
            "-Cdebuginfo=2".to_owned(),
            "-Clink-arg=--btf".to_owned(),
            // Atomic operations that return a value.
            "-Ctarget-cpu=v3".to_owned(),
        ];
        cargo
            .args(["build", "--locked", "--release", "--target", TARGET])
            .args(["--manifest-path", "../ebpf/Cargo.toml", "--features", "kernel"])
            .args(["--bin", "shape", "--target-dir"])
            .arg(&target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env("PATH", path_with(self.linker.parent()));
        let output = cargo.output().map_err(|error| format!("cannot start {cargo:?}: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the kernel programs do not compile:\n{said}"));
        }
        let program = target.join(TARGET).join("release/shape");
        fs::copy(&program, out.join("shape"))
            .map_err(|error| format!("cannot copy {}: {error}", program.display()))?;
        Ok(())
    }
}

fn debian_lacks() -> Option<String> {
    let core = Path::new(DEBIAN_RUSTLIB).join(TARGET);
    let there = Path::new(DEBIAN_RUSTC).exists() && core.is_dir();
    (!there).then(|| {
        format!(
            "{} is not there (Debian: apt-get install rustc-web libstd-rust-web-dev-bpf rust-web-llvm)",
            core.display()
        )
    })
}

fn nightly_lacks() -> Option<String> {
    let library = Command::new("rustup")
        .args(["run", "nightly", "rustc", "--print", "sysroot"])
        .env_remove("RUSTUP_TOOLCHAIN")
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|sysroot| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library"));
    let there = library.is_some_and(|library| library.is_dir());
    (!there).then(|| {
        "no nightly toolchain with rust-src (rustup toolchain install nightly --component rust-src)"
            .to_owned()
    })
}

fn find_linker() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(cargo_bin())
        .map(|folder| folder.join("bpf-linker"))
        .find(|linker| linker.is_file())
}

fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("bin"))
}

fn path_with(folder: Option<&Path>) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(folder.map(Path::to_owned));
    env::join_paths(folders).unwrap_or(path)
}

/// What cargo told this script, and what would make the inner cargo compile for the host.
fn belongs_to_outer_build(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_for_both = name == "CARGO_HOME"
        || ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
    !is_for_both
        && (["CARGO", "RUSTC", "RUSTDOC", "DEP_"].iter().any(|prefix| name.starts_with(prefix))
            || ["RUSTFLAGS", "RUSTUP_TOOLCHAIN", "MAKEFLAGS", "LD_LIBRARY_PATH"].contains(&name))
}

fn warn(line: &str) {
    println!("cargo::warning={line}");
}
