//! A private Postgres server and databases in it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};

use super::process::{Process, Program};
use super::scope::Scope;
use crate::random::{Random, seed};

/// `initdb` takes less than a second; a machine under load needs more.
const INITDB: Duration = Duration::from_mins(2);
const START: Duration = Duration::from_mins(1);
/// What it writes when it can be used.
const READY: &str = "database system is ready to accept connections";
const RESTARTS: usize = 50;
/// Somebody else may take a free port between our look and the server's.
const TRIES: usize = 3;
/// The user that Linux and macOS have for processes without rights, where `/etc/passwd` does not say.
const NOBODY: (u32, u32) = (65534, 65534);
/// Fast, since nothing in it outlives the machine's next crash; what is committed outlives the server's own, though. And
/// nobody gets in without the password.
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=300",
    "timezone=UTC",
    "log_timezone=UTC",
];

/// A running server with its data in a scope's directory; it stops when it is dropped.
pub struct Postgres {
    process: Process,
    url: String,
    place: Place,
    port: u16,
    /// The processes of its own that stand still with it.
    frozen: Vec<i32>,
}

/// What a server is started from, also a second time.
struct Place {
    programs: PathBuf,
    data: PathBuf,
    user: Option<(u32, u32)>,
    password: String,
    scope: Arc<Scope>,
}

impl Postgres {
    /// Makes an empty cluster and starts a server on it, with the programs in this directory.
    ///
    /// Postgres refuses to run as root, so there it runs as `nobody`.
    pub async fn start(programs: &Path, scope: &Arc<Scope>) -> anyhow::Result<Self> {
        let user = rustix::process::geteuid().is_root().then(nobody);
        let place = scope.directory().join("postgres");
        fs::create_dir_all(&place)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o700))?;
        let programs = programs_for(user, programs, &place)?;
        let password = Random::new(seed()).hex(32);
        let password_file = place.join("password");
        crate::secret_file::write(&password_file, &password)?;
        if let Some((user, group)) = user {
            chown(&place, Some(user), Some(group))?;
            chown(&password_file, Some(user), Some(group))?;
        }
        let data = place.join("data");
        Program::new("initdb", programs.join("initdb"))
            .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .args([with("--pgdata=", &data), with("--pwfile=", &password_file)])
            .user(user)
            .start(scope)?
            .finish(INITDB)
            .await?;
        let place = Place { programs, data, user, password, scope: Arc::clone(scope) };
        for _ in 1..TRIES {
            if let Ok(process) = place.serve(free_port()?).await {
                return Ok(Self::of(process, place));
            }
        }
        let process = place.serve(free_port()?).await?;
        Ok(Self::of(process, place))
    }

    fn of((process, port): (Process, u16), place: Place) -> Self {
        let url = format!("postgres://postgres:{}@127.0.0.1:{port}/postgres", place.password);
        Self { process, url, place, port, frozen: Vec::new() }
    }

    /// Starts a server that was stopped or killed again, on the same port and data.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process.stop();
        for _ in 1..RESTARTS {
            // The processes of a server that was killed need a moment to notice.
            match self.place.serve(self.port).await {
                Ok((process, _)) => {
                    self.process = process;
                    return Ok(());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        self.process = self.place.serve(self.port).await?.0;
        Ok(())
    }

    /// Stops the server where it stands, with all its processes, until [`thaw`](Self::thaw): each session has one, and
    /// would go on without the first.
    pub async fn freeze(&mut self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.url).await?;
        self.process.freeze();
        let query = "select pid from pg_stat_activity";
        self.frozen = sqlx::query_scalar(query).fetch_all(&mut connection).await?;
        for &process in &self.frozen {
            // A frozen process does not hear of the first one's end.
            self.place.scope.report(&format!("process {process} KILL"))?;
            signal(process, Signal::STOP);
        }
        Ok(())
    }

    /// Lets a frozen server go on.
    pub fn thaw(&mut self) {
        self.process.thaw();
        for process in self.frozen.drain(..) {
            signal(process, Signal::CONT);
            // A reaper that has ended has nothing to be told.
            let _ = self.place.scope.report(&format!("gone {process}"));
        }
    }

    /// URL of its first database, with its superuser and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.thaw();
    }
}

/// Sends a signal to one of the server's processes, which may have ended.
fn signal(process: i32, signal: Signal) {
    let _ = Pid::from_raw(process).map(|process| kill_process(process, signal));
}

impl Place {
    async fn serve(&self, port: u16) -> anyhow::Result<(Process, u16)> {
        let name = format!("postgres-{port}");
        let mut process = Program::new(&name, self.programs.join("postgres"))
            .arg_path("-D", &self.data)
            .args([format!("--port={port}")])
            .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
            .user(self.user)
            // SIGINT is its fast shutdown: connections are closed rather than waited for.
            .ends_on(Signal::INT)
            .start(&self.scope)?;
        let ready = |process: &Process| process.log().contains(READY);
        process.until("it accepts connections", START, async |process| ready(process).then_some(())).await?;
        Ok((process, port))
    }
}

/// A port of the loopback address that is free now.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn with(option: &str, path: &Path) -> String {
    format!("{option}{}", path.display())
}

/// User and group without rights.
fn nobody() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = users.lines().find_map(|line| line.strip_prefix("nobody:"));
    let mut fields = entry.into_iter().flat_map(|entry| entry.split(':').skip(1)).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(group))) => (user, group),
        _ => NOBODY,
    }
}

/// The programs, or a copy of them where the user can't get at them, such as below a private home directory.
fn programs_for(user: Option<(u32, u32)>, programs: &Path, place: &Path) -> anyhow::Result<PathBuf> {
    let Some((user, group)) = user else {
        return Ok(programs.to_owned());
    };
    let status = Command::new(programs.join("postgres"))
        .arg("--version")
        .current_dir("/")
        .uid(user)
        .gid(group)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if status.is_ok_and(|status| status.success()) {
        return Ok(programs.to_owned());
    }
    // In a wheel, the libraries lie beside the package: two levels above the installation.
    let installation = programs.parent().context("Postgres's programs are not an installation")?;
    let wheel = installation.ancestors().nth(2).filter(|wheel| wheel.join("requirements.txt").is_file());
    let root = wheel.unwrap_or(installation);
    let copy = place.join("programs");
    let copied = Command::new("cp").arg("-R").arg(root).arg(&copy).status();
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(&copy).status();
    let done = copied.is_ok_and(|status| status.success()) && opened.is_ok_and(|status| status.success());
    anyhow::ensure!(done, "could not copy {} for the user that Postgres runs as", root.display());
    Ok(copy.join(programs.strip_prefix(root)?))
}

#[cfg(test)]
mod tests {
    use super::nobody;

    #[test]
    fn nobody_is_somebody_else() {
        let (user, group) = nobody();
        assert!(user > 0 && group > 0);
    }
}
