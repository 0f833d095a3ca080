//! `kennet`: the operator's command line over the REST API.

use std::process::ExitCode;

use clap::Parser as _;
use controller::cli::Cli;
use shared::daemon::Chain;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "a command line says on standard error what went wrong")]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kennet: {}", Chain(&error));
            ExitCode::FAILURE
        }
    }
}
