//! Who sits at the command line, for the audit log.

use std::path::Path;

use serde_json::Value;
use sqlx::PgPool;

use super::environment;
use crate::audit::{Actor, Entry, Event, Origin, Outcome};
use crate::policy::{self, Policy};

/// The account that started the command. It is what the system says, not a proof: whoever can run this command with
/// the service's credentials could write anything into the database.
pub(super) fn origin() -> Origin {
    let account = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let actor = Actor::Admin(account.unwrap_or_else(|| "unknown".to_owned()));
    Origin { policy_sha256: policy_sha256(), ..Origin::local(actor) }
}

/// Of the policy file that the service here would use. It decides nothing about commands, so one that can't be read
/// stops none.
fn policy_sha256() -> Option<String> {
    policy()?.sha256().map(str::to_owned)
}

/// The policy of the file that the service here would use, if there is one that can be read.
pub(super) fn policy() -> Option<Policy> {
    let path = environment("POLICY_FILE").filter(|path| !path.trim().is_empty())?;
    policy::read(Path::new(path.trim())).ok()
}

/// Records that a command was given, with its options; before anything is shown or done.
pub(super) async fn record(pool: &PgPool, command: &str, options: Value) -> anyhow::Result<()> {
    let details = serde_json::json!({"command": command, "options": options});
    let entry = Entry::new(&origin(), Event::AdminCommand, Outcome::Success).details(details);
    Ok(entry.record(&mut *pool.acquire().await?).await?)
}
