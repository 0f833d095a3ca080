//! The command line of `cargo xtask`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use xtask::{
    bench, demo, dist, fuzz,
    lab::{self, sweep},
    setup, sqlx, tests, vm,
};

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
    /// Only the network namespaces, until Ctrl-C.
    Lab {
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=200))]
        subscribers: u8,
    },
    /// Run every test there is.
    Test {
        /// Those in guests with other kernels, too.
        #[arg(long)]
        vm: bool,
    },
    /// Run something on a stock Debian kernel, in an emulated machine.
    Vm {
        #[command(subcommand)]
        command: vm::Command,
    },
    /// Feed the RADIUS codec with inputs that nobody would send; `test` does it for a moment.
    Fuzz {
        /// For how long, each target.
        #[arg(long, default_value_t = fuzz::SECONDS_EACH)]
        seconds: u32,
    },
    /// Measure, side by side with the peer where there is one.
    Bench {
        /// Only these; all when none is named.
        #[arg(value_enum)]
        what: Vec<bench::What>,
        #[command(flatten)]
        options: bench::Options,
    },
    /// Build release binaries.
    Dist,
    /// Bring the checked queries in `controller/.sqlx` up to date.
    Sqlx,
    /// Remove a lab when the process that holds our standard input is gone.
    #[command(hide = true)]
    Sweep {
        #[arg(long, value_name = "FOLDER")]
        when_gone: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the only place that reports a failure")]
            {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Vm { command } => return vm::run(command),
        Command::Sweep { when_gone } => sweep::when_gone(&when_gone),
        Command::Setup => setup::tests(),
        Command::Demo { once, report } => demo::run(once, report.as_deref()),
        Command::Lab { subscribers } => lab::stay(subscribers),
        Command::Test { vm } => tests::run(vm),
        Command::Fuzz { seconds } => fuzz::run(seconds),
        Command::Bench { what, options } => bench::run(&what, &options),
        Command::Dist => dist::run(),
        Command::Sqlx => sqlx::run(),
    }?;
    Ok(ExitCode::SUCCESS)
}
