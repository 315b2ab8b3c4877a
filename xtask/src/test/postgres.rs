//! One server for all tests; each makes databases of its own in it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::command::program;
use crate::programs;
use crate::progress::step;
use crate::tools::Tools;
use crate::workspace::Workspace;

/// A running server. It ends when its standard input does, so also when this process is killed.
pub(super) struct PrivatePostgres {
    child: Child,
    url: String,
}

impl PrivatePostgres {
    /// Starts the testkit's `private-postgres`, which knows how.
    pub(super) fn start(workspace: &Workspace, tools: &Tools) -> Result<Self> {
        Self::start_with(workspace, tools, None)
    }

    /// Starts one whose first database has today's tables.
    pub(super) fn with_tables(workspace: &Workspace, tools: &Tools) -> Result<Self> {
        Self::start_with(workspace, tools, Some(&workspace.root.join("migrations")))
    }

    fn start_with(workspace: &Workspace, tools: &Tools, migrations: Option<&Path>) -> Result<Self> {
        step("starting Postgres", || {
            let mut command = program(programs::path(workspace, programs::PRIVATE_POSTGRES));
            command
                .args(migrations)
                .envs(programs::environment(workspace, tools))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            let mut child = command.spawn().context("could not start private-postgres")?;
            let output = child.stdout.take().context("private-postgres has no standard output")?;
            let mut url = String::new();
            BufReader::new(output).read_line(&mut url)?;
            let server = Self { child, url: url.trim().to_owned() };
            // It has said why.
            ensure!(!server.url.is_empty(), "Postgres did not start");
            Ok(server)
        })
    }

    /// The URL of its first database, with user and password.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
