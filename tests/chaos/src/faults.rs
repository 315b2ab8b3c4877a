//! How a fault is brought about, and how it ends. What was killed is started again, as a supervisor does; nothing else
//! is helped along.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};
use testkit::choices::Random;
use testkit::issuer::JwksFault;
use testkit::system::{Postgres, Wires};
use testkit::wire::Wiring;
use tokio::task::JoinSet;

use crate::answers::send;
use crate::clients::http;
use crate::hostile::{Trick, dressed};
use crate::matrix::{ASKED, Action, Whom};
use crate::world::{Outside, REPLICAS, World};

/// Between two of what is done over and over.
const AGAIN: Duration = Duration::from_millis(250);
/// A request with so many more headers makes the filter's VM trap; Envoy itself takes a hundred.
const HEADERS: usize = 70;
/// What V8 says of the instruction.
const TRAPPED: &str = "RuntimeError: unreachable";
const END_SESSIONS: &str = "select pg_terminate_backend(pid) from pg_stat_activity
    where backend_type = 'client backend' and pid <> pg_backend_pid()";

/// A fault that lasts until it is lifted.
pub(crate) struct Strike {
    action: Action,
    /// The control planes that it is about.
    whom: Vec<usize>,
    /// What is done over and over.
    over_and_over: JoinSet<()>,
    /// How often the VM had trapped before.
    traps: usize,
}

impl Strike {
    /// Brings it about.
    pub(crate) async fn begin(
        action: Action,
        world: &mut World,
        outside: &Arc<Outside>,
        random: &mut Random,
    ) -> anyhow::Result<Self> {
        let one = random.below(REPLICAS);
        let whom = match action {
            Action::KillControlPlanes(Whom::All)
            | Action::FreezeControlPlanes(Whom::All)
            | Action::ControlPlaneWires(Whom::All, _) => (0..REPLICAS).collect(),
            _ => vec![one],
        };
        let mut strike = Self { action, whom, over_and_over: JoinSet::new(), traps: traps(world) };
        match strike.action.clone() {
            Action::KillPostgres => postgres(world)?.process().kill(),
            Action::FreezePostgres => postgres(world)?.freeze().await?,
            Action::EndSessions => {
                strike.over_and_over.spawn(end_sessions(world.system.database_url().to_owned()));
            }
            Action::KillEnvoy => world.system.envoy().process().kill(),
            Action::FreezeEnvoy => world.system.envoy().process().freeze(),
            Action::Trap => {
                strike.over_and_over.spawn(trap(Arc::clone(outside)));
            }
            Action::Github(fault) => {
                for asked in ASKED {
                    outside.github.inject(asked, fault.clone(), usize::MAX);
                }
            }
            Action::Keys(fault) => {
                outside.issuer.set_fault(fault);
                outside.issuer.rotate()?;
            }
            Action::IssuerWire(wiring) => {
                wires(world)?.issuer.set(wiring);
                outside.issuer.rotate()?;
            }
            Action::PostgresWire(wiring) => wires(world)?.postgres.set(wiring),
            Action::GithubWire(wiring) => wires(world)?.github.set(wiring),
            _ => strike.control_planes(world)?,
        }
        Ok(strike)
    }

    fn control_planes(&self, world: &mut World) -> anyhow::Result<()> {
        for &number in &self.whom {
            if let Action::ControlPlaneWires(_, wiring) = self.action {
                wires(world)?.control_planes.get(number).context("no such wire")?.set(wiring);
                continue;
            }
            let process = world.system.control_planes().get_mut(number).context("no such control plane")?.process();
            match self.action {
                Action::KillControlPlanes(_) => process.kill(),
                Action::StopControlPlane => process.ask_to_stop(),
                Action::FreezeControlPlanes(_) => process.freeze(),
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends it.
    pub(crate) async fn lift(mut self, world: &mut World, outside: &Outside) -> anyhow::Result<()> {
        self.over_and_over.shutdown().await;
        outside.github.clear_faults();
        outside.issuer.set_fault(JwksFault::None);
        let wires = wires(world)?;
        for wire in [&wires.postgres, &wires.github, &wires.issuer].into_iter().chain(&wires.control_planes) {
            wire.set(Wiring::Pass);
        }
        match self.action {
            Action::KillPostgres => postgres(world)?.start_again().await?,
            Action::FreezePostgres => postgres(world)?.thaw(),
            Action::KillEnvoy => world.system.restart_envoy().await?,
            Action::FreezeEnvoy => world.system.envoy().process().thaw(),
            Action::Trap if traps(world) == self.traps => outside.book.broken("the VM did not trap".to_owned()),
            Action::KillControlPlanes(_) | Action::StopControlPlane => {
                for &number in &self.whom {
                    world.system.restart_control_plane(number).await?;
                }
            }
            Action::FreezeControlPlanes(_) => {
                world.system.control_planes().iter_mut().for_each(|control_plane| control_plane.process().thaw());
            }
            _ => {}
        }
        Ok(())
    }
}

fn postgres(world: &mut World) -> anyhow::Result<&mut Postgres> {
    world.system.postgres().context("no Postgres of its own")
}

fn wires(world: &World) -> anyhow::Result<&Wires> {
    world.system.wires().context("no wires")
}

/// How often Envoy says that the filter's VM trapped.
fn traps(world: &mut World) -> usize {
    world.system.envoy().process().log().matches(TRAPPED).count()
}

/// As an administrator does who needs the database for himself.
async fn end_sessions(url: String) {
    loop {
        if let Ok(mut connection) = PgConnection::connect(&url).await {
            // It ends those of others who do the same, too.
            let _ = sqlx::query(END_SESSIONS).execute(&mut connection).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Requests without a good token at which the VM traps, on fresh connections, so that every worker gets some.
async fn trap(outside: Arc<Outside>) {
    loop {
        if let Err(error) = spring(&outside).await {
            outside.book.broken(format!("no trap: {error:#}"));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn spring(outside: &Outside) -> anyhow::Result<()> {
    let mut request = http()?.get(outside.url("/api/v1/runners"));
    for number in 0..HEADERS {
        request = request.header(format!("x-more-{number}"), "1");
    }
    let outcome = send(dressed(request, Trick::Forged, outside)?).await;
    outside.book.note_hostile("a trap", &outcome);
    Ok(())
}
