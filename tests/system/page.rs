//! The page at `/ui` in a real browser, through the edge; the certified issuer signs people in. What people do with it is
//! written in `tests/page`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use testkit::github::{GithubConfig, Limits, ORGANIZATION};
use testkit::history::History;
use testkit::system::{AUDIENCE, OidcProvider, Scope, System, SystemOptions, path};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::database;

/// Far more than the stories of a file take.
const PATIENCE: Duration = Duration::from_mins(5);

/// Runners, for a page that shows fifty at a time.
const MANY: u32 = 10_000;

/// A day before the story's own, for its charts: busy by day, with a gap in the counts and somebody at the door.
const DAY_BEFORE: [&str; 3] = [
    "insert into audit_log (occurred_at, event, outcome, actor)
    select now() - make_interval(mins => n), 'provision.issued', 'success', 'system'
    from generate_series(30, 1410, 3) n where n * 7 % 10 < 5 + 4 * sin(n / 230.0)",
    "insert into audit_log (occurred_at, event, outcome, actor, reasons)
    select now() - make_interval(mins => n), event, 'denied', actor, array[reason]
    from generate_series(30, 1410, 5) n join (values
        (7, 'provision.denied', 'system', 'rule \"staff\" does not grant it: label mainframe is not granted'),
        (11, 'provision.denied', 'system', 'rule \"staff\": 20 of 20 active runners are there'),
        (1, 'access.denied', 'anonymous', 'no assertion'),
        (23, 'admin.denied', 'system', 'no rule of the policy gives admin rights to this caller')
    ) as denial (often, event, actor, reason) on n / 5 % often = 0 and (often > 1 or n between 600 and 720)",
    "insert into runner_samples (sampled_at, pending, active, offline, draining)
    select now() - make_interval(mins => n), n / 30 % 3, 24 + (9 * sin(n / 230.0))::int, 2 + n / 400, n / 60 % 2
    from generate_series(30, 1410, 10) n where n not between 900 and 970",
];

/// A system with a page, and who signs people in to it.
struct Pages {
    system: System,
    provider: OidcProvider,
    /// Holds the policy's file.
    _scope: Arc<Scope>,
}

/// Staff may register runners with two labels; administrators may do everything.
fn policy(issuer: &str) -> String {
    format!(
        "version: 1\nrules:\n  - name: staff\n    match: {{iss: {issuer:?}, claims: {{groups: staff}}}}\n    \
         grant: {{targets: [org:{ORGANIZATION}], runner_groups: [1], labels: [linux, gpu]}}\n  - name: operators\n    \
         match: {{iss: {issuer:?}, claims: {{groups: runner-admins}}}}\n    \
         grant: {{admin: true, targets: [org:{ORGANIZATION}], runner_groups: [1], labels: [linux, gpu]}}\n"
    )
}

impl Pages {
    async fn start() -> anyhow::Result<Self> {
        Self::start_with("RECONCILE_INTERVAL_SECONDS", "1").await
    }

    async fn start_with(name: &str, value: &str) -> anyhow::Result<Self> {
        let scope = Arc::new(Scope::new()?);
        let provider = OidcProvider::start(AUDIENCE, &scope).await?;
        let file = scope.directory().join("policy.yaml");
        std::fs::write(&file, policy(&provider.issuer().issuer))?;
        let mut variables = provider.for_the_page().to_vec();
        let policy_file = file.to_str().context("no text")?;
        let more = [
            ("POLICY_FILE", policy_file),
            (name, value),
            ("AUDIT_SEAL_SECONDS", "1"),
            ("AUDIT_CHECKPOINT_SECONDS", "1"),
            ("DRAIN_STUCK_SECONDS", "1"),
        ];
        variables.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let options = SystemOptions {
            believe: Some(provider.issuer().clone()),
            control_plane: variables,
            github: GithubConfig {
                limits: Limits { per_hour: Limits::DOCUMENTED.per_hour, ..Limits::NONE },
                ..SystemOptions::default().github
            },
            ..SystemOptions::default()
        };
        Ok(Self { system: System::start(options).await?, provider, _scope: scope })
    }

    /// Runs the stories of a file of `tests/page`; all of them must end well.
    async fn tell(&self, file: &str) -> anyhow::Result<()> {
        let mut stories = Command::new(path("NODE_BIN")?);
        stories.arg(path("PAGE_TESTS_DIR")?.join(file)).kill_on_drop(true);
        stories.env("EDGE_URL", self.system.edge_url()).env("GITHUB_URL", self.system.github().base_url());
        if std::env::var_os("UPDATE_PICTURES").is_some() {
            stories.env("PICTURES_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/images"));
        }
        let told = timeout(PATIENCE, stories.output()).await.context("the stories did not end")??;
        let words = [told.stdout, told.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        ensure!(told.status.success(), "{file}: {}\n{words}", told.status);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_has_a_page() -> anyhow::Result<()> {
    let mut pages = Pages::start().await?;
    pages.tell("owner.mjs").await?;
    ensure!(pages.provider.process().ended().is_none(), "the issuer has ended");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_has_a_page_that_others_have_not() -> anyhow::Result<()> {
    Pages::start().await?.tell("admin.mjs").await
}

/// Nobody waits for ten thousand runners that are on none of the pages that they look at.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_runners_are_no_burden() -> anyhow::Result<()> {
    // GitHub has none of them, which is not to be found out meanwhile.
    let pages = Pages::start_with("RECONCILE_INTERVAL_SECONDS", "3600").await?;
    let mut connection = database(&pages.system).await?;
    let history = History { runners: MANY, live: MANY, owners: 1, entries: 10, unsealed: 0, others: 10 };
    history.write(&mut connection).await?;
    let theirs = "update runners set owner_issuer = $1, owner_subject = 'team-red'";
    let theirs = sqlx::query(theirs).bind(&pages.provider.issuer().issuer).execute(&mut connection).await?;
    ensure!(theirs.rows_affected() == u64::from(MANY), "{theirs:?}");
    pages.tell("many.mjs").await
}

/// With `UPDATE_PICTURES` set, those of `docs/images` are made anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_its_picture_taken() -> anyhow::Result<()> {
    let pages = Pages::start().await?;
    for statement in DAY_BEFORE {
        sqlx::query(statement).execute(&mut database(&pages.system).await?).await?;
    }
    pages.tell("pictures.mjs").await
}

/// The page's copy of the library that it signs in with is the one of the registry, to the byte.
#[test]
fn the_library_of_the_page_is_as_its_makers_published_it() -> anyhow::Result<()> {
    let published = path("PAGE_TESTS_DIR")?.join("node_modules/oauth4webapi");
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../control-plane/ui/vendor/oauth4webapi");
    for (theirs, own) in [("build/index.js", "index.js"), ("LICENSE.md", "LICENSE.md")] {
        let (theirs, own) = (std::fs::read(published.join(theirs))?, std::fs::read(ours.join(own))?);
        ensure!(theirs == own, "copy the files of the locked version to {}", ours.display());
    }
    Ok(())
}
