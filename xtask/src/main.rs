//! The command line of `cargo xtask`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use xtask::{bench, dist, setup, sqlx, tests};

/// Builds, shows, tests and measures the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing on this machine, and nothing else.
    Setup,
    /// Start a provider in network namespaces and show that it works.
    Demo {
        /// End after the story instead of staying until Ctrl-C.
        #[arg(long)]
        once: bool,
        /// Write what was measured to this file, as JSON.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
    /// Run every test there is.
    Test,
    /// Measure, side by side with the peer where there is one.
    Bench {
        /// Only these; all when none is named.
        #[arg(value_enum)]
        what: Vec<bench::What>,
    },
    /// Build release binaries.
    Dist,
    /// Bring the checked queries in `controller/.sqlx` up to date.
    Sqlx,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup => setup::run(),
        Command::Demo { once, report } => demo(once, report),
        Command::Test => tests::run(),
        Command::Bench { what } => bench::run(&what),
        Command::Dist => dist::run(),
        Command::Sqlx => sqlx::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the only place that reports a failure")]
            {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn demo(_once: bool, _report: Option<PathBuf>) -> anyhow::Result<()> {
    anyhow::bail!("the lab is not there yet")
}
