//! `cargo xtask setup`: installs what is missing, and only that.
//!
//! What is needed stands in [`needs`], each with the test whether it is there; how it gets here
//! is in [`debian`]. On other distributions this says what is missing and changes nothing. To
//! add a package: one line in [`needs`].

use anyhow::{Context as _, Result, bail};

use crate::setup::{
    debian::Apt,
    needs::{BENCHES, LAB, LINKER, NIGHTLY, Need, PEERS, VM, WIFI},
};

mod debian;
mod linker;
mod needs;
mod python;

pub use self::{needs::program, python::schemathesis};

/// For building and showing.
pub fn run() -> Result<()> {
    ensure(LAB)?;
    let packaged = LINKER.iter().all(Need::is_there) && linker::is_there();
    if packaged || NIGHTLY.is_there() {
        return Ok(());
    }
    ensure(LINKER).and_then(|()| linker::ensure()).context(
        "no Rust for the kernel; another way to it: `rustup toolchain install nightly \
         --component rust-src` and `cargo install bpf-linker`",
    )
}

/// The peers that tests talk to.
pub fn tests() -> Result<()> {
    run()?;
    ensure(PEERS)?;
    python::ensure()
}

/// For guests with other kernels, and what tests in them need of the host.
pub fn vm() -> Result<()> {
    ensure(VM)?;
    ensure(WIFI)
}

/// The peers that benches stand beside.
pub fn benches() -> Result<()> {
    run()?;
    ensure(BENCHES)
}

fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.name, need.why);
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let Some(apt) = Apt::find() else {
        bail!(
            "this is not Debian or one of its children, so please install it yourself; Debian's \
             packages are called: {}",
            packages.join(" ")
        );
    };
    apt.install(&packages)?;
    let still: Vec<&str> =
        missing.iter().filter(|need| !need.is_there()).map(|need| need.name).collect();
    if !still.is_empty() {
        bail!("apt-get succeeded, yet this is still missing: {}", still.join(", "));
    }
    Ok(())
}
