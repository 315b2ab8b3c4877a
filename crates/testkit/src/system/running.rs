//! A whole system.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use identity::KeyPair;

use super::configuration;
use super::control_plane::{Cli, ControlPlane};
use super::database::Database;
use super::envoy::{Envoy, EnvoyOptions, Issuer};
use super::options::{AUDIENCE, SystemOptions};
use super::postgres::Postgres;
use super::ready::until_ready;
use super::scope::Scope;
use super::tools::Tools;
use super::wires::{self, Wires};
use crate::github::FakeGithub;
use crate::issuer::DevIssuer;

/// A running system. Fields are in the order in which they end: clients before what they use.
pub struct System {
    envoy: Envoy,
    envoy_options: EnvoyOptions,
    control_planes: Vec<ControlPlane>,
    cli: Cli,
    wires: Option<Wires>,
    database: Database,
    postgres: Option<Postgres>,
    github: FakeGithub,
    issuer: DevIssuer,
    identity: KeyPair,
    believed: Issuer,
    scope: Arc<Scope>,
}

impl System {
    /// Starts everything and waits until a caller with a good token would be let in.
    ///
    /// Postgres is the server at `DATABASE_URL` (each system gets a database of its own in it), or a private one if there is none
    /// or [`SystemOptions::own_postgres`] asks for it.
    pub async fn start(options: SystemOptions) -> anyhow::Result<Self> {
        let (tools, scope) = (Tools::from_env()?, Arc::new(Scope::new()?));
        let (issuer, github) =
            tokio::try_join!(DevIssuer::start(options.issuer), FakeGithub::start(options.github.clone()))?;
        tracing::info!("the dev issuer and the fake GitHub are up");
        let (postgres, database) = database(&tools, options.own_postgres, &scope).await?;
        let identity = KeyPair::generate()?;
        let organization = options.github.organizations.first().context("GitHub without an organisation")?;
        let mut wires = if options.wires { Some(Wires::new(database.url(), &github, &issuer).await?) } else { None };
        let mut environment = configuration::all(&scope, &github, &organization.login, &identity, database.url())?;
        if let Some(wires) = &wires {
            environment.extend(configuration::by_wire(wires, &github, database.url())?);
        }
        environment.extend(options.control_plane);
        let cli = Cli { binary: tools.control_plane.clone(), environment };
        cli.succeed(&["init-db"]).await?;
        tracing::info!("Postgres is up, with the tables");
        let mut control_planes = Vec::new();
        for number in 0..options.replicas.max(1) {
            control_planes.push(replica(number, &cli, None, &scope).await?);
        }
        let mut addresses = Vec::new();
        for control_plane in &control_planes {
            addresses.push(match &mut wires {
                Some(wires) => wires.add(control_plane).await?,
                None => control_plane.host_and_port()?,
            });
        }
        tracing::info!("the control plane is up");
        let believed = match (options.believe, &wires) {
            (Some(other), _) => other,
            (None, None) => as_believed(&issuer),
            (None, Some(wires)) => {
                Issuer { jwks_url: wires::through(&wires.issuer, &issuer.jwks_uri())?, ..as_believed(&issuer) }
            }
        };
        let envoy_options = EnvoyOptions {
            binary: tools.envoy,
            filter: options.filter.unwrap_or(tools.filter),
            template: with_endpoints(&options.envoy_template, &addresses),
            issuer: believed.clone(),
            control_plane: addresses.into_iter().next().context("no control plane")?,
            signing_key: identity.private_pem.clone(),
            concurrency: options.envoy_concurrency,
        };
        let envoy = Envoy::start(&envoy_options, &scope).await?;
        let keys_of = options.wait_for_keys.then_some(&believed);
        let ready = until_ready(envoy.edge_url(), keys_of, options.envoy_concurrency).await;
        ready.with_context(|| shown(&scope))?;
        tracing::info!("Envoy is up, with the filter");
        Ok(Self {
            envoy,
            envoy_options,
            control_planes,
            cli,
            wires,
            database,
            postgres,
            github,
            issuer,
            identity,
            believed,
            scope,
        })
    }

    /// Base URL for clients: Envoy.
    pub fn edge_url(&self) -> &str {
        self.envoy.edge_url()
    }

    /// Base URL of Envoy's operator's interface.
    pub fn admin_url(&self) -> &str {
        self.envoy.admin_url()
    }

    /// Base URL of the port behind Envoy, which a deployment keeps to Envoy.
    pub fn control_plane_url(&self) -> String {
        self.control_planes.first().map(ControlPlane::url).unwrap_or_default()
    }

    /// URL of the control plane's database, with user and password.
    pub fn database_url(&self) -> &str {
        self.database.url()
    }

    /// The dev issuer.
    pub fn issuer(&self) -> &DevIssuer {
        &self.issuer
    }

    /// The fake GitHub.
    pub fn github(&self) -> &FakeGithub {
        &self.github
    }

    /// The edge's key: the filter has the private half, the control plane the public one.
    pub fn identity(&self) -> &KeyPair {
        &self.identity
    }

    /// Whom the filter believes.
    pub fn believed(&self) -> &Issuer {
        &self.believed
    }

    /// Envoy.
    pub fn envoy(&mut self) -> &mut Envoy {
        &mut self.envoy
    }

    /// The control planes, [`SystemOptions::replicas`] of them.
    pub fn control_planes(&mut self) -> &mut [ControlPlane] {
        &mut self.control_planes
    }

    /// The private Postgres, unless the system shares one.
    pub fn postgres(&mut self) -> Option<&mut Postgres> {
        self.postgres.as_mut()
    }

    /// The wires between the parts, where [`SystemOptions::wires`] asked for them.
    pub fn wires(&self) -> Option<&Wires> {
        self.wires.as_ref()
    }

    /// What else a test wants to start with this system, such as an [`OidcProvider`].
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// The command line of the control plane, configured as this system's.
    pub fn cli(&self) -> &Cli {
        &self.cli
    }

    /// Runs `runner-tokens` with these arguments, which must succeed, and gives what it printed.
    pub async fn run_cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.cli.succeed(arguments).await
    }

    /// Starts a control plane anew on the same port, as after a crash or an update.
    pub async fn restart_control_plane(&mut self, number: usize) -> anyhow::Result<()> {
        let old = self.control_planes.get_mut(number).context("no such control plane")?;
        let (_, port) = old.host_and_port()?;
        old.process().stop();
        *old = replica(number, &self.cli, Some(port), &self.scope).await?;
        Ok(())
    }

    /// Starts Envoy anew on the same port for clients, as after a crash.
    pub async fn restart_envoy(&mut self) -> anyhow::Result<()> {
        self.envoy.start_again(&self.envoy_options, &self.scope).await
    }

    /// Everything that every process wrote, by the name of its log file.
    pub fn logs(&self) -> anyhow::Result<Vec<(String, String)>> {
        logs(self.scope.directory())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("{}", shown(&self.scope));
        }
        // All at once; then each is waited for.
        self.envoy.process().ask_to_stop();
        for control_plane in &mut self.control_planes {
            control_plane.process().ask_to_stop();
        }
    }
}

/// One of several control planes, on this port or a free one.
async fn replica(number: usize, cli: &Cli, port: Option<u16>, scope: &Arc<Scope>) -> anyhow::Result<ControlPlane> {
    let mut environment = cli.environment.clone();
    environment.extend(port.map(|port| ("SERVICE_PORT".to_owned(), port.to_string())));
    ControlPlane::start(&format!("control-plane-{number}"), &cli.binary, &environment, scope).await
}

/// The line with the control plane's endpoint, once for each.
fn with_endpoints(template: &str, addresses: &[(String, u16)]) -> String {
    let mut lines = Vec::new();
    for line in template.lines() {
        if addresses.len() < 2 || !line.contains("${CONTROL_PLANE_HOST}") {
            lines.push(line.to_owned());
            continue;
        }
        for (host, port) in addresses {
            let line = line.replace("${CONTROL_PLANE_HOST}", host);
            lines.push(line.replace("${CONTROL_PLANE_PORT}", &port.to_string()));
        }
    }
    lines.join("\n")
}

async fn database(tools: &Tools, own: bool, scope: &Arc<Scope>) -> anyhow::Result<(Option<Postgres>, Database)> {
    if let (false, Ok(url)) = (own, env::var("DATABASE_URL")) {
        return Ok((None, Database::create(&url).await.context("DATABASE_URL")?));
    }
    let postgres = Postgres::start(&tools.postgres, scope).await?;
    let database = Database::create(postgres.url()).await?;
    Ok((Some(postgres), database))
}

fn logs(directory: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            logs.push((name, String::from_utf8_lossy(&fs::read(&path)?).into_owned()));
        }
    }
    Ok(logs)
}

/// The ends of all logs, for people who look for what went wrong.
fn shown(scope: &Scope) -> String {
    let ends = logs(scope.directory()).unwrap_or_default().into_iter().map(|(name, log)| {
        let end: Vec<_> = log.lines().rev().take(15).collect();
        format!("the log of {name} ends with:\n{}", end.into_iter().rev().collect::<Vec<_>>().join("\n"))
    });
    ends.collect::<Vec<_>>().join("\n")
}

fn as_believed(issuer: &DevIssuer) -> Issuer {
    Issuer { issuer: issuer.issuer().to_owned(), audience: AUDIENCE.to_owned(), jwks_url: issuer.jwks_uri() }
}
