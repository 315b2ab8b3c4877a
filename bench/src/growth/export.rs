//! Exports of the log by the command line.

use std::process::Command;

use bench::command::{Taken, run};
use testkit::system::Tools;

use crate::side::Side;

/// Entries that an export of the newest has.
pub(crate) const NEWEST: u32 = 1_000;

impl Side {
    /// Exports so many of the newest entries.
    pub(crate) fn export(&self, entries: u32) -> anyhow::Result<Taken> {
        let after = self.size.saturating_sub(entries).to_string();
        let directory = self.system.scope().directory();
        let mut command = Command::new(Tools::from_env()?.control_plane);
        command.env_clear().current_dir(directory).env("DATABASE_URL", self.system.database_url());
        command.args(["export-audit-log", "--format", "jsonl", "--after", &after, "--output", "export.jsonl"]);
        tokio::task::block_in_place(|| run(&mut command))
    }
}
