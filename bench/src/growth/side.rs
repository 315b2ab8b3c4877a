//! A service with records of one size.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bench::records;
use bench::system::options;
use identity::{DEFAULT_AUDIENCE, DEFAULT_GATEWAY, Signer};
use sqlx::{Connection as _, PgConnection};
use testkit::choices::Random;
use testkit::github::ORGANIZATION;
use testkit::history::{History, ISSUER};
use testkit::system::{ControlPlane, System};

/// Live runners of each owner.
const EACH: u32 = 20;
/// Live runners where most are gone: what GitHub has on ten pages.
const FEW: u32 = 1_000;
/// Keys of repeats and the like, which are pruned after a day or a week, are no more than this.
const PRUNED: u32 = 100_000;

/// Runners that are asked for in turn: a call has no more repeats, so that none is asked for twice by the same call.
const KNOWN: usize = 500;

/// What becomes of runners as their number grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// They go, as ephemeral ones do: a thousand are live, of fifty owners, each with a long past.
    Gone,
    /// They stay: all are live, of ever more owners.
    Live,
}

impl Shape {
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Gone => "1,000 of the runners live",
            Self::Live => "all runners live",
        }
    }

    fn history(self, size: u32) -> History {
        let live = if self == Self::Gone { FEW.min(size) } else { size };
        History { runners: size, live, owners: live / EACH, entries: size, unsealed: 0, others: size.min(PRUNED) }
    }
}

/// A live runner.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) owner: String,
}

/// A service, and how it is asked.
pub(crate) struct Side {
    pub(crate) system: System,
    pub(crate) size: u32,
    pub(crate) url: String,
    pub(crate) signer: Signer,
    pub(crate) client: reqwest::Client,
    /// Runners that were made and not deleted yet.
    pub(crate) made: Vec<String>,
    number: u32,
    known: Vec<Known>,
    asked: usize,
}

impl Side {
    /// Starts it with full tables.
    pub(crate) async fn start(shape: Shape, size: u32, seed: u64, policy: &Path) -> anyhow::Result<Self> {
        let policy = policy.to_str().context("no text")?;
        let variables = [("RECONCILE_INTERVAL_SECONDS", "86400"), ("POLICY_FILE", policy)];
        let mut system = System::start(options(&variables)).await?;
        system.control_planes().first_mut().context("no control plane")?.process().stop();
        let mut connection = PgConnection::connect(system.database_url()).await?;
        let history = shape.history(size);
        history.write(&mut connection).await?;
        let known = some(&history, seed, &mut connection).await?;
        if shape == Shape::Gone {
            on_github(&system, &mut connection).await?;
        }
        records::settle(&history, &mut connection).await?;
        system.restart_control_plane(0).await?;
        let url = system.control_planes().first().map(ControlPlane::url).context("no control plane")?;
        let signer = Signer::new(&system.identity().private_pem, DEFAULT_GATEWAY, DEFAULT_AUDIENCE)?;
        let client = reqwest::Client::new();
        Ok(Self { system, size, url, signer, client, made: Vec::new(), number: 0, known, asked: 0 })
    }

    /// The next runner to ask for, by the next owner.
    pub(crate) fn next_known(&mut self) -> anyhow::Result<Known> {
        self.asked = self.asked.wrapping_add(1);
        self.known.get(self.asked % self.known.len().max(1)).cloned().context("no live runner")
    }

    /// The name of a runner that is about to be made.
    pub(crate) fn new_name(&mut self) -> String {
        self.number += 1;
        let name = format!("new-{}", self.number);
        self.made.push(name.clone());
        name
    }
}

/// Live runners from all over the records, more than a call is measured with.
async fn some(history: &History, seed: u64, connection: &mut PgConnection) -> anyhow::Result<Vec<Known>> {
    let mut random = Random::new(seed);
    let live = usize::try_from(history.live)?;
    let back = (0..KNOWN).map(|_| u32::try_from(random.below(live)));
    let names = back.map(|back| Ok(format!("old-{}", history.runners.saturating_sub(back?))));
    let names = names.collect::<anyhow::Result<Vec<_>>>()?;
    let query = "select id::text, name, owner_subject as owner from runners where name = any($1) order by md5(name)";
    Ok(sqlx::query_as(query).bind(names).fetch_all(connection).await?)
}

/// Has GitHub know the live runners, and the records know that.
async fn on_github(system: &System, connection: &mut PgConnection) -> anyhow::Result<()> {
    let names: Vec<String> =
        sqlx::query_scalar("select name from runners where state <> 'deleted'").fetch_all(&mut *connection).await?;
    let add = |name: &String| system.github().add_runner(ORGANIZATION, name, &["self-hosted", "linux"]);
    let ids: Vec<i64> = names.iter().map(add).map(i64::try_from).collect::<Result<_, _>>()?;
    let known = "update runners set github_runner_id = known.id, state = 'offline', offline_since = now()
        from unnest($1::text[], $2::bigint[]) as known (name, id)
        where runners.name = known.name and state <> 'deleted'";
    sqlx::query(known).bind(names).bind(ids).execute(&mut *connection).await?;
    sqlx::raw_sql("vacuum analyze runners").execute(connection).await?;
    Ok(())
}

/// A file that is gone when this is.
pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A policy under which every owner has their runners, and somebody may do everything.
pub(crate) fn policy_file() -> anyhow::Result<TemporaryFile> {
    let file = TemporaryFile(std::env::temp_dir().join(format!("policy-growth-{}.yaml", std::process::id())));
    let text = format!(
        "version: 1\nrules:\n  - name: owners\n    match: {{iss: {ISSUER:?}, claims: {{aud: bench}}}}\n    \
         grant: {{targets: [org:{ORGANIZATION}], labels: [self-hosted, linux]}}\n  - name: operators\n    \
         match: {{iss: {ISSUER:?}, claims: {{groups: admins}}}}\n    grant: {{admin: true}}\n"
    );
    fs::write(file.path(), text)?;
    Ok(file)
}
