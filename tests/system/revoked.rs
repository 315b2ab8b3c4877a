//! The kill switch while clients ask, through Envoy, at three control planes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::github::{Endpoint, Fault, ORGANIZATION};
use testkit::system::System;

use crate::governed::{Governed, PATIENCE};
use crate::support::{Answer, database, provision, until};

/// Who goes, and who stays; a team shares their runners.
const GONE: (&str, usize) = ("gone", 6);
const STAYS: (&str, usize) = ("stays", 2);
/// How long GitHub takes to answer, so that secrets are being asked for whenever somebody is revoked.
const ASKED_FOR: Duration = Duration::from_millis(200);
/// The load before the revocation, and after it.
const LOAD: Duration = Duration::from_millis(1500);

/// What a client is told.
struct Told {
    asked_at: Instant,
    answer: Answer,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_granted_on_any_replica_once_a_revocation_is_answered() -> anyhow::Result<()> {
    let mut governed = Governed::start("revoked").await?;
    let policy = format!(
        "version: 1\nrules:\n  - name: team\n    match: {{iss: {:?}, claims: {{project: 7}}}}\n    owner: team\n    \
         grant: {{targets: [org:{ORGANIZATION}], labels: [self-hosted]}}\n{}",
        governed.issuer(),
        governed.operators()
    );
    governed.put_in_force(&policy).await?;
    let (system, done) = (&governed.system, AtomicBool::new(false));
    let busy = provision(system, &governed.token(GONE.0, "project", 7)?, &jit("gone-busy")).await?;
    let mut machine = system.github().machine().run_command(busy.text("configuration_command")?).await?;
    machine.go_online().await?;
    machine.take_job().await?;
    system.github().inject(Endpoint::JitConfig, Fault::HangAfterCommit(ASKED_FOR), 10_000);

    let revoke = async {
        tokio::time::sleep(LOAD).await;
        let whom = json!({"issuer": governed.issuer(), "subject": GONE.0, "reason": "token leaked"});
        let answer = governed.admin("principals/revoke", whom).await;
        let answered_at = Instant::now();
        tokio::time::sleep(LOAD).await;
        done.store(true, Ordering::SeqCst);
        anyhow::Ok((answer?, answered_at))
    };
    let (gone, stays, revoked) = tokio::join!(crowd(&governed, GONE, &done), crowd(&governed, STAYS, &done), revoke);
    let (gone, stays, (revoked, answered_at)) = (gone?, stays?, revoked?);
    assert_eq!(revoked.status, StatusCode::ACCEPTED, "{revoked:?}");

    let late: Vec<&Told> = gone.iter().filter(|told| told.asked_at > answered_at).collect();
    assert!(late.len() > 30, "there was no load: {}", late.len());
    assert!(late.iter().all(|told| is_revoked(&told.answer)), "granted after the revocation's answer");
    let early: Vec<&Told> = gone.iter().filter(|told| told.asked_at <= answered_at).collect();
    let granted = early.iter().filter(|told| told.answer.status == StatusCode::CREATED).count();
    assert!(early.iter().all(|told| told.answer.status == StatusCode::CREATED || is_revoked(&told.answer)));
    let cancelled = early.len() - granted;
    assert!(granted > 5 && cancelled > 0, "{granted} granted, {cancelled} cancelled");
    println!("{granted} granted, {cancelled} cancelled, {} refused later", late.len());
    for (name, log) in system.logs()?.iter().filter(|(name, _)| name.starts_with("control-plane-")) {
        assert!(log.contains("\"status\":403"), "{name} was not asked after the revocation");
    }
    recorded_in_order(system, granted).await?;

    let names = |prefix: &str| {
        let all = system.github().runners().into_iter().map(|runner| runner.name);
        all.filter(|name| name.starts_with(prefix)).collect::<Vec<_>>()
    };
    until("all but the busy one are gone", PATIENCE, async || Ok(names("gone-") == ["gone-busy"])).await?;
    machine.finish_job().await?;
    let mut connection = database(system).await?;
    let query = "select not exists (select from runners where name like 'gone-%' and state <> 'deleted')";
    let recorded = async || Ok(sqlx::query_scalar::<_, bool>(query).fetch_one(&mut connection).await?);
    until("the busy one goes when its job has ended, and all is recorded", PATIENCE, recorded).await?;
    assert_eq!(names("gone-"), [""; 0]);

    assert!(stays.iter().all(|told| told.answer.status == StatusCode::CREATED), "others are not touched");
    assert_eq!(names("stays-").len(), stays.len());
    Ok(())
}

fn jit(name: &str) -> Value {
    json!({"runner_name": name, "mode": "jit", "labels": ["self-hosted"]})
}

fn is_revoked(answer: &Answer) -> bool {
    answer.status == StatusCode::FORBIDDEN && answer.problem() == "principal-revoked"
}

/// So many clients of one subject, each asking again as soon as it has an answer.
async fn crowd(governed: &Governed, who: (&str, usize), done: &AtomicBool) -> anyhow::Result<Vec<Told>> {
    let token = governed.token(who.0, "project", 7)?;
    let clients = (0..who.1).map(|client| {
        let token = &token;
        async move {
            let mut all = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let name = format!("{}-{client}-{}", who.0, all.len());
                let asked_at = Instant::now();
                let answer = provision(&governed.system, token, &jit(&name)).await?;
                all.push(Told { asked_at, answer });
            }
            anyhow::Ok(all)
        }
    });
    Ok(try_join_all(clients).await?.into_iter().flatten().collect())
}

/// Nothing of theirs begins or is issued behind the entry of the revocation; what was under way is recorded as such.
async fn recorded_in_order(system: &System, granted: usize) -> anyhow::Result<()> {
    let mut connection = database(system).await?;
    let query = "select event, count(*), count(*) filter (where id > (select id from audit_log
            where event = 'principal.revoked'))
        from audit_log where principal_subject = $1 and event like 'provision.%' and runner_name <> 'gone-busy'
        group by 1";
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(query).bind(GONE.0).fetch_all(&mut connection).await?;
    let of = |event: &str| rows.iter().find(|row| row.0 == event).map(|row| (row.1, row.2));
    let (requested, late) = of("provision.requested").context("nothing was requested")?;
    assert_eq!(late, 0, "{rows:?}");
    assert_eq!(of("provision.issued"), Some((i64::try_from(granted)?, 0)), "{rows:?}");
    let (discarded, _) = of("provision.discarded").context("nothing was under way")?;
    assert_eq!(requested, i64::try_from(granted)? + discarded, "{rows:?}");
    Ok(())
}
