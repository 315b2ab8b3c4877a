//! What was issued, what was given out, and what the records say of it: token by token.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use testkit::github::FakeGithub;

/// Secrets as they came to clients: the runner's name, the secret.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) kills: u64,
    pub(crate) answered: Vec<(String, String)>,
}

/// What must all be zero, but for the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) kills: u64,
    /// Made by GitHub.
    pub(crate) secrets: usize,
    /// Given to clients.
    pub(crate) answered: usize,
    /// Runners on GitHub for which no live row stands.
    pub(crate) orphans: usize,
    /// Live rows of which nobody knows how their provision ended, and live rows whose runner GitHub has no more.
    pub(crate) stuck: usize,
    /// Secrets given out without an entry of their hash, secrets of GitHub without such an entry or an interrupted
    /// intent to account for them, and intents without an end.
    pub(crate) unrecorded: usize,
}

impl Ledger {
    /// Notes what a client was given.
    pub(crate) fn note(&mut self, body: &serde_json::Value) {
        let text = |name: &str| body.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        let secret = text("registration_token").or_else(|| text("encoded_jit_config"));
        self.answered.extend(text("runner_name").zip(secret));
    }

    /// Compares with GitHub and with the records.
    pub(crate) async fn balance(&self, pool: &PgPool, github: &FakeGithub) -> anyhow::Result<Counts> {
        let secrets = github.runner_secrets();
        Ok(Counts {
            kills: self.kills,
            secrets: secrets.len(),
            answered: self.answered.len(),
            orphans: orphans(pool, github).await?,
            stuck: stuck(pool, github).await?,
            unrecorded: self.unrecorded(pool, &secrets).await?,
        })
    }

    async fn unrecorded(&self, pool: &PgPool, secrets: &[String]) -> anyhow::Result<usize> {
        let query = "select details->>'secret_sha256', runner_name from audit_log where event = 'provision.issued'";
        let issued: Vec<(String, String)> = sqlx::query_as(query).fetch_all(pool).await?;
        let mut entries: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (hash, name) in &issued {
            entries.entry(hash).or_default().push(name);
        }
        // Exactly one entry, and of that very runner.
        let entered = |name: &str, secret: &str| entries.get(sha256(secret).as_str()) == Some(&vec![name]);
        let given_out = self.answered.iter().filter(|(name, secret)| !entered(name, secret)).count();

        let query = "select details->>'secret_sha256' from audit_log
            where event in ('provision.issued', 'provision.discarded')";
        let hashes: BTreeSet<String> =
            sqlx::query_scalar::<_, String>(query).fetch_all(pool).await?.into_iter().collect();
        let lost = secrets.iter().filter(|secret| !hashes.contains(&sha256(secret))).count();
        let (interrupted, open) = intents(pool).await?;
        // Each call to GitHub has an intent of its own, so as many lost secrets have an interrupted intent each.
        Ok(given_out + lost.saturating_sub(interrupted) + open)
    }
}

/// How many intents were interrupted (by their own entry, or by a repeat), and how many have no end at all.
async fn intents(pool: &PgPool) -> anyhow::Result<(usize, usize)> {
    let query = "with steps as (
            select event, lead(event) over (partition by runner_id order by id) as next from audit_log
            where event in ('provision.requested', 'provision.issued', 'provision.failed', 'provision.discarded',
                'provision.interrupted')
        )
        select count(*) filter (where next in ('provision.interrupted', 'provision.requested')),
            count(*) filter (where next is null)
        from steps where event = 'provision.requested'";
    let (interrupted, open): (i64, i64) = sqlx::query_as(query).fetch_one(pool).await?;
    Ok((usize::try_from(interrupted)?, usize::try_from(open)?))
}

async fn orphans(pool: &PgPool, github: &FakeGithub) -> anyhow::Result<usize> {
    let known = live_ids(pool).await?;
    let here = |id: u64| i64::try_from(id).is_ok_and(|id| known.contains(&id));
    Ok(github.runners().iter().filter(|runner| !here(runner.id)).count())
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
