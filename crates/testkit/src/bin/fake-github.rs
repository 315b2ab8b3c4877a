//! A fake GitHub as a program, for compose and for trying things out.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use testkit::github::{APP_ID, FakeGithub, GithubConfig, INSTALLATION_ID, Limits, ORGANIZATION, Organization};

/// The key's file in `--keys-dir`.
const KEY_FILE: &str = "github-app.pem";

/// A fake GitHub with one organisation on which one App is installed.
#[derive(Parser)]
#[command(name = "fake-github", version, after_help = EXAMPLE)]
struct Options {
    /// Where to listen
    #[arg(long, env = "FAKE_GITHUB_LISTEN", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Base of all URLs that it hands out; by default the listening address
    #[arg(long, env = "FAKE_GITHUB_PUBLIC_URL")]
    public_url: Option<String>,
    /// The organisation
    #[arg(long, env = "FAKE_GITHUB_ORG", default_value = ORGANIZATION)]
    org: String,
    /// The App's id
    #[arg(long, env = "FAKE_GITHUB_APP_ID", default_value_t = APP_ID)]
    app_id: u64,
    /// The id of the App's installation on the organisation
    #[arg(long, env = "FAKE_GITHUB_INSTALLATION_ID", default_value_t = INSTALLATION_ID)]
    installation_id: u64,
    /// Writes the App's private key here, for the service that is to use it
    #[arg(long, env = "FAKE_GITHUB_APP_KEY_FILE", value_name = "FILE")]
    app_key_file: Option<PathBuf>,
    /// Keeps the App's private key here over restarts
    #[arg(long, env = "FAKE_GITHUB_KEYS_DIR", value_name = "DIR")]
    keys_dir: Option<PathBuf>,
    /// Lets anybody drive it under /fake/: machines, jobs, time
    #[arg(long, env = "FAKE_GITHUB_CONTROL")]
    control: bool,
    /// Without rate limits, for load tests
    #[arg(long, env = "FAKE_GITHUB_NO_LIMITS")]
    no_limits: bool,
}

const EXAMPLE: &str = "Example:\n  fake-github --control --app-key-file /tmp/app.pem\n  \
    curl -d '{\"command\": \"./config.sh …\"}' http://127.0.0.1:9001/fake/machines";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let config = GithubConfig {
        listen: options.listen,
        public_url: options.public_url,
        organizations: vec![Organization::new(&options.org, options.installation_id)],
        enterprises: Vec::new(),
        app_id: options.app_id,
        app_private_key_pem: options.keys_dir.as_deref().map(kept_key).transpose()?.flatten(),
        limits: if options.no_limits { Limits::NONE } else { Limits::DOCUMENTED },
        control: options.control,
    };
    let github = FakeGithub::start(config).await?;
    if let Some(directory) = &options.keys_dir {
        keep_key(directory, github.app_private_key_pem())?;
    }
    if let Some(path) = &options.app_key_file {
        // Readable by others: it opens this fake alone, and the service that needs it often runs as another user.
        fs::write(path, github.app_private_key_pem()).with_context(|| format!("can't write {}", path.display()))?;
        println!("App key         {}", path.display());
    }
    println!("API             {}", github.base_url());
    println!("organisation    {}", github.html_url(&options.org));
    println!("App             {}, installation {}", github.app_id(), github.installation_id());
    if options.control {
        println!("controls        {0}/fake/runners, {0}/fake/machines", github.base_url());
    }
    testkit::signals::stop_requested().await?;
    github.stop().await;
    Ok(())
}

fn kept_key(directory: &Path) -> anyhow::Result<Option<String>> {
    let path = directory.join(KEY_FILE);
    if !path.exists() {
        return Ok(None);
    }
    fs::read_to_string(&path).map(Some).with_context(|| format!("can't read {}", path.display()))
}

fn keep_key(directory: &Path, pem: &str) -> anyhow::Result<()> {
    let path = directory.join(KEY_FILE);
    fs::create_dir_all(directory).with_context(|| format!("can't make {}", directory.display()))?;
    testkit::secret_file::write(&path, pem).with_context(|| format!("can't write {}", path.display()))
}
