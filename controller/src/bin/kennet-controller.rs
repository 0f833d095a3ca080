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
    import::{Import, Outcome},
    jobs::Ran,
    operators::{NewOperator, Role},
    settings::{Flags, Settings},
    token,
    verify::{Report, Verify},
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
    /// Make a tenant with plans, subscribers and a past, if it is not there yet
    DemoSeed(DemoSeed),
    /// Look after staff
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Take over what another program kept
    #[command(subcommand)]
    Import(ImportCommand),
    /// Read all books again, row by row; ends with 2 when something is not as it must be
    Verify {
        /// Print what was checked as JSON
        #[arg(long)]
        json: bool,
    },
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
    /// How many months of past are written into a tenant that is new, if no controller runs beside;
    /// 0: none
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(0..=60))]
    months: u8,
    /// How many subscribers the past has
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(0..=2000))]
    subscribers: u16,
    /// Another seed is another past; the same one, with the same --until, is the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first day that is not past any more, like 2026-11-28 [default: today]
    #[arg(long)]
    until: Option<jiff::civil::Date>,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// The SQLite file of isp_manager.py, into a tenant; a row that is there already stays as it is
    IspManager {
        file: PathBuf,
        /// The short name of the tenant
        #[arg(long)]
        tenant: Code,
        /// Only read, and say what would happen to each row
        #[arg(long)]
        dry_run: bool,
        /// For plans without a speed
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
        kbps: u32,
        /// Print a line for each row as JSON
        #[arg(long)]
        json: bool,
    },
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
        Ok(code) => code,
        Err(error) => {
            tracing::error!(error = %Chain(error.as_ref()), "kennet-controller ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, settings: &Settings) -> anyhow::Result<ExitCode> {
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
        Command::Import(arguments) => {
            let storage = Storage::reach(settings).await?;
            let result = take_over(settings, &storage, arguments).await;
            storage.close().await;
            return result;
        }
        Command::Verify { json } => {
            let storage = Storage::reach(settings).await?;
            let result = verify(&storage, json).await;
            storage.close().await;
            return result;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn take_over(
    settings: &Settings,
    storage: &Storage,
    arguments: ImportCommand,
) -> anyhow::Result<ExitCode> {
    let ImportCommand::IspManager { file, tenant, dry_run, kbps, json } = arguments;
    let app = App::new(settings, storage.db.clone())?;
    let found = app.tenants().find_by_slug(&tenant).await;
    let found = found.with_context(|| format!("--tenant {tenant}"))?;
    let actor = Actor::command_line(found.id);
    let import = Import { kbps, dry: dry_run, zone: found.tz };
    let lines = import.isp_manager(&app, &actor, &file).await?;
    if json {
        say(&serde_json::to_string_pretty(&lines)?)?;
    } else {
        say(&lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    }
    let refused = lines.iter().any(|line| line.outcome == Outcome::Refused);
    Ok(if refused { ExitCode::from(FAULT) } else { ExitCode::SUCCESS })
}

#[expect(clippy::print_stderr, reason = "the fault is what the command is for")]
async fn verify(storage: &Storage, json: bool) -> anyhow::Result<ExitCode> {
    let reports = Verify::new(storage.db.clone()).everything().await?;
    if json {
        say(&serde_json::to_string_pretty(&reports)?)?;
    } else {
        say(&reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    }
    match reports.iter().find_map(Report::first_fault) {
        Some(fault) => {
            eprintln!("kennet-controller: {fault}");
            Ok(ExitCode::from(FAULT))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

async fn seed(settings: &Settings, storage: &Storage, arguments: DemoSeed) -> anyhow::Result<()> {
    let app = App::new(settings, storage.db.clone())?;
    let (password, made) = arguments.password.read()?;
    let DemoSeed { seed, until, months, subscribers, .. } = arguments;
    let until = until.unwrap_or_else(|| clock::now().to_zoned(jiff::tz::TimeZone::UTC).date());
    // The past is billed by its own clock; a controller that runs would bill it by today's.
    let months = if storage.is_shared { 0 } else { months };
    let scale = demo::Scale { seed, until, months, subscribers };
    let mut seeded = demo::seed(&app, arguments.email, password, &scale).await?;
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
    if seeded.history.is_none() && storage.is_shared {
        lines.push("no past is written while a controller runs".to_owned());
    }
    if let Some(written) = &seeded.history {
        let demo::Written { subscribers, payments, vouchers_redeemed, .. } = written;
        lines.push(format!(
            "the past: {subscribers} subscribers, {payments} payments, \
             {vouchers_redeemed} vouchers redeemed"
        ));
    }
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

/// The books are not as they must be, or a row was not taken. 1 is that it could not be tried.
const FAULT: u8 = 2;
