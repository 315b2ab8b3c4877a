//! `revoke-principal`, `restore-principal`

use anyhow::{anyhow, ensure};
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::confirm::{self, Consent, Unattended};
use super::progress::{Progress, during};
use super::runners::{app, status};
use super::table::{Cell, harmless, render};
use super::{Output, account, screen};
use crate::audit::Origin;
use crate::operations::{self, App, Departure, Prospect};
use crate::policy::{ClaimValue, Revoked, Who};
use crate::runner::State;
use crate::store::runners::Runner;

#[derive(Args)]
pub(super) struct Whom {
    /// The issuer of their tokens, as in the claim `iss`
    #[arg(long)]
    issuer: String,
    /// One principal: the claim `sub`
    #[arg(long)]
    subject: Option<String>,
    /// Everybody of the issuer with this claim, such as repository_owner_id=1234; /a/b=x for one inside of another
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_claim)]
    claim: Option<ClaimValue>,
    /// Everybody of the issuer
    #[arg(long)]
    whole_issuer: bool,
}

impl Whom {
    fn revoked(self) -> anyhow::Result<Revoked> {
        Revoked::new(self.issuer, self.subject, self.claim, self.whole_issuer)
            .map_err(|error| anyhow!("{error} (--subject, --claim or --whole-issuer)"))
    }
}

fn parse_claim(text: &str) -> Result<ClaimValue, String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok(ClaimValue { name: name.to_owned(), value: value.to_owned() })
}

#[derive(Args)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    whom: Whom,
    /// Why, for the audit log
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    consent: Consent,
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// One subject is what every script of an emergency names; the others may mean a whole company.
fn unattended(revoked: &Revoked) -> Unattended {
    match revoked.who {
        Who::Subject(_) => Unattended::GoesOn,
        Who::Claim(_) | Who::Everybody => Unattended::IsRefused,
    }
}

fn counts(expected: &Prospect) -> String {
    format!(
        "{} runner(s) will be deleted here and on GitHub: {} pending ({} of them being provisioned at this moment), {} on \
         line, {} off line. {} of them run a job, which may end first.",
        expected.runners.len(),
        expected.count(State::Pending),
        expected.under_way,
        expected.count(State::Active),
        expected.count(State::Offline),
        expected.busy(),
    )
}

/// What it would do.
fn foretell(revoked: &Revoked, expected: &Prospect, output: Output) -> anyhow::Result<()> {
    let policy = account::policy();
    let rules = policy.as_ref().map(|policy| policy.rules_of(&revoked.issuer)).unwrap_or_default();
    if output == Output::Json {
        let runners = expected.runners.iter().map(|runner| {
            json!({
                "runner_id": runner.id, "runner_name": runner.name, "target": runner.target, "status": runner.state,
                "busy": runner.busy,
            })
        });
        let whole = json!({
            "dry_run": true, "already_revoked": expected.is_revoked, "policy_rules": rules,
            "under_way": expected.under_way, "runners": runners.collect::<Value>(),
        });
        return screen::print_json(&whole);
    }
    let already = if expected.is_revoked { " (they are already)" } else { "" };
    let known = match (&policy, rules.is_empty()) {
        (None, _) => "There is no policy file here (POLICY_FILE), so the rules for them are not known.".to_owned(),
        (Some(_), true) => "No rule of the policy here is about their issuer.".to_owned(),
        (Some(_), false) => format!("Rules of the policy here about their issuer: {}.", rules.join(", ")),
    };
    let whom = harmless(&revoked.to_string());
    let counts = counts(expected).replacen("will be", "would be", 1);
    screen::print_sentences(&format!("{whom} would be refused everywhere{already}.\n{known}\n{counts}"))?;
    let row = |runner: &Runner| vec![Cell::new(&runner.name), status(runner), Cell::new(&runner.target)];
    let rows: Vec<Vec<Cell>> = expected.runners.iter().map(row).collect();
    screen::print(&render(&["NAME", "STATUS", "TARGET"], &rows))?;
    screen::note("nothing was revoked: a dry run");
    Ok(())
}

pub(super) async fn revoke(arguments: RevokeArgs) -> anyhow::Result<()> {
    let revoked = arguments.whom.revoked()?;
    let (origin, text) = (account::origin(), revoked.to_string());
    let consent = &arguments.consent;
    let must_ask = consent.must_ask(unattended(&revoked))?;
    let options = json!({"whom": text, "reason": arguments.reason, "dry_run": consent.dry_run});
    let app = app("revoke-principal", options).await?;
    let prospect = during("counting their runners", operations::prospect(&app, &revoked));
    if consent.dry_run {
        return foretell(&revoked, &prospect.await?, arguments.output);
    }
    let whom = harmless(&text);
    if must_ask {
        let counts = counts(&prospect.await?);
        confirm::ask(&format!("{whom} will be refused everywhere from now on.\n{counts}"))?;
    }
    let ids = operations::revoke(&app, &origin, revoked.clone(), &arguments.reason).await?;
    screen::note(&format!("revoked: {whom}; from now on they are refused everywhere"));
    let departed = depart(&app, &origin, &ids).await;
    report(departed, ids.len(), arguments.output)
}

/// What became of the runners of somebody revoked.
#[derive(Clone, Copy, Default)]
struct Departed {
    gone: usize,
    waiting: usize,
    failed: usize,
}

async fn depart(app: &App, origin: &Origin, ids: &[Uuid]) -> Departed {
    let mut departed = Departed::default();
    let mut progress = Progress::new("taking runners away", u64::try_from(ids.len()).ok());
    for id in ids {
        let count = match operations::depart(app, origin, *id).await {
            Ok(Departure::Gone) => &mut departed.gone,
            Ok(Departure::Waits) => &mut departed.waiting,
            Err(error) => {
                tracing::warn!(runner = %id, %error, "a runner of somebody revoked is still there");
                &mut departed.failed
            }
        };
        *count = count.saturating_add(1);
        progress.add(1);
    }
    departed
}

fn report(Departed { gone, waiting, failed }: Departed, all: usize, output: Output) -> anyhow::Result<()> {
    screen::note(&format!("{all} runner(s): {gone} gone, {waiting} waiting, {failed} failed"));
    match output {
        Output::Json => {
            screen::print_json(&json!({"runners": all, "gone": gone, "waiting": waiting, "failed": failed}))?;
        }
        Output::Table => screen::print_sentences(&format!("{gone} of {all} runner(s) gone"))?,
    }
    if waiting > 0 {
        screen::note(&format!(
            "{waiting} run a job or could not be deleted yet: the service goes on trying, and deletes them when idle"
        ));
    }
    ensure!(failed == 0, "{failed} runner(s) could not be dealt with; the log says why");
    Ok(())
}

#[derive(Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    whom: Whom,
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn restore(arguments: RestoreArgs) -> anyhow::Result<()> {
    let revoked = arguments.whom.revoked()?;
    let app = app("restore-principal", json!({"whom": revoked.to_string()})).await?;
    operations::restore(&app, &account::origin(), &revoked).await?;
    match arguments.output {
        Output::Json => screen::print_json(&json!({"restored": revoked.to_string()})),
        Output::Table => screen::print_sentences(&format!("restored: {}", harmless(&revoked.to_string()))),
    }
}
