//! Who sits at the command line, for the audit log.

use crate::audit::{Actor, Origin};

/// The account that started the command. It is what the system says, not a proof: whoever can run this command with
/// the service's credentials could write anything into the database.
pub(super) fn origin() -> Origin {
    let account = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    Origin::local(Actor::Admin(account.unwrap_or_else(|| "unknown".to_owned())))
}
