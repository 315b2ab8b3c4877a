//! The policy file is broken, half written and mended while clients ask, through Envoy, at three control planes.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use serde_json::json;
use testkit::github::ORGANIZATION;
use testkit::system::System;

use crate::governed::{Governed, PATIENCE, policy};
use crate::support::{database, provision, until};

const CLIENTS: usize = 6;
/// Between two requests of a client, so that GitHub's side does not fill up with runners.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the file is half written: less than what is between two looks, more than enough to be looked at by one of
/// three replicas in one of four changes.
const HALF_WRITTEN: Duration = Duration::from_millis(500);
/// How long a state of the file is kept under load.
const KEPT: Duration = Duration::from_millis(400);
const BROKEN: [&str; 4] = ["version: 1\nrules: [", "", "version: 1\nrules: []\nextra: 1", "\u{feff}%"];

/// One of two policies that have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// Without its last line it is in order, too, and grants any name.
    fn policy(self, issuer: &str) -> String {
        let side = self.name();
        format!(
            "version: 1\nrules:\n  - name: team\n    match: {{iss: {issuer:?}, claims: {{project: 7}}}}\n    \
             owner: team\n    grant:\n      targets: [org:{ORGANIZATION}]\n      labels: [{side}-1, {side}-2]\n      \
             modes: [jit]\n      name_prefix: {side}-\n"
        )
    }
}

/// What a client is told.
#[derive(Debug)]
struct Told {
    /// Whose policy grants it; none if no whole policy does.
    granted_by: Option<Side>,
    granted: bool,
    asked_at: Instant,
    answered_at: Instant,
}

/// That a policy was in force on all replicas.
struct InForce {
    side: Side,
    from: Instant,
    to: Instant,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_broken_or_half_written_decides_nothing_under_load() -> anyhow::Result<()> {
    let mut governed = Governed::start("reload").await?;
    let first = Side::Left.policy(&governed.issuer());
    governed.put_in_force(&first).await?;
    let (urls, file, issuer) = (governed.urls(), governed.file.clone(), governed.issuer());
    let (done, number) = (AtomicBool::new(false), AtomicUsize::new(0));
    let token = governed.token("member", "project", 7)?;
    let clients = (0..CLIENTS).map(|_| client(&governed.system, &token, &number, &done));
    let changes = async {
        let history = change(&urls, file, &issuer).await;
        done.store(true, Ordering::SeqCst);
        history
    };
    let (told, history) = tokio::join!(try_join_all(clients), changes);
    let (told, history): (Vec<Told>, Vec<InForce>) = (told?.into_iter().flatten().collect(), history?);

    let by_none = told.iter().filter(|told| told.granted_by.is_none());
    assert_eq!(by_none.clone().filter(|told| told.granted).count(), 0, "decided by half a policy, or by two");
    assert!(by_none.count() > 100, "there was no load");
    for in_force in &history {
        let during = |told: &&Told| told.asked_at >= in_force.from && told.answered_at <= in_force.to;
        let asked: Vec<&Told> = told.iter().filter(during).collect();
        assert!(asked.iter().filter(|told| told.granted).count() > 5, "there was no load: {}", asked.len());
        for told in asked {
            assert_eq!(told.granted, told.granted_by == Some(in_force.side), "{:?} {told:?}", in_force.side);
        }
    }
    each_entry_names_the_policy_that_decided(&governed.system, history.len(), urls.len()).await
}

/// Asks for what the one grants, what the other grants, and for what either would only grant if something of it were
/// missing or something of the other were there.
async fn client(system: &System, token: &str, number: &AtomicUsize, done: &AtomicBool) -> anyhow::Result<Vec<Told>> {
    let kinds = [
        (Some(Side::Left), "left", ["left-1", "left-2"]),
        (Some(Side::Right), "right", ["right-1", "right-2"]),
        (None, "left", ["left-1", "right-2"]),
        (None, "right", ["left-1", "left-2"]),
        (None, "free", ["left-1", "left-2"]),
        (None, "free", ["right-1", "right-2"]),
    ];
    let mut all = Vec::new();
    for (granted_by, name, labels) in kinds.into_iter().cycle() {
        if done.load(Ordering::SeqCst) {
            break;
        }
        let name = format!("{name}-{}", number.fetch_add(1, Ordering::SeqCst));
        let body = json!({"runner_name": name, "mode": "jit", "labels": labels});
        let asked_at = Instant::now();
        let answer = provision(system, token, &body).await?;
        let denied = answer.status == StatusCode::FORBIDDEN && answer.problem() == "denied-by-policy";
        let granted = answer.status == StatusCode::CREATED;
        assert!(granted || denied, "{body} {answer:?}");
        all.push(Told { granted_by, granted, asked_at, answered_at: Instant::now() });
        tokio::time::sleep(PAUSE).await;
    }
    Ok(all)
}

/// Breaks the file and mends it with the other policy, in place and in two pieces, again and again.
async fn change(urls: &[String], file: PathBuf, issuer: &str) -> anyhow::Result<Vec<InForce>> {
    let all = async |member: &'static str| try_join_all(urls.iter().map(|url| policy(url, member))).await;
    let mut history = Vec::new();
    let sides = [Side::Left, Side::Right, Side::Left, Side::Right, Side::Left];
    for (broken, pair) in BROKEN.iter().zip(sides.windows(2)) {
        let [before, after] = pair else { continue };
        let (from, hashes) = (Instant::now(), all("sha256").await?);
        std::fs::write(&file, broken)?;
        let stale = async || Ok(all("status").await?.iter().all(|status| status == "stale"));
        until("the file is found broken", PATIENCE, stale).await?;
        tokio::time::sleep(KEPT).await;
        assert_eq!(all("sha256").await?, hashes, "the last good one stays");
        history.push(InForce { side: *before, from, to: Instant::now() });
        let (path, text) = (file.clone(), after.policy(issuer));
        tokio::task::spawn_blocking(move || write_in_two_pieces(path, &text)).await??;
        let changed = async || {
            let now = all("sha256").await?;
            Ok(now.iter().zip(&hashes).all(|(now, before)| now != before))
        };
        until("the mended file is in force", PATIENCE, changed).await?;
        assert!(all("status").await?.iter().all(|status| status == "ok"));
        tokio::time::sleep(KEPT).await;
    }
    Ok(history)
}

fn write_in_two_pieces(path: PathBuf, text: &str) -> anyhow::Result<()> {
    let last_line = text.trim_end().rfind('\n').unwrap_or_default();
    let (first, second) = text.split_at(last_line + 1);
    let mut file = std::fs::File::create(path)?;
    file.write_all(first.as_bytes())?;
    std::thread::sleep(HALF_WRITTEN);
    file.write_all(second.as_bytes())?;
    Ok(())
}

async fn each_entry_names_the_policy_that_decided(
    system: &System,
    changes: usize,
    replicas: usize,
) -> anyhow::Result<()> {
    let mut connection = database(system).await?;
    let query = "select split_part(runner_name, '-', 1), count(distinct policy_sha256), min(policy_sha256)
        from audit_log where event in ('provision.requested', 'provision.issued') group by 1 order by 1";
    let decided: Vec<(String, i64, String)> = sqlx::query_as(query).fetch_all(&mut connection).await?;
    let [(left, 1, by_left), (right, 1, by_right)] = decided.as_slice() else { bail!("{decided:?}") };
    assert_eq!((left.as_str(), right.as_str(), by_left == by_right), ("left", "right", false));
    let query = "select count(*) from audit_log where event = 'provision.denied' and policy_sha256 <> all($1)";
    let others: i64 =
        sqlx::query_scalar(query).bind([by_left, by_right].map(String::as_str)).fetch_one(&mut connection).await?;
    assert_eq!(others, 0, "denied by another policy");
    // Each replica took each whole file once, the first included, and nothing else; and told of each broken one once.
    let query = "select event, count(*) from audit_log where event like 'policy.%' group by 1 order by 1";
    let events: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(&mut connection).await?;
    let count = |each: usize| i64::try_from(each * replicas);
    let expected = [("policy.loaded".to_owned(), count(changes + 1)?), ("policy.refused".to_owned(), count(changes)?)];
    assert_eq!(events, expected);
    Ok(())
}
