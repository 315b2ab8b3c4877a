//! `POST /api/v1/runners/provision`

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::github::{Endpoint, Fault};

use crate::MIGRATIONS;
use crate::world::World;

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_token_comes_with_everything_that_a_machine_needs(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let body = json!({"runner_name": "gpu-1", "labels": ["GPU", "linux"], "disable_update": true});
    let answer = world.provision("alice", body).await?;

    assert_eq!(answer.status, 201, "{answer:?}");
    let members: BTreeSet<&str> =
        answer.body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "runner_id",
        "runner_name",
        "github_url",
        "expires_at",
        "runner_group_id",
        "labels",
        "ephemeral",
        "registration_token",
        "configuration_command",
    ];
    assert_eq!(members, BTreeSet::from(expected));
    assert_eq!(answer.body["labels"], json!(["gpu", "linux"]));
    assert_eq!((&answer.body["ephemeral"], &answer.body["runner_group_id"]), (&json!(true), &json!(1)));
    assert_eq!(answer.text("github_url")?, world.github.html_url("acme-partners"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let words = shlex::split(answer.text("configuration_command")?).unwrap_or_default();
    let (url, token) = (answer.text("github_url")?, answer.text("registration_token")?);
    let expected = [
        "./config.sh",
        "--unattended",
        "--url",
        url,
        "--token",
        token,
        "--name",
        "gpu-1",
        "--labels",
        "gpu,linux",
        "--ephemeral",
        "--disableupdate",
    ];
    assert_eq!(words, expected);

    let mut machine = world.github.machine().run_command(answer.text("configuration_command")?).await?;
    machine.go_online().await?;
    world.reconcile().await?;
    let runner = world.get("alice", "/api/v1/runners/gpu-1").await?;
    assert_eq!((runner.text("status")?, &runner.body["github_runner_id"]), ("active", &json!(machine.id())));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_jit_configuration_starts_a_runner_at_once(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let body = json!({"runner_name": "jit-1", "mode": "jit", "labels": ["gpu"]});
    let answer = world.provision("alice", body).await?;

    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.body.get("registration_token").is_none());
    let config = answer.text("encoded_jit_config")?;
    let words = shlex::split(answer.text("configuration_command")?).unwrap_or_default();
    assert_eq!(words, ["./run.sh", "--jitconfig", config]);
    assert_eq!(answer.body["github_runner_id"], json!(world.github.runner("jit-1").map(|runner| runner.id)));

    world.reconcile().await?;
    assert_eq!(world.state("jit-1").await?.0, "pending", "nothing has started yet");
    world.github.machine().run_command(answer.text("configuration_command")?).await?;
    world.reconcile().await?;
    assert_eq!(world.state("jit-1").await?.0, "active");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_prefix_is_completed_differently_each_time(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut names = BTreeSet::new();
    for _ in 0..3 {
        let answer = world.provision("alice", json!({"runner_name_prefix": "ci"})).await?;
        assert!(answer.text("runner_name")?.starts_with("ci-"), "{answer:?}");
        names.insert(answer.text("runner_name")?.to_owned());
    }
    assert_eq!(names.len(), 3);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn of_fifty_at_once_one_gets_the_name(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let wanted = (0..50).map(|number| {
        // The same to GitHub, which compares without case.
        let name = if number % 2 == 0 { "one-name" } else { "ONE-name" };
        world.provision("alice", json!({"runner_name": name}))
    });
    let answers = futures_util::future::try_join_all(wanted).await?;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.problem() == "runner-name-taken").count(), 49);
    assert_eq!(world.github.count(Endpoint::RegistrationToken), 1);
    assert_eq!(world.github.count(Endpoint::AccessToken), 1);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_crowd_on_a_cold_cache_mints_one_installation_token(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let wanted = (0..20).map(|number| world.provision("alice", json!({"runner_name": format!("r{number}")})));
    let answers = futures_util::future::try_join_all(wanted).await?;
    assert!(answers.iter().all(|answer| answer.status == 201));
    assert_eq!(world.github.count(Endpoint::AccessToken), 1);
    assert_eq!(world.github.count(Endpoint::RegistrationToken), 20);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn what_is_not_allowed_never_reaches_github(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for (body, status, problem, word) in [
        (json!({"runner_name": "a", "target": "org:other"}), 403, "denied-by-policy", "org:other"),
        (json!({"runner_name": "a", "target": "repo:acme-partners/app"}), 403, "denied-by-policy", "repo:"),
        (json!({"runner_name": "a", "runner_group_id": 3}), 403, "denied-by-policy", "group 3"),
        (json!({"runner_name": "a", "labels": ["ubuntu-latest"]}), 403, "denied-by-policy", "ubuntu-latest"),
        (json!({"runner_name": "a", "target": "enterprise:big"}), 403, "denied-by-policy", "enterprise:big"),
        (json!({"runner_name": "a", "target": "user:big"}), 400, "invalid-request", "enterprise:SLUG"),
        (json!({"runner_name": "--token"}), 400, "invalid-request", "runner_name"),
        (json!({"runner_name": "a\u{1b}[2J"}), 400, "invalid-request", "runner_name"),
        (json!({"runner_name": "a", "labels": ["x;reboot"]}), 400, "invalid-request", "';'"),
        (json!({"runner_name": "a", "labels": ["a", "b c"]}), 400, "invalid-request", "' '"),
        (json!({"runner_name": "a", "lables": []}), 400, "invalid-request", "unknown field `lables`"),
        (json!({"runner_name": 7}), 400, "invalid-request", "runner_name"),
        (json!({"runner_name": "a", "mode": "jot"}), 400, "invalid-request", "jot"),
        (json!({}), 400, "invalid-request", "runner_name_prefix"),
        (json!([]), 400, "invalid-request", ""),
    ] {
        let answer = world.provision("alice", body.clone()).await?;
        assert_eq!((answer.status, answer.problem()), (status, problem), "{body} {answer:?}");
        assert!(answer.text("detail")?.contains(word), "{word} in {answer:?}");
    }
    assert_eq!(world.github.count(Endpoint::Any), 0);
    let events = world.events().await?;
    assert_eq!(events.len(), 15);
    assert!(events.iter().all(|event| event == "provision.denied denied"), "{events:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn bodies_that_are_no_json_are_refused_for_what_they_are(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let post = || world.request("alice", Method::POST, "/api/v1/runners/provision");
    let answer = world.send(post()?.body("{}")).await?;
    assert_eq!((answer.status, answer.problem()), (415, "unsupported-media-type"));
    let answer = world.send(post()?.header("content-type", "application/json").body("{\"runner_name\"")).await?;
    assert_eq!((answer.status, answer.problem()), (400, "invalid-request"));
    let large = json!({"runner_name": "x".repeat(64 * 1024)});
    let answer = world.send(post()?.json(&large)).await?;
    assert_eq!((answer.status, answer.problem()), (413, "body-too-large"));
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn githubs_refusals_are_told_apart_and_free_the_name(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    for (fault, status, problem) in [
        (Fault::MissingPermission, 502, "github-permission"),
        (Fault::SuspendedInstallation, 502, "github-suspended"),
        (Fault::PrimaryLimit(403, Duration::from_mins(1)), 503, "github-rate-limited"),
        (Fault::SecondaryLimit(429, None), 503, "github-rate-limited"),
        (Fault::BeforeCommit(422), 502, "github-refused"),
    ] {
        world.github.inject(Endpoint::RegistrationToken, fault.clone(), 1);
        let answer = world.provision("alice", json!({"runner_name": "a"})).await?;
        assert_eq!((answer.status, answer.problem()), (status, problem), "{fault:?}");
        let refused = ("deleted".to_owned(), Some("provision-refused".to_owned()));
        assert_eq!(world.state("a").await?, refused);
        world.advance(Duration::from_mins(2))?;
    }
    assert_eq!(world.provision("alice", json!({"runner_name": "a"})).await?.status, 201);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_name_that_only_github_knows_is_taken_too(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    world.github.add_runner("acme-partners", "theirs", &["linux"]);
    let jit = world.provision("alice", json!({"runner_name": "THEIRS", "mode": "jit"})).await?;
    assert_eq!((jit.status, jit.problem()), (409, "runner-name-taken"));
    world.reconcile().await?;
    let token = world.provision("alice", json!({"runner_name": "theirs"})).await?;
    assert_eq!((token.status, token.problem()), (409, "runner-name-taken"));
    assert!(world.github.runner("theirs").is_some());
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_group_goes_into_the_command_by_its_name(pool: PgPool) -> anyhow::Result<()> {
    let world = World::with(pool, |config| config.default_group_id = 3).await?;
    for name in ["a", "b"] {
        let answer = world.provision("alice", json!({"runner_name": name})).await?;
        let command = answer.text("configuration_command")?;
        assert!(command.contains(" --runnergroup 'GPU pool' "), "{command}");
    }
    assert_eq!(world.github.count(Endpoint::GetRunnerGroup), 1, "asked once and kept");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn a_hostile_but_valid_name_stays_one_word_of_the_command(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let name = "$(reboot); `id` & 'x'";
    let answer = world.provision("alice", json!({"runner_name": name})).await?;
    let words = shlex::split(answer.text("configuration_command")?).unwrap_or_default();
    assert_eq!(words.iter().filter(|word| *word == name).count(), 1, "{words:?}");
    assert_eq!(answer.body["runner_name"], Value::from(name));
    Ok(())
}
