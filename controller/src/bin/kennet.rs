//! `kennet`: the operator's command line over the REST API.

use std::process::ExitCode;

use controller::cli;
use shared::daemon::Chain;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "a command line says on standard error what went wrong")]
async fn main() -> ExitCode {
    match cli::run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kennet: {}", Chain(&error));
            ExitCode::FAILURE
        }
    }
}
