//! The edge as it is run in production: started by its own program, with TLS and a load balancer in front.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sqlx::Connection as _;
use testkit::system::{Envoy, System, SystemOptions, Tools};

use crate::support::{database, token_of, until};

const FIRST: [&str; 2] = [include_str!("tls/first.crt"), include_str!("tls/first.key")];
const SECOND: [&str; 2] = [include_str!("tls/second.crt"), include_str!("tls/second.key")];

struct Production {
    envoy: Envoy,
    system: System,
    directory: PathBuf,
}

impl Production {
    async fn start() -> anyhow::Result<Self> {
        let (tools, system) = (Tools::from_env()?, System::start(SystemOptions::default()).await?);
        let directory = system.scope().directory().join("tls");
        fs::create_dir(&directory)?;
        let place = directory.display().to_string();
        let tls_file = directory.join("tls.yaml");
        fs::write(&tls_file, edge::TLS.replace(": /tls", &format!(": {place}")))?;
        renew(&directory, FIRST)?;
        let control_plane = system.control_plane_url();
        let (host, port) = control_plane.trim_start_matches("http://").split_once(':').context("no port")?;
        let believed = system.believed().clone();
        let key_file = system.scope().directory().join("signing-key.pem");
        fs::write(&key_file, &system.identity().private_pem)?;
        let variables = [
            ("ENVOY_BIN", tools.envoy.display().to_string()),
            ("FILTER_PATH", tools.filter.display().to_string()),
            ("OIDC_ISSUER", believed.issuer),
            ("OIDC_AUDIENCE", believed.audience),
            ("OIDC_JWKS_URL", believed.jwks_url),
            ("IDENTITY_SIGNING_KEY_FILE", key_file.display().to_string()),
            ("EDGE_TLS_FILE", tls_file.display().to_string()),
            ("EDGE_TRUSTED_HOPS", "1".into()),
            ("EDGE_HOST", "127.0.0.1".into()),
            ("EDGE_PORT", "0".into()),
            ("ADMIN_PORT", "0".into()),
            ("CONTROL_PLANE_HOST", host.into()),
            ("CONTROL_PLANE_PORT", port.into()),
            ("CA_CERTIFICATES", directory.join("tls.crt").display().to_string()),
        ];
        let environment = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let envoy = Envoy::launch(&tools.edge, &environment, system.scope()).await?;
        Ok(Self { envoy, system, directory })
    }

    /// What curl makes of a call by TLS: the status and the body; 0 and why if there is none.
    fn call(&self, path: &str, arguments: &[&str]) -> anyhow::Result<(u16, String)> {
        let url = format!("{}{path}", self.envoy.edge_url().replace("http://", "https://"));
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
            "--path-as-is",
            "--write-out",
            "\n%{http_code}",
        ]);
        curl.arg("--cacert").arg(self.directory.join("trusted.pem")).args(arguments).arg(url);
        let output = curl.output().context("curl is needed")?;
        let printed = String::from_utf8(output.stdout)?;
        let (body, status) = printed.rsplit_once('\n').context("curl printed no status")?;
        let body = if status == "000" { String::from_utf8(output.stderr)? } else { body.to_owned() };
        Ok((status.parse()?, body))
    }
}

/// As Kubernetes and ACME clients do: whole files come into the directory by renaming.
fn renew(directory: &Path, [certificate, key]: [&str; 2]) -> anyhow::Result<()> {
    fs::write(directory.join("trusted.pem"), certificate)?;
    for (name, content) in [("tls.key", key), ("tls.crt", certificate)] {
        let new = directory.with_extension("new");
        fs::write(&new, content)?;
        fs::rename(&new, directory.join(name))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_travel_by_tls_and_a_renewed_certificate_needs_no_restart() -> anyhow::Result<()> {
    let production = Production::start().await?;
    let (status, body) = production.call("/health", &[])?;
    assert_eq!(status, 200, "{body}");
    assert_eq!(production.call("/health", &["--http1.1", "--tls-max", "1.1"])?.0, 0);
    let plain = reqwest::get(format!("{}/health", production.envoy.edge_url())).await;
    assert!(plain.is_err(), "{plain:?}");

    renew(&production.directory, SECOND)?;
    until("the renewed certificate", Duration::from_secs(20), async || Ok(production.call("/health", &[])?.0 == 200))
        .await?;
    Ok(())
}

/// One trusted hop: what the load balancer appended counts, what the client wrote before it does not.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_has_the_clients_address_and_the_access_log_no_secret() -> anyhow::Result<()> {
    let mut production = Production::start().await?;
    let token = token_of(&production.system, "team-blue")?;
    let bearer = format!("authorization: Bearer {token}");
    let list = |arguments: &[&str]| production.call("/api/v1/runners?limit=7&label=in-the-query", arguments);
    // The filter may not have the keys yet.
    until("the issuer's keys", Duration::from_secs(20), async || Ok(list(&["--header", &bearer])?.0 == 200)).await?;
    let (status, body) = production.call(
        "/api/v1/runners/provision",
        &[
            "--header",
            &bearer,
            "--header",
            "x-forwarded-for: 203.0.113.66, 198.51.100.7",
            "--header",
            "x-client-ip: 203.0.113.99",
            "--json",
            r#"{"runner_name": "blue-1", "labels": ["linux"]}"#,
        ],
    )?;
    assert_eq!(status, 201, "{body}");
    let mut connection = database(&production.system).await?;
    let addresses: Vec<Option<String>> =
        sqlx::query_scalar("select distinct client_ip from audit_log where event like 'provision.%'")
            .fetch_all(&mut connection)
            .await?;
    connection.close().await?;
    assert_eq!(addresses, [Some("198.51.100.7".to_owned())]);

    let answer: Value = serde_json::from_str(&body)?;
    let registration = answer["registration_token"].as_str().context("no token")?;
    let logged = |log: &str| log.contains(r#""path":"/api/v1/runners/provision""#) && log.contains("team-blue");
    until("the access log", Duration::from_secs(20), async || Ok(logged(&production.envoy.process().log()))).await?;
    let log = production.envoy.process().log();
    ensure!(log.contains(r#""client":"198.51.100.7""#), "{log}");
    for secret in [token.as_str(), registration, "in-the-query", "PRIVATE"] {
        ensure!(!log.contains(secret), "the access log holds {secret}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_be_read_in_two_ways_or_is_too_big_does_not_get_in() -> anyhow::Result<()> {
    let production = Production::start().await?;
    let long = format!("x-long: {}", "a".repeat(61 * 1024));
    let many: Vec<String> = (0..101).map(|number| format!("x-{number}: 1")).collect();
    let many: Vec<&str> = many.iter().flat_map(|header| ["--header", header.as_str()]).collect();
    for version in ["--http1.1", "--http2"] {
        assert_eq!(production.call("/health", &[version])?.0, 200);
        let with = |arguments: &[&str], path: &str| production.call(path, &[&[version], arguments].concat());
        assert_eq!(with(&[], "/api%2Fv1/runners")?.0, 400, "{version}");
        assert_eq!(with(&[], "/health/../api/v1/runners")?.0, 401, "{version}");
        assert_eq!(with(&[], "//api//v1/runners")?.0, 401, "{version}");
        // HTTP/1.1 answers such headers; HTTP/2 resets the stream.
        let underscore = ["--header", "x_client_ip: 10.0.0.1"];
        for (headers, refusal) in [(underscore.as_slice(), 400), (&["--header", &long], 431), (many.as_slice(), 431)] {
            let status = with(headers, "/health")?.0;
            assert!(status == refusal || (version == "--http2" && status == 0), "{version}: {status}");
        }
    }
    Ok(())
}

/// What stops a flood is there, with the numbers that were asked for.
#[tokio::test(flavor = "multi_thread")]
async fn the_limits_are_in_force() -> anyhow::Result<()> {
    let production = Production::start().await?;
    let admin = production.envoy.admin_url();
    let stats = reqwest::get(format!("{admin}/stats")).await?.text().await?;
    for limit in [
        "overload.envoy.overload_actions.stop_accepting_requests.active: 0",
        "overload.envoy.overload_actions.reset_high_memory_stream.active: 0",
        "overload.envoy.resource_monitors.fixed_heap.pressure: ",
        "cluster.control_plane.circuit_breakers.default.rq_open: 0",
    ] {
        ensure!(stats.contains(limit), "no {limit} in {stats}");
    }
    let config = reqwest::get(format!("{admin}/config_dump")).await?.text().await?;
    for setting in ["\"max_active_downstream_connections\": \"10000\"", "\"max_heap_size_bytes\": \"1073741824\""] {
        ensure!(config.contains(setting), "no {setting}");
    }
    ensure!(!config.contains("PRIVATE"), "Envoy shows the signing key");
    Ok(())
}

/// What `edge config` prints is what Envoy takes, with TLS and without; what it can't be is an error before Envoy starts.
#[test]
fn what_the_program_prints_is_valid_for_envoy_itself() -> anyhow::Result<()> {
    let tools = Tools::from_env()?;
    let place = std::env::temp_dir().join(format!("edge-config-{}", std::process::id()));
    fs::create_dir_all(&place)?;
    renew(&place, FIRST)?;
    let tls_file = place.join("tls.yaml");
    fs::write(&tls_file, edge::TLS.replace(": /tls", &format!(": {}", place.display())))?;
    let print = |tls: &Path, hops: &str| {
        let mut edge = Command::new(&tools.edge);
        edge.arg("config").env("FILTER_PATH", &tools.filter).env("CA_CERTIFICATES", place.join("tls.crt"));
        edge.env("OIDC_ISSUER", "https://idp.example.com").env("OIDC_AUDIENCE", "runner-tokens");
        edge.env("OIDC_JWKS_URL", "https://idp.example.com/jwks").env("CONTROL_PLANE_HOST", "127.0.0.1");
        edge.env("EDGE_TLS_FILE", tls).env("EDGE_TRUSTED_HOPS", hops).output()
    };
    let config = place.join("envoy.yaml");
    for tls in [Path::new(""), &tls_file] {
        let printed = print(tls, "0")?;
        ensure!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        fs::write(&config, &printed.stdout)?;
        let mut validate = Command::new(&tools.envoy);
        validate.args(["--mode", "validate", "--config-path"]).arg(&config);
        let verdict = validate.env("IDENTITY_SIGNING_KEY", identity::KeyPair::generate()?.private_pem).output()?;
        ensure!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stderr));
    }
    let refused = print(Path::new(""), "one")?;
    ensure!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("EDGE_TRUSTED_HOPS"));
    fs::remove_dir_all(&place)?;
    Ok(())
}

/// The checks that containers run have no curl: the programs ask each other, and say no when nobody listens.
#[tokio::test(flavor = "multi_thread")]
async fn the_programs_check_their_own_health() -> anyhow::Result<()> {
    let (tools, system) = (Tools::from_env()?, System::start(SystemOptions::default()).await?);
    let port = |url: &str| url.rsplit(':').next().unwrap_or_default().to_owned();
    let healthy = |program: &Path, variable: &str, port: &str| {
        let mut check = Command::new(program);
        check.arg("health").env_remove("SERVICE_HOST").env(variable, port).current_dir(system.scope().directory());
        check.output().map(|output| output.status.success())
    };
    assert!(healthy(&tools.control_plane, "SERVICE_PORT", &port(&system.control_plane_url()))?);
    assert!(healthy(&tools.edge, "ADMIN_PORT", &port(system.admin_url()))?);
    // The edge is no control plane, and nobody listens on port 1.
    assert!(!healthy(&tools.edge, "ADMIN_PORT", &port(&system.control_plane_url()))?);
    for (program, variable) in [(&tools.control_plane, "SERVICE_PORT"), (&tools.edge, "ADMIN_PORT")] {
        assert!(!healthy(program, variable, "1")?);
    }
    Ok(())
}
