//! `kennet-controller`: settings (exit 64) → logs → start (exit 1) → wait for a signal → stop.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use controller::{
    app::{self, StartError, Storage},
    settings::{Flags, Settings},
};
use shared::daemon::{Chain, Life, start_logging};
use tokio::signal::unix::{SignalKind, signal};

/// The office end of KenNet: API, books, and the state that every edge should have.
#[derive(Debug, Parser)]
#[command(version, name = "kennet-controller")]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API, and talk to the edges
    Serve,
    /// Bring the database up to date, and end
    Migrate,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::read(&cli.flags) {
        Ok(settings) => settings,
        Err(error) => return wrong_settings(&error),
    };
    start_logging(settings.log_json);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&cli.command, &settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "kennet-controller ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: &Command, settings: &Settings) -> Result<(), StartError> {
    match command {
        Command::Serve => {
            let life = Life::default();
            stop_on_signal(&life);
            app::serve(settings, life).await
        }
        Command::Migrate => {
            Storage::open(settings).await?.close().await;
            Ok(())
        }
    }
}

fn stop_on_signal(life: &Life) {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let life_too = life.clone();
        match signal(kind) {
            Ok(mut signal) => life.spawn_short(async move {
                signal.recv().await;
                life_too.ask_to_stop();
            }),
            Err(error) => tracing::warn!(error = %Chain(&error), "cannot wait for a signal"),
        }
    }
}

#[expect(clippy::print_stderr, reason = "logging is not started yet")]
fn wrong_settings(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("kennet-controller: {}", Chain(error));
    // EX_USAGE of sysexits.h.
    ExitCode::from(64)
}
