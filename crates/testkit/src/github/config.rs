//! What a fake GitHub starts with.

use std::net::SocketAddr;

/// Limits as GitHub documents them for installations of GitHub Apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests an hour for each installation (primary limit).
    pub per_hour: u64,
    /// Points a minute (secondary limit): a read costs 1, a write 5.
    pub points_per_minute: u64,
    /// Requests at the same time (secondary limit).
    pub concurrent: usize,
}

impl Limits {
    /// GitHub's documented ones.
    pub const DOCUMENTED: Self = Self { per_hour: 5000, points_per_minute: 900, concurrent: 100 };
    /// None, for load tests.
    pub const NONE: Self = Self { per_hour: u64::MAX, points_per_minute: u64::MAX, concurrent: usize::MAX };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DOCUMENTED
    }
}

/// A runner group of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerGroup {
    /// Its id; 1 is the default group.
    pub id: u64,
    /// Its name, by which `config.sh` knows it.
    pub name: String,
    /// Whether runners may be added by the App; GitHub-hosted groups refuse with 403.
    pub allowed: bool,
}

impl RunnerGroup {
    /// A group that takes runners.
    pub fn new(id: u64, name: &str) -> Self {
        Self { id, name: name.to_owned(), allowed: true }
    }
}

/// A repository of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its name without the owner.
    pub name: String,
    /// Whether the organisation forbids self-hosted runners on repositories.
    pub runners_disabled: bool,
}

/// An organisation on which the App is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its login.
    pub login: String,
    /// Its runner groups.
    pub groups: Vec<RunnerGroup>,
    /// Its repositories.
    pub repositories: Vec<Repository>,
    /// The installation of the App on it; `None` for an organisation that never installed the App.
    pub installation_id: Option<u64>,
    /// What the installation may do.
    pub permissions: Vec<(String, String)>,
}

impl Organization {
    /// An organisation with the groups `Default` (1), `GitHub-hosted` (2, refuses runners) and `GPU pool` (3), a
    /// repository `app`, and the App installed under this id with every permission that runners need.
    pub fn new(login: &str, installation_id: u64) -> Self {
        let hosted = RunnerGroup { allowed: false, ..RunnerGroup::new(2, "GitHub-hosted") };
        let write = |name: &str| (name.to_owned(), "write".to_owned());
        Self {
            login: login.to_owned(),
            groups: vec![RunnerGroup::new(1, "Default"), hosted, RunnerGroup::new(3, "GPU pool")],
            repositories: vec![Repository { name: "app".to_owned(), runners_disabled: false }],
            installation_id: Some(installation_id),
            permissions: vec![
                write("organization_self_hosted_runners"),
                write("administration"),
                ("metadata".to_owned(), "read".to_owned()),
            ],
        }
    }
}

/// An enterprise. The App can't be installed on it: it takes the tokens of its owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enterprise {
    /// Its slug.
    pub slug: String,
    /// Its runner groups.
    pub groups: Vec<RunnerGroup>,
    /// A classic personal access token of an owner, with the scope `manage_runners:enterprise`.
    pub token: String,
}

impl Enterprise {
    /// An enterprise with the groups `Default` (1), `GitHub-hosted` (2, refuses runners) and `Everybody's` (3).
    pub fn new(slug: &str, token: &str) -> Self {
        let hosted = RunnerGroup { allowed: false, ..RunnerGroup::new(2, "GitHub-hosted") };
        let groups = vec![RunnerGroup::new(1, "Default"), hosted, RunnerGroup::new(3, "Everybody's")];
        Self { slug: slug.to_owned(), groups, token: token.to_owned() }
    }
}

/// How to start a fake GitHub.
#[derive(Clone, Debug)]
pub struct GithubConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Base of every URL that it hands out, without a slash at the end; by default the listening address.
    pub public_url: Option<String>,
    /// Organisations in it.
    pub organizations: Vec<Organization>,
    /// Enterprises in it.
    pub enterprises: Vec<Enterprise>,
    /// The App's id.
    pub app_id: u64,
    /// The App's private key (PKCS#8 PEM, RSA); made at start if absent.
    pub app_private_key_pem: Option<String>,
    /// Rate limits.
    pub limits: Limits,
    /// Whether `/fake/…` lets anybody drive the world: for demos.
    pub control: bool,
}

/// The App's id unless configured otherwise.
pub const APP_ID: u64 = 990_001;
/// The organisation there is unless configured otherwise.
pub const ORGANIZATION: &str = "acme-partners";
/// The installation there is unless configured otherwise.
pub const INSTALLATION_ID: u64 = 880_001;

impl Default for GithubConfig {
    /// A free port on the loopback address, one [`Organization::new`] called [`ORGANIZATION`], documented limits.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            organizations: vec![Organization::new(ORGANIZATION, INSTALLATION_ID)],
            enterprises: Vec::new(),
            app_id: APP_ID,
            app_private_key_pem: None,
            limits: Limits::DOCUMENTED,
            control: false,
        }
    }
}
