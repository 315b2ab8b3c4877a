//! `init-db`

use anyhow::Context as _;
use serde_json::json;

use super::progress::during;
use super::{Output, OutputArgs, account, environment, screen};
use crate::config;
use crate::store::{self, roles, schema};

pub(super) async fn init_db(arguments: &OutputArgs) -> anyhow::Result<()> {
    let pool = store::pool(&config::database(&environment)?);
    let applied = during("bringing the database up to date", schema::migrate(&pool)).await;
    let applied = applied.context("the migrations could not be applied")?;
    account::record(&pool, "init-db", json!({"migrations": applied})).await?;
    let left = roles::set_up(&mut *pool.acquire().await?).await.context("the roles could not be set up")?;
    if arguments.output == Output::Json {
        return screen::print_json(&json!({"migrations_applied": applied, "roles_left_to_do": left}));
    }
    screen::print_sentences(&format!("database is up to date ({applied} migration(s) applied)"))?;
    for todo in &left {
        screen::note(&format!("left to do for the roles of the audit log (docs/audit.md), {todo}"));
    }
    Ok(())
}
