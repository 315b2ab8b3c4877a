//! A test of kills: one after the other, then the program is started again and puts everything right.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chrono::TimeDelta;
use control_plane::jobs::{self, Job};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use sqlx::PgPool;
use testkit::github::RunnerMachine;
use testkit::ledger::{Counts, Ledger};

use crate::program::{Program, Surroundings};
use crate::stops::{self, Stop};

/// No comparison comes in between while a kill is prepared.
const QUIET: [(&str, &str); 1] = [("RECONCILE_INTERVAL_SECONDS", "86400")];
/// An attempt counts as interrupted after five times the time-out and ten seconds.
const BUSY: [(&str, &str); 2] = [("RECONCILE_INTERVAL_SECONDS", "1"), ("GITHUB_TIMEOUT_SECONDS", "1")];
/// Those fifteen seconds, two comparisons, and what a machine under load needs.
const RECOVERY: Duration = Duration::from_mins(1);
/// Secrets have expired by then.
const LATER: TimeDelta = TimeDelta::hours(2);

/// How a runner is in the end: `state`, or `deleted REASON`, or `none`.
pub(crate) type Ending = &'static str;

pub(crate) struct Kills {
    pub(crate) pool: PgPool,
    pub(crate) around: Surroundings,
    pub(crate) ledger: Ledger,
    expected: Vec<(String, Stop, Ending)>,
}

impl Kills {
    pub(crate) async fn new(pool: PgPool) -> anyhow::Result<Self> {
        let around = Surroundings::new(&pool).await?;
        stops::install(&pool).await?;
        let kills = Self { pool, around, ledger: Ledger::default(), expected: Vec::new() };
        // The first comparison comes at once; from then on none.
        let _program = kills.around.start(&QUIET).await?;
        let started = Instant::now();
        while !sqlx::query_scalar::<_, bool>("select exists (select from job_runs where job = 'upkeep')")
            .fetch_one(&kills.pool)
            .await?
        {
            ensure!(started.elapsed() < RECOVERY, "no first comparison");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(kills)
    }

    /// A program that is not disturbed by its own comparisons.
    pub(crate) async fn start(&self) -> anyhow::Result<Program> {
        self.around.start(&QUIET).await
    }

    /// Sends a request and notes the secret that comes with the answer.
    pub(crate) async fn ask(&mut self, request: RequestBuilder) -> anyhow::Result<(u16, Value)> {
        let (status, body) = read(request.send().await?).await?;
        self.ledger.note(&body);
        Ok((status, body))
    }

    /// Has a runner provisioned that must come about.
    pub(crate) async fn provide(&mut self, program: &Program, body: &Value) -> anyhow::Result<Value> {
        let request = self.around.request(program, Method::POST, "/api/v1/runners/provision")?;
        let (status, body) = self.ask(request.json(body)).await?;
        ensure!(status == 201, "{status} {body}");
        Ok(body)
    }

    /// The same with a registration token, and with a machine that is on line with it.
    pub(crate) async fn on_line(&mut self, program: &Program, body: &Value) -> anyhow::Result<RunnerMachine> {
        let provided = self.provide(program, body).await?;
        let command = provided.get("configuration_command").and_then(Value::as_str).context("no command")?;
        let mut machine = self.around.github.machine().run_command(command).await?;
        machine.go_online().await?;
        Ok(machine)
    }

    /// Kills the program when a request has got so far. `ending`: what becomes of that runner.
    pub(crate) async fn kill_at(
        &mut self,
        mut program: Program,
        stop: Stop,
        request: RequestBuilder,
        name: &str,
        ending: Ending,
    ) -> anyhow::Result<()> {
        let mut prepared = stop.prepare(&self.pool, &self.around).await?;
        if stop == Stop::Answered {
            self.ask(request).await?;
            program.kill()?;
        } else {
            let asked = tokio::spawn(request.send());
            prepared.reached(&self.pool, &self.around).await.with_context(|| format!("{name} {stop:?}"))?;
            program.kill()?;
            ensure!(asked.await?.is_err(), "{name} {stop:?}: answered all the same");
        }
        prepared.release(&self.around).await?;
        self.killed(name, stop, ending);
        Ok(())
    }

    pub(crate) fn killed(&mut self, name: &str, stop: Stop, ending: Ending) {
        self.ledger.kills += 1;
        self.expected.push((name.to_owned(), stop, ending));
    }

    /// Starts the program again and waits until everything is as it should be.
    pub(crate) async fn recover(&mut self) -> anyhow::Result<Counts> {
        let _program = self.around.start(&BUSY).await?;
        let started = Instant::now();
        loop {
            let (wrong, counts) = (self.wrong().await?, self.ledger.balance(&self.pool, &self.around.github).await?);
            if wrong.is_empty() && (counts.orphans, counts.stuck, counts.unrecorded) == (0, 0, 0) {
                return Ok(counts);
            }
            ensure!(started.elapsed() < RECOVERY, "{counts:?}, not as expected: {wrong:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What nobody ever used goes when its secret has expired: tells how many runners GitHub has then.
    pub(crate) async fn later(&self) -> anyhow::Result<usize> {
        let app = self.around.later(&self.pool, LATER)?;
        let turn = jobs::wait_for_turn(&app, Job::Upkeep).await?;
        jobs::cleanup(&app, &app.system("cleanup"), None, false, &turn).await?;
        turn.release_now().await?;
        Ok(self.around.github.runners().len())
    }

    async fn wrong(&self) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for (name, stop, ending) in &self.expected {
            let query = "select state || coalesce(' ' || deleted_reason, '') from runners where name = $1";
            let is: Option<String> = sqlx::query_scalar(query).bind(name).fetch_optional(&self.pool).await?;
            let is = is.unwrap_or_else(|| "none".to_owned());
            if is != *ending {
                wrong.push(format!("{name}, killed at {stop:?}: {is} instead of {ending}"));
            }
        }
        Ok(wrong)
    }
}

async fn read(response: Response) -> anyhow::Result<(u16, Value)> {
    Ok((response.status().as_u16(), response.json().await?))
}
