//! What the service's role may do with the log, and who else may what.

use anyhow::Context as _;
use control_plane::jobs;
use control_plane::store::{audit_seals, roles, schema};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

use crate::MIGRATIONS;
use crate::audit_sealing::write;
use crate::commands::Cli;
use crate::world::World;

/// Connections that are what the service should be.
async fn service(pool: &PgPool) -> anyhow::Result<PgPool> {
    roles::set_up(&mut *pool.acquire().await?).await?;
    let options = pool.connect_options().as_ref().clone().options([("role", "runner_tokens_service")]);
    Ok(PgPoolOptions::new().max_connections(5).connect_with(options).await?)
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn without_the_trigger_the_services_role_still_changes_nothing(pool: PgPool) -> anyhow::Result<()> {
    let service = service(&pool).await?;
    write(&mut *service.acquire().await?, "a").await?;
    for table in ["audit_log", "audit_log_seals", "audit_log_checkpoints", "audit_log_drops"] {
        sqlx::query(AssertSqlSafe(format!("drop trigger audit_log_append_only on {table}"))).execute(&pool).await?;
    }
    let partition: String =
        sqlx::query_scalar("select tableoid::regclass::text from audit_log").fetch_one(&pool).await?;
    sqlx::query(AssertSqlSafe(format!("drop trigger audit_log_append_only on {partition}"))).execute(&pool).await?;
    for statement in [
        "update audit_log set display_name = 'x'",
        "delete from audit_log",
        "truncate audit_log",
        "drop table audit_log",
        "alter table audit_log disable trigger all",
        "insert into audit_log (occurred_at, event, outcome, actor) values (now(), 'x', 'success', 'system')",
        "insert into audit_log (id, event, outcome, actor) values (1, 'x', 'success', 'system')",
        "insert into audit_log (transaction_id, event, outcome, actor) values (1, 'x', 'success', 'system')",
        &format!("update {partition} set display_name = 'x'"),
        &format!("delete from {partition}"),
        &format!("insert into {partition} (event, outcome, actor) values ('x', 'success', 'system')"),
        "update audit_log_seals set position = 1",
        "delete from audit_log_seals",
        "truncate audit_log_seals",
        "update audit_log_checkpoints set position = 1",
        "delete from audit_log_checkpoints",
        "insert into audit_log_drops (partition_name, entries, export_sha256, made_at) values ('x', 0, repeat('a', 64), now())",
        "select setval('audit_log_id_seq', 1)",
        "set session_replication_role = replica",
        "select set_up_roles()",
    ] {
        let refused = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&service).await;
        let code = refused.err().and_then(|error| Some(error.as_database_error()?.code()?.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn each_partition_refuses_changes_by_itself(pool: PgPool) -> anyhow::Result<()> {
    let partitions: Vec<String> = sqlx::query_scalar("select name from audit_log_partitions").fetch_all(&pool).await?;
    assert!(partitions.len() >= 5, "{partitions:?}");
    let tables = ["audit_log_seals", "audit_log_checkpoints", "audit_log_drops"].map(str::to_owned);
    for table in partitions.iter().chain(&tables) {
        let column = match table.as_str() {
            "audit_log_seals" => "position",
            "audit_log_checkpoints" | "audit_log_drops" => "made_at",
            _ => "details",
        };
        let update = format!("update {table} set {column} = {column}");
        for statement in [update, format!("delete from {table}"), format!("truncate {table}")] {
            let refused = sqlx::query(AssertSqlSafe(statement.clone())).execute(&pool).await;
            assert!(refused.is_err_and(|error| error.to_string().contains("append-only")), "{statement}");
        }
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn the_service_does_all_its_work_with_its_own_role(pool: PgPool) -> anyhow::Result<()> {
    let service = service(&pool).await?;
    let world = World::new(service.clone()).await?;
    schema::check(&service).await?;
    let machine = world.running("alice", "a").await?;
    world.reconcile().await?;
    world.get("alice", "/api/v1/runners/a").await?;
    assert_eq!(world.provision_with_key("alice", "key", json!({"runner_name": "b"})).await?.status, 201);
    assert_eq!(world.call("alice", Method::DELETE, "/api/v1/runners/b?drain=true").await?.status, 200);
    world.cleanup(Some(1), false).await?;
    world.drain_round().await?;
    drop(machine);
    assert!(crate::audit_sealing::seal(&world).await? > 5);
    assert!(jobs::checkpoint(&world.app, None, std::time::Duration::ZERO).await?.is_some());
    assert!(audit_seals::add_partitions(&mut *service.acquire().await?, 5).await?.is_empty());
    let made: i64 = sqlx::query_scalar("select count(*) from audit_log_partitions").fetch_one(&pool).await?;
    assert_eq!(made, 7);
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn every_table_is_either_the_services_or_none_of_its_business(pool: PgPool) -> anyhow::Result<()> {
    service(&pool).await?;
    let missing: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
            and relname not like 'audit\\_log%' and relname <> '_sqlx_migrations'
            and not (has_table_privilege('runner_tokens_service', oid, 'select')
                and has_table_privilege('runner_tokens_service', oid, 'insert')
                and has_table_privilege('runner_tokens_service', oid, 'update')
                and has_table_privilege('runner_tokens_service', oid, 'delete'))",
    )
    .fetch_all(&pool)
    .await?;
    assert!(missing.is_empty(), "{missing:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn who_could_change_the_log_is_told(pool: PgPool) -> anyhow::Result<()> {
    let own = roles::audit_rights(&mut *pool.acquire().await?).await?;
    assert!(own.owns && own.are_too_many(), "a superuser: {own:?}");
    let service = service(&pool).await?;
    let rights = roles::audit_rights(&mut *service.acquire().await?).await?;
    assert!(!rights.are_too_many(), "{rights:?}");
    // Through the owner's role, and by a right alone.
    let owner = pool.connect_options().as_ref().clone().options([("role", "runner_tokens_owner")]);
    let mut owner = PgConnection::connect_with(&owner).await?;
    assert!(roles::audit_rights(&mut owner).await?.owns);
    sqlx::query("grant delete on audit_log to runner_tokens_service").execute(&pool).await?;
    let rights = roles::audit_rights(&mut *service.acquire().await?).await?;
    assert!(!rights.owns && rights.may_change, "{rights:?}");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn doctor_says_so_when_the_service_could_change_the_log(pool: PgPool) -> anyhow::Result<()> {
    service(&pool).await?;
    let world = World::new(pool.clone()).await?;
    for (role, level) in [(None, "warning"), (Some("runner_tokens_service"), "ok")] {
        let mut cli = Cli::new(&world, &pool, "doctor-roles")?;
        role.inspect(|role| cli.as_role(role));
        let output = cli.run(&["doctor", "--output", "json"]).await?;
        let said: Value = serde_json::from_slice(&output.stdout)?;
        let findings = said["findings"].as_array().context("no findings")?;
        let told = findings.iter().find(|finding| finding["check"] == "roles").context("nothing told")?;
        assert_eq!(told["level"], level, "{role:?}: {told}");
        assert!(level == "ok" || told["fix"].to_string().contains("runner_tokens_service"), "{told}");
    }
    Ok(())
}

/// A role that may log in, with these attributes, and a database of its own.
async fn newcomer(pool: &PgPool, attributes: &str) -> anyhow::Result<(String, PgConnectOptions)> {
    let name: String = sqlx::query_scalar("select 'newcomer_' || md5(random()::text)").fetch_one(pool).await?;
    for statement in [
        format!("create role {name} login password 'newcomer' {attributes}"),
        format!("create database {name} owner {name}"),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(pool).await?;
    }
    let options = pool.connect_options().as_ref().clone().username(&name).password("newcomer").database(&name);
    Ok((name, options))
}

async fn leave(pool: &PgPool, name: &str) -> anyhow::Result<()> {
    for statement in [format!("drop database {name} with (force)"), format!("drop role {name}")] {
        sqlx::query(AssertSqlSafe(statement)).execute(pool).await?;
    }
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn who_may_not_make_roles_is_told_what_is_left_to_do(pool: PgPool) -> anyhow::Result<()> {
    let (name, options) = newcomer(&pool, "").await?;
    let own = PgPoolOptions::new().max_connections(2).connect_with(options).await?;
    schema::migrate(&own).await?;
    let left = roles::set_up(&mut *own.acquire().await?).await?;
    let expected = format!("as a superuser: grant runner_tokens_owner to {name}; grant usage, create on schema public");
    assert!(left.len() == 1 && left[0].starts_with(&expected), "{left:?}");
    // It works all the same, as the owner, which is told.
    write(&mut *own.acquire().await?, "a").await?;
    assert!(roles::audit_rights(&mut *own.acquire().await?).await?.owns);

    // Done as it says, the rest follows.
    let superuser = pool.connect_options().as_ref().clone().database(&name);
    let mut superuser = PgConnection::connect_with(&superuser).await?;
    let (_, todo) = left[0].split_once(": ").unwrap_or_default();
    sqlx::raw_sql(AssertSqlSafe(todo.to_owned())).execute(&mut superuser).await?;
    assert_eq!(roles::set_up(&mut *own.acquire().await?).await?, Vec::<String>::new());
    let owner: String = sqlx::query_scalar("select tableowner::text from pg_tables where tablename = 'audit_log'")
        .fetch_one(&own)
        .await?;
    assert_eq!(owner, "runner_tokens_owner");
    own.close().await;
    superuser.close().await?;
    leave(&pool, &name).await
}

#[sqlx::test]
async fn a_log_with_entries_becomes_partitioned_with_each_as_it_was(pool: PgPool) -> anyhow::Result<()> {
    const LAST_BEFORE: i64 = 20_261_124_000_000;
    let migrations: &Migrator = &schema::MIGRATIONS;
    migrations.run_to(LAST_BEFORE, &pool).await?;
    let before = "insert into audit_log (occurred_at, event, outcome, actor, display_name, reasons, details)
        select now() - make_interval(days => 200 - n), 'runner.read', 'success', 'system', 'n' || n, array['a', 'b'],
            jsonb_build_object('n', n)
        from generate_series(1, 200) n";
    sqlx::query(before).execute(&pool).await?;
    let dump = "select string_agg((to_jsonb(e) - 'transaction_id')::text, ' ' order by id) from audit_log e";
    let old: String = sqlx::query_scalar(dump).fetch_one(&pool).await?;
    schema::migrate(&pool).await?;
    assert_eq!(sqlx::query_scalar::<_, String>(dump).fetch_one(&pool).await?, old);
    for table in ["audit_log", "audit_log_first"] {
        let refused = sqlx::query(AssertSqlSafe(format!("delete from {table}"))).execute(&pool).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("append-only")), "{table}");
    }
    let world = World::new(pool.clone()).await?;
    write(&mut *pool.acquire().await?, "new").await?;
    assert_eq!(crate::audit_sealing::seal(&world).await?, 201);
    let order = "select array_agg(entry_id order by position) = array(select id from audit_log order by id) from audit_log_seals";
    assert!(sqlx::query_scalar::<_, bool>(order).fetch_one(&pool).await?, "old entries in their order, then new ones");
    Ok(())
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn an_entry_is_taken_although_its_month_has_no_partition(pool: PgPool) -> anyhow::Result<()> {
    // As if the job had not run for half a year.
    let far = "insert into audit_log (occurred_at, event, outcome, actor)
        values (now() + interval '5 months', 'runner.read', 'success', 'system') returning tableoid::regclass::text";
    assert_eq!(sqlx::query_scalar::<_, String>(far).fetch_one(&pool).await?, "audit_log_default");
    let left_out = audit_seals::add_partitions(&mut *pool.acquire().await?, 6).await?;
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    let made: i64 = sqlx::query_scalar("select count(*) from audit_log_partitions").fetch_one(&pool).await?;
    assert_eq!(made, 7, "the months around it have theirs");
    Ok(())
}
