//! What each operation costs: how often GitHub is called for it, once there is a token.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;
use testkit::github::{Delivery, Endpoint, ORGANIZATION};

use crate::MIGRATIONS;
use crate::world::World;

/// Calls to GitHub since it was looked last.
struct Meter<'a> {
    world: &'a World,
    seen: usize,
}

impl Meter<'_> {
    fn costs(&mut self, operation: &str, calls: usize) {
        let all = self.world.github.calls();
        // Machines and their sessions are not the service's.
        let rest = |call: &&testkit::github::Call| call.caller.is_some();
        let new: Vec<Endpoint> = all.iter().filter(rest).skip(self.seen).map(|call| call.endpoint).collect();
        println!("{operation}: {} call(s) {new:?}", new.len());
        assert_eq!(new.len(), calls, "{operation}: {new:?}");
        self.seen += new.len();
    }
}

#[sqlx::test(migrator = "MIGRATIONS")]
async fn each_operation_costs_so_many_calls(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let mut meter = Meter { world: &world, seen: 0 };
    let provision = async |name: &str, mode: &str| {
        let body = json!({"runner_name": name, "mode": mode});
        let answer = world.provision_with_key("alice", name, body).await?;
        assert_eq!(answer.status, 201, "{answer:?}");
        anyhow::Ok(answer)
    };
    provision("first", "jit").await?;
    meter.costs("the first provision, with the App's token", 2);
    provision("jit", "jit").await?;
    meter.costs("provision of a JIT config", 1);
    provision("token", "registration-token").await?;
    meter.costs("provision of a registration token", 1);
    provision("token", "registration-token").await?;
    meter.costs("repeat of a registration token", 1);
    provision("jit", "jit").await?;
    meter.costs("repeat of a JIT config: look, delete, make", 3);
    for path in ["/api/v1/runners", "/api/v1/runners/jit"] {
        assert_eq!(world.get("alice", path).await?.status, 200);
    }
    meter.costs("list and read", 0);
    world.call("alice", Method::POST, "/api/v1/runners/jit/refresh").await?;
    meter.costs("refresh", 1);
    world.call("alice", Method::DELETE, "/api/v1/runners/jit").await?;
    meter.costs("deletion", 1);
    world.call("alice", Method::DELETE, "/api/v1/runners/token").await?;
    meter.costs("deletion of one that no machine registered: a look-up", 1);

    let mut machine = world.running("alice", "busy").await?;
    meter.costs("provision of a registration token", 1);
    machine.take_job().await?;
    world.reconcile().await?;
    meter.costs("comparison of a page", 1);
    world.reconcile().await?;
    meter.costs("comparison of a page that did not change (304, free)", 1);
    world.call("alice", Method::DELETE, "/api/v1/runners/busy?drain=true").await?;
    meter.costs("drain of a busy one", 1);
    world.drain_round().await?;
    meter.costs("a round of the queue, nothing due", 0);
    let delivery = Delivery::job("in_progress", ORGANIZATION, Some((machine.id(), "busy")));
    delivery.send(&world.webhook()).await?;
    world.quiet().await;
    meter.costs("delivery about a runner of ours", 1);
    Delivery::job("completed", ORGANIZATION, Some((99_999, "theirs"))).send(&world.webhook()).await?;
    world.quiet().await;
    meter.costs("delivery about another's", 0);

    world.advance_here(Duration::from_mins(50))?;
    world.cleanup(None, false).await?;
    meter.costs("clean-up, nothing stale", 0);
    world.advance(Duration::from_mins(30))?;
    world.cleanup(None, false).await?;
    meter.costs("clean-up of one, with a new token: look, delete", 3);
    Ok(())
}
