//! `cargo xtask vm`: stock Debian kernels in an emulated machine, for what this one's kernel lacks.
//!
//! A guest sees this machine's root as it is, with everything that was built, below a file system
//! in memory: nothing it does reaches the host, save for what it writes into `target/lab`. It runs
//! one command and is gone. Emulation is slow but needs nothing of the hardware, and its clock can
//! count instructions in place of time, so that rates do not depend on what else the host does.
//!
//! Start at [`boot`]; [`kernel`] says which kernels there are, [`fetch`] and [`unpack`] how they get
//! here, [`initramfs`] what runs first in the guest, [`suite`] which tests run there.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::setup;

use self::boot::{Accel, Guest};

pub use self::{boot::INSIDE, kernel::Series};

mod boot;
mod fetch;
mod initramfs;
mod kernel;
pub mod suite;
mod unpack;

#[derive(Subcommand)]
pub enum Command {
    /// Get the newest kernels of these series; of all when none is named.
    Fetch {
        #[arg(value_enum)]
        series: Vec<Series>,
    },
    /// Run a command in a guest; its exit status is ours.
    Run(Run),
    /// The kernels that are here.
    List,
    /// Only the tests that run in guests; `test --vm` runs them after all others.
    Test {
        /// Only those whose name contains one of these.
        names: Vec<String>,
    },
}

#[derive(Args)]
pub struct Run {
    /// The newest kernel of this series; it is fetched when there is none.
    #[arg(short, long, value_enum, default_value = "6.12")]
    kernel: Series,
    /// For how long at most; then the status is 124.
    #[arg(short, long, default_value_t = 600, value_name = "SECONDS")]
    time_limit: u64,
    /// Whether the guest's clock counts instructions or the host's time.
    #[arg(long, value_enum, default_value = "icount")]
    accel: AccelKind,
    /// How it counts: with `sleep=on` an idle guest waits as long as its clock says.
    #[arg(long, default_value = boot::ICOUNT)]
    icount: String,
    /// As QEMU names it: `max` for programs that need AVX.
    #[arg(long, default_value = boot::CPU)]
    cpu: String,
    /// Its memory.
    #[arg(short, long, default_value_t = boot::MEBIBYTES, value_name = "MIB")]
    memory: u32,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AccelKind {
    Icount,
    Tcg,
}

pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Fetch { series } => {
            setup::vm()?;
            let series = if series.is_empty() { Series::ALL.to_vec() } else { series };
            for series in series {
                fetch::newest(series)?;
            }
        }
        Command::Run(run) => return run.run(),
        Command::List => {
            for kernel in kernel::all()? {
                println!("{:<28} {}", kernel.version, kernel.folder.display());
            }
        }
        Command::Test { names } => suite::run(&names)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Run {
    fn run(self) -> Result<ExitCode> {
        setup::vm()?;
        let kernel = fetch::any(self.kernel)?;
        let accel = match self.accel {
            AccelKind::Icount => Accel::Icount(&self.icount),
            AccelKind::Tcg => Accel::Tcg,
        };
        let guest = Guest {
            kernel: &kernel,
            accel,
            cpu: &self.cpu,
            mebibytes: self.memory,
            limit: Duration::from_secs(self.time_limit),
        };
        let status = guest.run(&self.command, &mut std::io::stdout())?;
        Ok(ExitCode::from(status))
    }
}
