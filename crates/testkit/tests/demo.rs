//! The demo as a person meets it: what it prints works when pasted, and a kill leaves nothing behind.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// A demo that is up, and what it printed.
struct Demo {
    child: Child,
    printed: Vec<String>,
}

impl Demo {
    fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo")).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut printed = Vec::new();
        for line in output.lines() {
            printed.push(line?);
            if printed.last().is_some_and(|line| line.contains("Ctrl-C")) {
                return Ok(Self { child, printed });
            }
        }
        anyhow::bail!("the demo ended after it had printed: {}", printed.join("\n"))
    }

    /// The lines that a person would paste, as a script that stops at the first failure.
    fn script(&self) -> String {
        let lines = self.printed.iter().skip_while(|line| !line.starts_with("Paste"));
        let pasted: Vec<_> = lines.filter_map(|line| line.strip_prefix("  ")).collect();
        format!("set -e\n{}\n", pasted.join("\n"))
    }

    fn directory(&self) -> anyhow::Result<PathBuf> {
        let line = self.printed.iter().find_map(|line| line.trim().strip_prefix("logs"));
        Ok(Path::new(line.context("no logs")?.trim()).parent().context("no directory")?.to_owned())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes whose command line names the directory.
fn processes_of(directory: &Path) -> anyhow::Result<usize> {
    let name = directory.file_name().context("no name")?.to_string_lossy().into_owned();
    let output = Command::new("ps").args(["-A", "-o", "args="]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains(&name)).count())
}

#[test]
fn the_curl_lines_work_and_a_kill_leaves_nothing() -> anyhow::Result<()> {
    let mut demo = Demo::start()?;
    let output = Command::new("sh").args(["-c", &demo.script()]).output()?;
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{printed}\n{errors}");
    let told = [
        r#""configuration_command":"./config.sh"#,
        r#""online":true"#,
        r#""status":"active""#,
        r#""total":2"#,
        r#""status":"deleted""#,
        "HTTP/1.1 401",
        "/problems/token-missing",
    ];
    let mut rest = printed.as_ref();
    for expected in told {
        let (_, after) =
            rest.split_once(expected).with_context(|| format!("no {expected} in its place:\n{printed}"))?;
        rest = after;
    }

    let directory = demo.directory()?;
    ensure!(directory.is_dir() && processes_of(&directory)? > 0);
    // SIGKILL: the demo itself can do nothing any more.
    demo.child.kill()?;
    demo.child.wait()?;
    let killed = Instant::now();
    while (fs::exists(&directory)? || processes_of(&directory)? > 0) && killed.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
    }
    ensure!(!directory.exists(), "{} is still there", directory.display());
    ensure!(processes_of(&directory)? == 0, "processes are still running");
    Ok(())
}

#[test]
fn once_exits_successfully_after_the_round_trip() -> anyhow::Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).arg("--once").output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    ensure!(printed.contains(r#""registration_token": ""#), "{printed}");
    Ok(())
}
