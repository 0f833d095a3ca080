//! What the machine must have, why, and how to see whether it does.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// One thing to have.
pub(crate) struct Need {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    proof: Proof,
    /// Debian's names.
    pub(crate) packages: &'static [&'static str],
}

/// How to see, without a package manager, that it is there.
enum Proof {
    /// A program in PATH or where administrators' programs are.
    Program(&'static str),
    /// One of these files.
    File(&'static [&'static str]),
    /// Something that needs a look.
    Look(fn() -> bool),
}

impl Need {
    pub(crate) fn is_there(&self) -> bool {
        match self.proof {
            Proof::Program(name) => program(name).is_some(),
            Proof::File(paths) => paths.iter().any(|path| Path::new(path).exists()),
            Proof::Look(look) => look(),
        }
    }
}

/// Finds a program as a shell would, and in the folders that only root's PATH has.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

pub(crate) const LAB: &[Need] = &[
    Need {
        name: "cc",
        why: "a linker for Rust, and SQLite",
        proof: Proof::Program("cc"),
        packages: &["gcc", "libc6-dev"],
    },
    Need {
        name: "PostgreSQL 15 or later",
        why: "the controller's private cluster",
        proof: Proof::Look(postgres),
        packages: &["postgresql"],
    },
    Need {
        name: "mosquitto",
        why: "a broker that is not ours, for tests",
        proof: Proof::Program("mosquitto"),
        packages: &["mosquitto"],
    },
    Need {
        name: "radclient",
        why: "a RADIUS client that is not ours",
        proof: Proof::Program("radclient"),
        packages: &["freeradius-utils"],
    },
    Need { name: "iperf3", why: "traffic", proof: Proof::Program("iperf3"), packages: &["iperf3"] },
    Need {
        name: "ip, tc and bridge",
        why: "network namespaces",
        proof: Proof::Program("bridge"),
        packages: &["iproute2"],
    },
    Need {
        name: "ping",
        why: "the lab's own tests",
        proof: Proof::Program("ping"),
        packages: &["iputils-ping"],
    },
    Need {
        name: "socat",
        why: "a tunnel that carries IP alone",
        proof: Proof::Program("socat"),
        packages: &["socat"],
    },
    Need {
        name: "ethtool",
        why: "switching off segmentation offload",
        proof: Proof::Program("ethtool"),
        packages: &["ethtool"],
    },
    Need {
        name: "nft",
        why: "a peer of the data plane, for benches, and what brings HTTP to the portal, for tests",
        proof: Proof::Program("nft"),
        packages: &["nftables"],
    },
    Need {
        name: "modprobe",
        why: "veth, bridge and HTB where they are modules",
        proof: Proof::Program("modprobe"),
        packages: &["kmod"],
    },
];

/// Peers that tests talk to, and what else only tests need.
pub(crate) const PEERS: &[Need] = &[
    Need {
        name: "eapol_test",
        why: "an EAP client that is not ours",
        proof: Proof::Program("eapol_test"),
        packages: &["eapoltest"],
    },
    Need {
        name: "python3 -m venv",
        why: "a client of the API that is not ours, in a folder of its own",
        proof: Proof::Look(has_venv),
        packages: &["python3-venv"],
    },
    Need {
        name: "hostapd",
        why: "a NAS that is not ours: 802.1X at a wired port",
        proof: Proof::Program("hostapd"),
        packages: &["hostapd"],
    },
    Need {
        name: "wpa_supplicant",
        why: "who logs in at that port",
        proof: Proof::Program("wpa_supplicant"),
        packages: &["wpasupplicant"],
    },
    Need {
        name: "Exim",
        why: "a mail server that is not ours",
        proof: Proof::Program("exim4"),
        packages: &["exim4-daemon-light"],
    },
    Need {
        name: "chromedriver",
        why: "a browser, for the pages that people see",
        proof: Proof::Program("chromedriver"),
        packages: &["chromium", "chromium-driver", "fonts-dejavu-core"],
    },
    Need {
        name: "radsecproxy",
        why: "a RADIUS proxy that is not ours, over TLS",
        proof: Proof::Program("radsecproxy"),
        packages: &["radsecproxy"],
    },
    Need {
        name: "ocserv",
        why: "a NAS that is not ours and counts octets itself",
        proof: Proof::Program("ocserv"),
        packages: &["ocserv"],
    },
    Need {
        name: "openconnect",
        why: "who dials in there",
        proof: Proof::Program("openconnect"),
        packages: &["openconnect"],
    },
    Need {
        name: "FreeRADIUS's dictionaries",
        why: "the format that operators know, all of it",
        proof: Proof::File(&["/usr/share/freeradius/dictionary"]),
        packages: &["freeradius-common"],
    },
    Need { name: "g++", why: "libFuzzer", proof: Proof::Program("c++"), packages: &["g++"] },
    Need {
        name: "FreeRADIUS",
        why: "a RADIUS server that is not ours",
        proof: Proof::Program("freeradius"),
        packages: &["freeradius"],
    },
];

/// Rust for the kernel from Debian's packages.
pub(crate) const LINKER: &[Need] = &[
    Need {
        name: "Rust's core library for BPF",
        why: "the kernel programs",
        proof: Proof::File(&["/usr/lib/rustlib/bpfel-unknown-none/lib"]),
        packages: &["rustc-web", "libstd-rust-web-dev-bpf", "rust-web-llvm"],
    },
    Need {
        name: "LLVM 22",
        why: "bpf-linker",
        proof: Proof::File(&["/usr/lib/llvm-22/lib/libLLVM.so"]),
        packages: &["llvm-22-dev"],
    },
    Need {
        name: "Polly of LLVM 22",
        why: "bpf-linker",
        proof: Proof::File(&["/usr/lib/llvm-22/lib/libPolly.a"]),
        packages: &["libpolly-22-dev"],
    },
    Need {
        name: "zlib's headers",
        why: "bpf-linker",
        proof: Proof::File(&["/usr/include/zlib.h"]),
        packages: &["zlib1g-dev"],
    },
    Need {
        name: "Zstandard's headers",
        why: "bpf-linker",
        proof: Proof::File(&["/usr/include/zstd.h"]),
        packages: &["libzstd-dev"],
    },
    Need {
        name: "libxml2's headers",
        why: "bpf-linker",
        proof: Proof::File(&["/usr/include/libxml2/libxml/parser.h"]),
        packages: &["libxml2-dev"],
    },
    Need { name: "g++", why: "bpf-linker", proof: Proof::Program("c++"), packages: &["g++"] },
];

/// To run a stock Debian kernel.
pub(crate) const VM: &[Need] = &[
    Need {
        name: "QEMU",
        why: "the machine that a guest runs on",
        proof: Proof::Program("qemu-system-x86_64"),
        packages: &["qemu-system-x86"],
    },
    Need {
        name: "busybox without libraries",
        why: "what a guest has before it has a root",
        proof: Proof::File(&["/usr/share/doc/busybox-static"]),
        packages: &["busybox-static"],
    },
    Need {
        name: "modprobe and depmod",
        why: "the modules that a guest needs to start",
        proof: Proof::Program("depmod"),
        packages: &["kmod"],
    },
    Need {
        name: "cpio",
        why: "packing what a guest starts from",
        proof: Proof::Program("cpio"),
        packages: &["cpio"],
    },
    Need {
        name: "xz",
        why: "unpacking kernels",
        proof: Proof::Program("xz"),
        packages: &["xz-utils"],
    },
    Need {
        name: "zstd",
        why: "unpacking kernels",
        proof: Proof::Program("zstd"),
        packages: &["zstd"],
    },
    Need {
        name: "setpriv",
        why: "ending a guest with the program that started it",
        proof: Proof::Program("setpriv"),
        packages: &["util-linux"],
    },
    Need {
        name: "Debian's keys",
        why: "knowing that kernels are Debian's",
        proof: Proof::File(&["/usr/share/keyrings/debian-archive-keyring.gpg"]),
        packages: &["debian-archive-keyring"],
    },
];

/// A Wi-Fi network, in a guest whose kernel has radios that are not there.
pub(crate) const WIFI: &[Need] = &[
    Need {
        name: "hostapd",
        why: "the access point",
        proof: Proof::Program("hostapd"),
        packages: &["hostapd"],
    },
    Need {
        name: "wpa_supplicant",
        why: "the station",
        proof: Proof::Program("wpa_supplicant"),
        packages: &["wpasupplicant"],
    },
    Need {
        name: "iw",
        why: "giving radios to network namespaces",
        proof: Proof::Program("iw"),
        packages: &["iw"],
    },
    Need {
        name: "dnsmasq",
        why: "addresses and names for stations",
        proof: Proof::Program("dnsmasq"),
        packages: &["dnsmasq-base"],
    },
];

pub(crate) const BENCHES: &[Need] = &[
    Need {
        name: "FreeRADIUS",
        why: "the peer of the RADIUS server",
        proof: Proof::Program("freeradius"),
        packages: &["freeradius"],
    },
    Need {
        name: "FreeRADIUS's SQL module",
        why: "the peer with a database, as most operators have it",
        proof: Proof::File(&["/usr/lib/freeradius/rlm_sql_postgresql.so"]),
        packages: &["freeradius-postgresql"],
    },
    Need {
        name: "nft",
        why: "a peer of the data plane",
        proof: Proof::Program("nft"),
        packages: &["nftables"],
    },
    Need {
        name: "ethtool",
        why: "packets no larger than on a cable",
        proof: Proof::Program("ethtool"),
        packages: &["ethtool"],
    },
    Need { name: "iperf3", why: "traffic", proof: Proof::Program("iperf3"), packages: &["iperf3"] },
];

/// The other way to Rust for the kernel: rustup's nightly builds the core library itself.
pub(crate) const NIGHTLY: Need = Need {
    name: "nightly Rust with rust-src, and bpf-linker",
    why: "the kernel programs",
    proof: Proof::Look(nightly),
    packages: &[],
};

fn nightly() -> bool {
    let sysroot = Command::new("rustup")
        .args(["run", "nightly", "rustc", "--print", "sysroot"])
        .env("RUSTUP_AUTO_INSTALL", "0")
        .stderr(Stdio::null())
        .output();
    let Ok(sysroot) = sysroot else { return false };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    sysroot.is_absolute()
        && sysroot.join("lib/rustlib/src/rust/library/core").exists()
        && super::linker::is_there()
}

/// Debian keeps each version's programs in a folder of its own, out of PATH.
/// Debian has the module in a package of its own, without which no folder gets a `pip`.
fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

fn postgres() -> bool {
    let Ok(versions) = fs::read_dir("/usr/lib/postgresql") else {
        return program("initdb").is_some() && program("postgres").is_some();
    };
    versions.flatten().any(|version| {
        let number = version.file_name().to_string_lossy().parse::<u32>();
        number.is_ok_and(|number| number >= 15)
            && version.path().join("bin/initdb").exists()
            && version.path().join("bin/postgres").exists()
    })
}
