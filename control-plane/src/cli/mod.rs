//! The command line: `serve`, and what an administrator needs.

mod account;
mod confirm;
mod doctor;
mod drop;
mod export;
mod generate;
#[cfg(test)]
mod generate_tests;
mod health;
mod init;
mod keygen;
mod log_line;
mod logging;
mod policy;
mod principals;
mod progress;
#[cfg(test)]
mod reference_tests;
mod runners;
mod screen;
mod serve;
mod settings;
mod table;
mod verify;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde_json::Value;
use sqlx::{ConnectOptions as _, PgPool};

use crate::config::{self, Dotenv, LogConfig};
use crate::store::{self, schema};

const PROGRAM: &str = "runner-tokens";

/// What the exit codes mean.
const EXIT_CODES: [(u8, &str); 6] = [
    (0, "done"),
    (1, "failed, or the configuration is not complete"),
    (2, "wrong usage"),
    (3, "the audit log does not verify"),
    (4, "`doctor` found an error"),
    (5, "not done, because nobody confirmed it"),
];

fn after_help() -> String {
    let codes: Vec<String> = EXIT_CODES.iter().map(|(code, meaning)| format!("  {code}  {meaning}")).collect();
    format!(
        "Configuration comes from the environment and from a file `.env`; docs/configuration.md describes every \
         variable, docs/cli.md every command.\n\nExit codes:\n{}",
        codes.join("\n")
    )
}

#[derive(Parser)]
#[command(name = PROGRAM, version, about = "Hands out short-lived GitHub Actions runner registrations", after_help = after_help())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Of a command that has no other options.
#[derive(Args)]
struct OutputArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API, and keep the records and GitHub in step
    #[command(after_help = "Example:\n  SERVICE_PORT=8000 runner-tokens serve")]
    Serve,
    /// Ask the service of this machine whether it is ready
    #[command(after_help = "For containers' health checks: exit code 0 if it is, 1 if not.\n\n\
        Example:\n  runner-tokens health && echo ready")]
    Health(OutputArgs),
    /// Bring the database up to date; safe to repeat
    #[command(after_help = "Example:\n  DATABASE_URL=postgres://app:secret@db/runners runner-tokens init-db")]
    InitDb(OutputArgs),
    /// List everybody's runners
    #[command(after_help = "Example:\n  runner-tokens list-runners --status offline --label gpu --output json")]
    ListRunners(runners::ListArgs),
    /// Delete runners that are off line for too long, or that no machine ever came on line with
    #[command(
        after_help = "Busy runners are kept, and runners that this service did not register never touched. On a \
        terminal it asks before it deletes any, unless --yes is given; without a terminal it does not ask.\n\n\
        Example:\n  runner-tokens cleanup-stale-runners --hours 48 --dry-run"
    )]
    CleanupStaleRunners(runners::CleanupArgs),
    /// Compare the records with GitHub now
    #[command(after_help = "Example:\n  runner-tokens sync-github")]
    SyncGithub(OutputArgs),
    /// List runners on GitHub that this service did not register, as of the newest comparison
    #[command(after_help = "Example:\n  runner-tokens sync-github && runner-tokens unmanaged-runners")]
    UnmanagedRunners(OutputArgs),
    /// Look at policy files, before a service does
    #[command(subcommand, after_help = "Example:\n  runner-tokens policy check policy.yaml")]
    Policy(policy::PolicyCommand),
    /// Refuse a principal, everybody with a claim or a whole issuer from now on, and take their runners away
    #[command(
        after_help = "Provisions under way come to nothing. Idle runners are deleted now, busy ones when their job \
        has ended. Safe to repeat. On a terminal it asks first, unless --yes is given. Without a terminal, one subject \
        is revoked at once, as an emergency needs it; --claim and --whole-issuer, which may mean many, need --yes.\
        \n\nExample:\n  runner-tokens revoke-principal --issuer https://idp.example.com \\\n      \
        --subject ci-7 --reason 'token leaked'"
    )]
    RevokePrincipal(principals::RevokeArgs),
    /// Take a revocation back; runners that are going for it still go
    #[command(
        after_help = "Example:\n  runner-tokens restore-principal --issuer https://idp.example.com \\\n      --subject ci-7"
    )]
    RestorePrincipal(principals::RestoreArgs),
    /// Write the audit log to a file
    #[command(
        after_help = "Sealed entries come first, in the order of the chain; then those of the last seconds, which \
        have no position yet. With --after they are left out, so that the next export can go on behind the last \
        position.\n\nExample:\n  runner-tokens export-audit-log --since 2026-01-01 --event-type provision \\\n      \
        --format csv --output audit.csv"
    )]
    ExportAuditLog(export::ExportArgs),
    /// Follow the chain of the audit log, in the database or in exported files
    #[command(
        after_help = "Needs no database for files. Ends with exit code 3 and names the first entry that was changed, \
        removed, inserted or reordered. docs/audit.md says what that proves.\n\nExample:\n  runner-tokens \
        verify-audit-log audit.jsonl --checkpoints checkpoints.jsonl \\\n      --public-key audit-public.pem"
    )]
    VerifyAuditLog(verify::VerifyArgs),
    /// Drop old months of the audit log, after they were exported
    #[command(after_help = "For the owner's role alone. The file must hold exactly the entries that are dropped, as \
        they were sealed. On a terminal it asks first; without a terminal it needs --yes.\n\nExample:\n  runner-tokens export-audit-log --since 2020-01-01 --until 2026-01-01 \\\n      --format \
        jsonl --output 2025.jsonl\n  runner-tokens drop-audit-log --before 2026-01 --export 2025.jsonl --dry-run")]
    DropAuditLog(drop::DropArgs),
    /// Show every setting as it counts, with secrets masked and where it came from
    #[command(after_help = "Ends with exit code 1 if `serve` would not start with it, and says why.\n\n\
        Example:\n  runner-tokens config --output json")]
    Config(settings::ConfigArgs),
    /// Find what is wrong with a deployment, and how to mend it
    #[command(
        after_help = "Tries what the service needs, and leaves nothing behind. Ends with exit code 4 if something \
        is in error. OIDC_ISSUER, OIDC_AUDIENCE and OIDC_JWKS_URL say what the edge has.\n\n\
        Example:\n  runner-tokens doctor --edge https://runners.example.com --token-file token.txt"
    )]
    Doctor(doctor::DoctorArgs),
    /// Make a key pair for the identity assertion
    #[command(after_help = "The private key is for the edge alone (IDENTITY_SIGNING_KEY), the public one for this \
        service (IDENTITY_PUBLIC_KEYS).\n\nExample:\n  runner-tokens identity-keygen --output json")]
    IdentityKeygen(OutputArgs),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  runner-tokens completions bash > /etc/bash_completion.d/runner-tokens\n  \
        runner-tokens completions fish > ~/.config/fish/completions/runner-tokens.fish")]
    Completions(generate::CompletionsArgs),
    /// Print a man page, or write them all
    #[command(after_help = "Example:\n  runner-tokens man policy check | man --local-file -\n  \
        runner-tokens man --directory /usr/local/share/man/man1")]
    Man(generate::ManArgs),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let loaded = load_dotenv();
    let cli = Cli::parse();
    match loaded.and_then(|dotenv| run(cli, &dotenv)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<screen::NobodyReads>() => ExitCode::FAILURE,
        Err(error) => {
            screen::complain(&error);
            if error.is::<verify::NotVerified>() {
                ExitCode::from(3)
            } else if error.is::<doctor::Unwell>() {
                ExitCode::from(4)
            } else if error.is::<confirm::NotConfirmed>() {
                ExitCode::from(5)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// A missing `.env` is fine, a broken one is not: half of it would be ignored.
fn load_dotenv() -> anyhow::Result<Dotenv> {
    let names = || std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let before: BTreeSet<String> = names().collect();
    match dotenvy::dotenv() {
        Ok(path) => Ok(Dotenv { path, names: names().filter(|name| !before.contains(name)).collect() }),
        Err(error) if error.not_found() => Ok(Dotenv::default()),
        Err(error) => Err(error).context("the file .env can't be read"),
    }
}

#[tokio::main]
async fn run(cli: Cli, dotenv: &Dotenv) -> anyhow::Result<()> {
    let log = config::log(&environment);
    logging::start(log.as_ref().unwrap_or(&LogConfig::default()))?;
    // These two say all that is wrong with the configuration, and this with it.
    if !matches!(cli.command, Command::Serve | Command::Config(_)) {
        log?;
    }
    match cli.command {
        Command::Serve => serve::serve().await,
        Command::Health(arguments) => health::health(&environment, &arguments).await,
        Command::InitDb(arguments) => init::init_db(&arguments).await,
        Command::ListRunners(arguments) => runners::list(arguments).await,
        Command::CleanupStaleRunners(arguments) => runners::cleanup(arguments).await,
        Command::SyncGithub(arguments) => runners::sync(&arguments).await,
        Command::UnmanagedRunners(arguments) => runners::unmanaged(&arguments).await,
        Command::Policy(command) => policy::run(command),
        Command::RevokePrincipal(arguments) => principals::revoke(arguments).await,
        Command::RestorePrincipal(arguments) => principals::restore(arguments).await,
        Command::ExportAuditLog(arguments) => export::export(arguments).await,
        Command::VerifyAuditLog(arguments) => verify::verify(arguments).await,
        Command::DropAuditLog(arguments) => drop::drop_partitions(arguments).await,
        Command::Doctor(arguments) => doctor::examine(arguments).await,
        Command::Config(arguments) => settings::show(&arguments, dotenv),
        Command::IdentityKeygen(arguments) => keygen::keygen(&arguments),
        Command::Completions(arguments) => generate::completions(&arguments, Cli::command()),
        Command::Man(arguments) => generate::man(&arguments, Cli::command()),
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The database alone, checked; it knows of the command by then.
async fn database(command: &str, options: Value) -> anyhow::Result<PgPool> {
    open(&config::database(&environment)?, command, options).await
}

async fn open(config: &config::DatabaseConfig, command: &str, options: Value) -> anyhow::Result<PgPool> {
    let pool = store::pool(config);
    // A statement takes as long as its rows are followed: none of a command is slow for that.
    pool.set_connect_options(config.options.clone().disable_statement_logging());
    let reached = async {
        schema::check(&pool).await?;
        let recorded = account::record(&pool, command, options).await;
        recorded.context("the command could not be recorded, so it was not done")
    };
    progress::during("reaching the database", reached).await?;
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
