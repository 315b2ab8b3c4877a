//! What was issued, what was given out, and what the records say of it: token by token.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

use crate::github::{FakeGithub, RunnerSecret};

/// What clients were given, to be compared with what GitHub made and with the records.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// So many processes were killed meanwhile.
    pub kills: u64,
    /// Secrets as they came to clients: the runner's name, the secret.
    pub answered: Vec<(String, String)>,
    /// GitHub's ids of runners that came there by other means.
    pub strangers: BTreeSet<u64>,
}

/// What must all be zero, but for the first four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Processes that were killed.
    pub kills: u64,
    /// Made by GitHub.
    pub secrets: usize,
    /// Given to clients.
    pub answered: usize,
    /// Lost on their way to the service, and accounted for by an interrupted intent of their own.
    pub lost: usize,
    /// Runners on GitHub for which no live row stands.
    pub orphans: usize,
    /// Live rows of which nobody knows how their provision ended, and live rows whose runner GitHub has no more.
    pub stuck: usize,
    /// Secrets given out without exactly one entry of their hash, secrets of GitHub with neither such an entry nor an
    /// interrupted intent of their own, and intents without an end.
    pub unrecorded: usize,
}

impl Counts {
    /// Prints them.
    ///
    /// # Panics
    /// Unless everything that must be zero is: the test fails.
    pub fn print(self, what: &str) {
        let Self { kills, secrets, answered, lost, orphans, stuck, unrecorded } = self;
        println!(
            "{what}: {kills} kills, {secrets} secrets issued, {answered} of them answered to clients, {lost} lost with \
             an interrupted intent of their own: {orphans} orphans, {stuck} stuck, {unrecorded} unrecorded"
        );
        assert_eq!((orphans, stuck, unrecorded), (0, 0, 0));
    }
}

/// An intent in the log, from when it was written to when its end was.
#[derive(sqlx::FromRow)]
struct Intent {
    runner_name: String,
    mode: String,
    begun: DateTime<Utc>,
    ended: Option<DateTime<Utc>>,
    /// The event that ended it.
    end: Option<String>,
    /// The service said before that it does not know what came of it: GitHub may make the secret at any time.
    unknown: bool,
}

impl Ledger {
    /// Notes what a client was given.
    pub fn note(&mut self, body: &Value) {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let secret = text("registration_token").or_else(|| text("encoded_jit_config"));
        self.answered.extend(text("runner_name").zip(secret));
    }

    /// Compares with GitHub and with the records.
    pub async fn balance(&self, pool: &PgPool, github: &FakeGithub) -> anyhow::Result<Counts> {
        let secrets = github.runner_secrets();
        let entries = entries(pool).await?;
        let given_out =
            self.answered.iter().filter(|(name, secret)| !entered(&entries, "issued", name, secret)).count();
        let intents = intents(pool).await?;
        let open = intents.iter().filter(|intent| intent.end.is_none() && !intent.unknown).count();
        let mut missing: Vec<&RunnerSecret> =
            secrets.iter().filter(|secret| !entries.contains_key(&sha256(&secret.value))).collect();
        missing.sort_by_key(|secret| secret.made_at);
        let lost = account(&missing, intents);
        Ok(Counts {
            kills: self.kills,
            secrets: secrets.len(),
            answered: self.answered.len(),
            lost,
            orphans: self.orphans(pool, github).await?,
            stuck: stuck(pool, github).await?,
            unrecorded: given_out + (missing.len() - lost) + open,
        })
    }

    async fn orphans(&self, pool: &PgPool, github: &FakeGithub) -> anyhow::Result<usize> {
        let known = live_ids(pool).await?;
        let here = |id: u64| self.strangers.contains(&id) || i64::try_from(id).is_ok_and(|id| known.contains(&id));
        Ok(github.runners().iter().filter(|runner| !here(runner.id)).count())
    }
}

/// By hash: the event and the runner of each entry.
type Entries = BTreeMap<String, Vec<(String, String)>>;

async fn entries(pool: &PgPool) -> anyhow::Result<Entries> {
    let query = "select details->>'secret_sha256', replace(event, 'provision.', ''), runner_name from audit_log
        where event in ('provision.issued', 'provision.discarded')";
    let mut entries = Entries::new();
    for (hash, event, name) in sqlx::query_as::<_, (String, String, String)>(query).fetch_all(pool).await? {
        entries.entry(hash).or_default().push((event, name));
    }
    Ok(entries)
}

/// Exactly one entry, of that event and of that very runner.
fn entered(entries: &Entries, event: &str, name: &str, secret: &str) -> bool {
    entries.get(&sha256(secret)).is_some_and(|found| found.as_slice() == [(event.to_owned(), name.to_owned())])
}

/// Each call to GitHub has an intent of its own, written before and ended after. An interrupted one accounts for one
/// secret that was made in between, one of unknown outcome for one that was made since: of that very runner if GitHub
/// knows it, else of that mode. How many have one.
fn account(missing: &[&RunnerSecret], intents: Vec<Intent>) -> usize {
    let interrupted = |intent: &Intent| {
        let end = intent.end.as_deref();
        intent.unknown || end.is_some_and(|end| end == "provision.interrupted" || end == "provision.requested")
    };
    let mut free: Vec<Intent> = intents.into_iter().filter(interrupted).collect();
    // The one that ended first: the others may still be of use to later secrets.
    free.sort_by_key(|intent| (intent.unknown, intent.ended));
    let accounted = missing.iter().filter(|secret| {
        let fits = |intent: &Intent| {
            let in_time = intent.unknown || intent.ended.is_some_and(|ended| secret.made_at <= ended);
            let between = intent.begun <= secret.made_at && in_time;
            let its = match &secret.runner_name {
                Some(name) => *name == intent.runner_name,
                None => intent.mode == "registration-token",
            };
            between && its
        };
        let found = free.iter().position(fits);
        found.map(|found| free.remove(found)).is_some()
    });
    accounted.count()
}

async fn intents(pool: &PgPool) -> anyhow::Result<Vec<Intent>> {
    let query = r#"with steps as (
            select event, runner_name, details->>'mode' as mode, occurred_at as begun,
                lead(event) over runner is not distinct from 'provision.unknown' as unknown,
                lead(occurred_at) over runner as ended, lead(event) over runner as "end",
                lead(occurred_at, 2) over runner as later, lead(event, 2) over runner as last
            from audit_log
            where event in ('provision.requested', 'provision.issued', 'provision.failed', 'provision.discarded',
                'provision.interrupted', 'provision.unknown')
            window runner as (partition by runner_id order by id)
        )
        select runner_name, mode, begun, unknown, case when unknown then later else ended end as ended,
            case when unknown then last else "end" end as "end"
        from steps where event = 'provision.requested'"#;
    Ok(sqlx::query_as(query).fetch_all(pool).await?)
}

async fn stuck(pool: &PgPool, github: &FakeGithub) -> anyhow::Result<usize> {
    let query = "select count(*) from runners where state <> 'deleted' and issuance <> 'issued'";
    let open: i64 = sqlx::query_scalar(query).fetch_one(pool).await?;
    let there: BTreeSet<i64> = github.runners().iter().filter_map(|runner| i64::try_from(runner.id).ok()).collect();
    let gone = live_ids(pool).await?.into_iter().filter(|id| !there.contains(id)).count();
    Ok(usize::try_from(open)? + gone)
}

async fn live_ids(pool: &PgPool) -> anyhow::Result<BTreeSet<i64>> {
    let query = "select github_runner_id from runners where state <> 'deleted' and github_runner_id is not null";
    Ok(sqlx::query_scalar::<_, i64>(query).fetch_all(pool).await?.into_iter().collect())
}

fn sha256(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}
