//! `kennet-controller`: settings (exit 64) → logs → start (exit 1) → wait for a signal → stop.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use controller::{
    actor::{Actor, PLATFORM},
    app::{self, App, Storage},
    clock, demo,
    jobs::Ran,
    operators::{NewOperator, Role},
    settings::{Flags, Settings},
    token,
    words::{Code, Email, Name, Passphrase},
};
use jiff::{SignedDuration, Timestamp};
use shared::daemon::{Chain, Life, start_logging};

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
    /// Make a tenant with three plans and three subscribers, if they are not there yet
    DemoSeed(DemoSeed),
    /// Look after staff
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// What is done at its time: billing, nights
    #[command(subcommand)]
    Jobs(JobsCommand),
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Do what is due from one time to another, as if it were then, and end. For tests and benches:
    /// `serve` does it by the clock
    Run(RunJobs),
}

#[derive(Debug, clap::Args)]
struct RunJobs {
    #[arg(long, value_name = "TIMESTAMP")]
    until: Timestamp,
    /// [default: now]
    #[arg(long, value_name = "TIMESTAMP")]
    from: Option<Timestamp>,
    /// The least time between two billing rounds of a tenant
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    step: u32,
}

#[derive(Debug, clap::Args)]
struct DemoSeed {
    /// The login of the owner
    #[arg(long, default_value = "owner@demo.kennet.example")]
    email: Email,
    #[command(flatten)]
    password: PasswordFrom,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum OperatorCommand {
    /// Add somebody to the staff of a tenant, or of the platform
    Add(AddOperator),
}

#[derive(Debug, clap::Args)]
struct AddOperator {
    /// The short name of the tenant
    #[arg(long, required_unless_present = "platform", conflicts_with = "platform")]
    tenant: Option<Code>,
    /// For who runs the installation, and sees no tenant's subscribers
    #[arg(long)]
    platform: bool,
    #[arg(long)]
    email: Email,
    #[arg(long)]
    name: Name,
    /// owner, finance, noc, support, reseller or auditor
    #[arg(long, default_value = "owner")]
    role: Role,
    #[command(flatten)]
    password: PasswordFrom,
}

#[derive(Debug, clap::Args)]
struct PasswordFrom {
    /// File with the password [default: one is made, and printed once]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The password itself; only for environments that nobody else reads
    #[arg(skip = std::env::var("KENNET_OPERATOR_PASSWORD").ok())]
    environment: Option<String>,
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
    match runtime.block_on(run(cli.command, &settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Chain(error.as_ref()), "kennet-controller ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Command::Serve => {
            let life = Life::default();
            life.stop_on_signals();
            app::serve(settings, life).await?;
        }
        Command::Migrate => Storage::reach(settings).await?.close().await,
        Command::DemoSeed(arguments) => {
            let storage = Storage::reach(settings).await?;
            let result = seed(settings, &storage, arguments).await;
            storage.close().await;
            result?;
        }
        Command::Jobs(JobsCommand::Run(arguments)) => {
            let storage = Storage::reach(settings).await?;
            let result = run_jobs(settings, &storage, &arguments).await;
            storage.close().await;
            result?;
        }
        Command::Operator(OperatorCommand::Add(arguments)) => {
            let storage = Storage::reach(settings).await?;
            let result = add_operator(settings, &storage, arguments).await;
            storage.close().await;
            result?;
        }
    }
    Ok(())
}

async fn seed(settings: &Settings, storage: &Storage, arguments: DemoSeed) -> anyhow::Result<()> {
    let app = App::new(settings, storage.db.clone())?;
    let (password, made) = arguments.password.read()?;
    let mut seeded = demo::seed(&app, arguments.email, password).await?;
    if !made {
        // Whoever chose it knows it.
        seeded.owner.password = None;
    }
    if arguments.json {
        return say(&serde_json::to_string_pretty(&seeded)?);
    }
    let mut lines = vec![format!("tenant {} ({})", seeded.tenant.slug, seeded.tenant.id)];
    lines.push(match &seeded.owner.password {
        Some(password) => {
            format!("owner {} with the password {}", seeded.owner.email, password.expose())
        }
        None => format!("owner {}", seeded.owner.email),
    });
    lines.extend(seeded.plans.iter().map(|plan| {
        format!("plan {}: {} kbit/s down, {} up", plan.code, plan.down_kbps, plan.up_kbps)
    }));
    lines.extend(seeded.subscribers.iter().map(|who| {
        let demo::SeededSubscriber { username, password, account_no, plan, .. } = who;
        format!("subscriber {username}: password {password}, account {account_no}, plan {plan}")
    }));
    say(&lines.join("\n"))
}

async fn run_jobs(
    settings: &Settings,
    storage: &Storage,
    arguments: &RunJobs,
) -> anyhow::Result<()> {
    let app = App::new(settings, storage.db.clone())?;
    let from = arguments.from.unwrap_or_else(clock::now);
    let step = SignedDuration::from_secs(arguments.step.into());
    let ran = app.jobs().run_between(from, arguments.until, step).await?;
    let Ran { jobs, failed, looked } = ran;
    say(&format!("{jobs} jobs, {failed} of them failed; {looked} looks at subscriptions"))?;
    anyhow::ensure!(failed == 0, "{failed} jobs failed");
    Ok(())
}

async fn add_operator(
    settings: &Settings,
    storage: &Storage,
    arguments: AddOperator,
) -> anyhow::Result<()> {
    let app = App::new(settings, storage.db.clone())?;
    let (password, made) = arguments.password.read()?;
    let (tenant, role) = match &arguments.tenant {
        Some(slug) => {
            let tenant = app.tenants().find_by_slug(slug).await;
            (tenant.with_context(|| format!("--tenant {slug}"))?.id, arguments.role)
        }
        None => (PLATFORM, Role::Platform),
    };
    let AddOperator { email, name, .. } = arguments;
    let secret = password.secret().clone();
    let new = NewOperator { email, name, role, password };
    let actor = Actor::command_line(tenant);
    let operator = app.operators().create(&actor, None, new).await?.value;
    let mut text = format!("{} {} ({})", operator.id, operator.email, operator.role.as_str());
    if made {
        text.push_str("\npassword ");
        text.push_str(secret.expose());
    }
    say(&text)
}

fn say(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        // `… | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot print"),
    }
}

impl PasswordFrom {
    /// And if it was made here.
    fn read(&self) -> anyhow::Result<(Passphrase, bool)> {
        if let Some(file) = &self.password_file {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let password = text.trim_end_matches(['\r', '\n']).parse();
            return Ok((password.with_context(|| file.display().to_string())?, false));
        }
        if let Some(text) = &self.environment {
            return Ok((text.parse().context("KENNET_OPERATOR_PASSWORD")?, false));
        }
        Ok((token::random().parse()?, true))
    }
}

#[expect(clippy::print_stderr, reason = "logging is not started yet")]
fn wrong_settings(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("kennet-controller: {}", Chain(error));
    // EX_USAGE of sysexits.h.
    ExitCode::from(64)
}
