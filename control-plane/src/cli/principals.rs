//! `revoke-principal`, `restore-principal`

use anyhow::{anyhow, ensure};
use clap::Args;
use serde_json::json;

use super::runners::app;
use super::{Output, account};
use crate::operations::{self, Departure};
use crate::policy::{ClaimValue, Revoked};

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
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn revoke(arguments: RevokeArgs) -> anyhow::Result<()> {
    let revoked = arguments.whom.revoked()?;
    let (origin, text) = (account::origin(), revoked.to_string());
    let app = app("revoke-principal", json!({"whom": text, "reason": arguments.reason})).await?;
    let ids = operations::revoke(&app, &origin, revoked, &arguments.reason).await?;
    eprintln!("revoked: {text}; from now on they are refused everywhere");
    let (mut gone, mut waiting, mut failed) = (0_usize, 0_usize, 0_usize);
    for (number, id) in (1_usize..).zip(&ids) {
        let count = match operations::depart(&app, &origin, *id).await {
            Ok(Departure::Gone) => &mut gone,
            Ok(Departure::Waits) => &mut waiting,
            Err(error) => {
                tracing::warn!(runner = %id, %error, "a runner of somebody revoked is still there");
                &mut failed
            }
        };
        *count = count.saturating_add(1);
        eprintln!("{number} of {} runner(s): {gone} gone, {waiting} waiting, {failed} failed", ids.len());
    }
    match arguments.output {
        Output::Json => {
            println!("{:#}", json!({"runners": ids.len(), "gone": gone, "waiting": waiting, "failed": failed}));
        }
        Output::Table => println!("{gone} of {} runner(s) gone", ids.len()),
    }
    if waiting > 0 {
        eprintln!(
            "{waiting} run a job or could not be deleted yet: the service goes on trying, and deletes them when idle"
        );
    }
    ensure!(failed == 0, "{failed} runner(s) could not be dealt with; the log says why");
    Ok(())
}

#[derive(Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    whom: Whom,
}

pub(super) async fn restore(arguments: RestoreArgs) -> anyhow::Result<()> {
    let revoked = arguments.whom.revoked()?;
    let app = app("restore-principal", json!({"whom": revoked.to_string()})).await?;
    operations::restore(&app, &account::origin(), &revoked).await?;
    println!("restored: {revoked}");
    Ok(())
}
