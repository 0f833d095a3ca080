//! `kennet-edge`: settings, logs, agent, signals, stop.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use edge_agent::{
    agent::{self, Agent},
    desired::Snapshot,
    settings::Settings,
};
use shared::daemon::{Chain, start_logging};
use tokio::signal::unix::{SignalKind, signal};

mod radius_tools;
mod show;

/// The edge of KenNet: RADIUS server, metering and shaping in the kernel, journal and uplink, on
/// an access-point or gateway host.
#[derive(Parser)]
#[command(name = "kennet-edge", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until SIGTERM. SIGHUP reads the desired state again. Sessions go on in the kernel.
    Run {
        #[command(flatten)]
        config: Config,
        /// How logs are written.
        #[arg(long, value_name = "FORMAT", env = "KENNET_LOG_FORMAT", default_value = "text")]
        log_format: LogFormat,
    },
    /// Read settings, secrets and desired state, and say whether `run` could start with them.
    Check {
        #[command(flatten)]
        config: Config,
    },
    /// Show the sessions of this edge with the kernel's counters: rates, round-trip times, what is
    /// left, and why packets were refused.
    Sessions {
        #[command(flatten)]
        config: Config,
        /// Print JSON; one line each time with --watch.
        #[arg(long)]
        json: bool,
        /// Look again every so many seconds (2 when none are given), with the rates in between.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
              value_parser = clap::value_parser!(u32).range(1..=3600))]
        watch: Option<u32>,
    },
    /// Show what is in the journal.
    Journal {
        #[command(flatten)]
        config: Config,
        /// Print one JSON object per record.
        #[arg(long)]
        json: bool,
        /// Start at this sequence number.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// The kernel's side.
    #[command(subcommand)]
    Dataplane(Dataplane),
    /// Ask a RADIUS server or a NAS, look up attributes.
    #[command(subcommand)]
    Radius(radius_tools::Radius),
}

#[derive(Subcommand)]
enum Dataplane {
    /// Take programs, maps and queues out of the kernel: everybody's traffic passes unmetered and
    /// unshaped. Stop the agent first.
    Detach {
        #[command(flatten)]
        config: Config,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One object per line.
    Json,
}

#[derive(clap::Args)]
struct Config {
    /// Settings, e.g. /etc/kennet/edge.toml.
    #[arg(long, value_name = "FILE", env = "KENNET_EDGE_CONFIG")]
    config: PathBuf,
}

/// EX_USAGE of sysexits.h: the settings are at fault, starting again would not help.
const BAD_SETTINGS: u8 = 64;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run { config, log_format } => {
            start_logging(matches!(log_format, LogFormat::Json));
            return run(&config);
        }
        Command::Check { config } => check(&config),
        Command::Sessions { config, json, watch } => show::sessions(&config.config, json, watch),
        Command::Journal { config, json, from } => show::journal(&config.config, json, from),
        Command::Dataplane(Dataplane::Detach { config }) => show::detach(&config.config),
        Command::Radius(command) => match radius_tools::run(&command) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a command-line tool's answer")]
            {
                eprintln!("kennet-edge: {}", Chain(error.as_ref()));
            }
            ExitCode::from(BAD_SETTINGS)
        }
    }
}

fn check(config: &Config) -> anyhow::Result<()> {
    let (_, snapshot) = read(config)?;
    #[expect(clippy::print_stdout, reason = "a command-line tool's answer")]
    {
        let (file, nas) = (config.config.display(), snapshot.nas().len());
        let subscribers = snapshot.subscribers().count();
        println!("{file}: ok (NASes: {nas}, subscribers: {subscribers})");
    }
    Ok(())
}

/// Everything that can be read before anything is touched. An error names the file.
fn read(config: &Config) -> anyhow::Result<(Settings, Snapshot)> {
    let settings = Settings::read(&config.config)?;
    let snapshot = agent::check(&settings).with_context(|| config.config.display().to_string())?;
    Ok((settings, snapshot))
}

fn run(config: &Config) -> ExitCode {
    let (settings, snapshot) = match read(config) {
        Ok(checked) => checked,
        Err(error) => {
            tracing::error!("{}", Chain(error.as_ref()));
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    // Which provider: ring, the one that builds with nothing but a C compiler.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::warn!("a TLS provider was there already");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            let agent = Agent::start(settings, snapshot).await?;
            tracing::info!("kennet-edge is running");
            until_stopped(&agent).await.and(agent.stop().await.map_err(anyhow::Error::from))
        })
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", Chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn until_stopped(agent: &Agent) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => agent.reload(),
            () = agent.failed() => anyhow::bail!("a part of the agent has failed; see above"),
        }
    }
}
