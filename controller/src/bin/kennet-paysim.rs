//! `kennet-paysim`: a payment provider that is not there.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    num::NonZeroU32,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Parser;
use controller::{
    gateways::Pace,
    paysim::{Behaviour, Sim},
};
use shared::daemon::{Chain, Life, start_logging};
use tokio::net::TcpListener;

/// A payment provider that is not there, for tests and rehearsals: M-Pesa's JSON, books of its
/// own, and twenty behaviours.
///
/// Tell a `kennet-controller` where it is (`--paysim-url`, and `--paysim-pace` if it is not 1), and
/// add a merchant of the environment `simulator`. The last three digits of a phone number say what
/// its owner does; 020 and more: pay. `GET /_sim/books` shows what really moved, `POST /_sim/pay`
/// pays to a paybill, `POST /_sim/script` says what a phone does next, `POST /_sim/outage?seconds=`
/// is an outage, `POST /_sim/forge` pretends to be the provider from another address.
#[derive(Debug, Parser)]
#[command(version, name = "kennet-paysim", after_help = behaviours())]
struct Cli {
    /// Where it listens; port 0: any that is free. It prints which
    #[arg(long, default_value = "127.0.0.1:8099", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// What is left to chance is the same for the same seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many times as fast as the world its clock runs
    #[arg(long, default_value = "1", value_name = "TIMES")]
    pace: NonZeroU32,
}

fn behaviours() -> String {
    let lines = Behaviour::ALL.iter().enumerate();
    let lines = lines.map(|(at, behaviour)| format!("  {at:03}  {}", behaviour.as_str()));
    format!("Behaviours, by the end of the number:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(false);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Chain(error.as_ref()), "kennet-paysim ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    let life = Life::default();
    life.stop_on_signals();
    let listener = TcpListener::bind(cli.listen)
        .await
        .with_context(|| format!("cannot listen on {} (`--listen`)", cli.listen))?;
    let at = listener.local_addr().context("it has just been bound")?;
    writeln!(io::stdout(), "kennet-paysim listens on http://{at}").context("cannot print")?;
    let sim = Sim::new(cli.seed, Pace::new(cli.pace), &life);
    sim.serve(listener).await.context("cannot serve")
}
