//! `cargo xtask demo`: the whole system on this machine, one runner provisioned through it, and curl lines to go on.
//!
//! Progress goes to standard error, results to standard output.

mod curl;
mod journey;

use std::fmt;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use clap::Parser;
use testkit::system::{Process, System, SystemOptions};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Starts the whole system, provisions a runner through Envoy, and stays up until Ctrl-C.
#[derive(Parser)]
#[command(name = "demo", bin_name = "cargo xtask demo")]
struct Arguments {
    /// Exit after the round trip; status 0 only if it really worked.
    #[arg(long)]
    once: bool,
}

/// How long the demo has been at it.
struct Seconds(Instant);

impl FormatTime for Seconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:5.1} s", self.0.elapsed().as_secs_f64())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_timer(Seconds(Instant::now()))
        .with_ansi(false)
        .with_level(false)
        .with_target(false)
        .with_max_level(Level::INFO)
        .init();
    // Whatever ends the demo also ends a start that is still under way.
    let outcome = tokio::select! {
        outcome = demo(&arguments) => outcome,
        // Of a round trip that was not waited for nobody can say that it worked.
        () = asked_to_end() => if arguments.once { Err(anyhow!("interrupted")) } else { Ok(()) },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed terminal is no reason to panic.
            let _ = writeln!(stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(arguments: &Arguments) -> anyhow::Result<()> {
    let mut system = System::start(SystemOptions::default()).await?;
    let answer = journey::provision(&system).await?;
    print(&curl::what_runs_where(&system))?;
    print("A runner, provisioned through Envoy with a signed token of the dev issuer:\n")?;
    print(&format!("{answer:#}\n"))?;
    if arguments.once {
        return Ok(());
    }
    print(&curl::lines(&system))?;
    print("Everything ends with Ctrl-C.")?;
    stay_up(&mut system).await
}

/// Until a part ends that should not.
async fn stay_up(system: &mut System) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ensure_runs("Envoy", system.envoy().process())?;
        for control_plane in system.control_planes() {
            ensure_runs("the control plane", control_plane.process())?;
        }
    }
}

fn ensure_runs(part: &str, process: &mut Process) -> anyhow::Result<()> {
    match process.ended() {
        Some(status) => bail!("{part} has ended ({status}); its log ends with:\n{}", process.log_end()),
        None => Ok(()),
    }
}

/// Ctrl-C, or a terminal or supervisor that wants the same.
async fn asked_to_end() {
    let mut ends: Vec<_> = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .collect();
    std::future::poll_fn(|context| {
        let asked = ends.iter_mut().any(|end| end.poll_recv(context).is_ready());
        if asked { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(stdout(), "{text}")?)
}
