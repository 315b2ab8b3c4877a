//! Every variable, as people see it: docs/configuration.md is made of this, and `runner-tokens config` goes by it.

use super::github::DEFAULT_API_URL;

/// What counts when a variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Nothing: the service does not start.
    Required,
    /// Nothing, which is fine.
    Unset,
    /// This value.
    Value(&'static str),
}

/// A variable.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What counts when it is not set.
    pub preset: Preset,
    /// Its value is never shown.
    pub secret: bool,
    /// The variable that names a file with the value instead.
    pub file: Option<&'static str>,
    /// What it is for.
    pub about: &'static str,
}

impl Setting {
    const fn new(name: &'static str, preset: Preset, about: &'static str) -> Self {
        Self { name, preset, secret: false, file: None, about }
    }

    const fn secret(self, file: &'static str) -> Self {
        Self { secret: true, file: Some(file), ..self }
    }

    const fn or_file(self, file: &'static str) -> Self {
        Self { file: Some(file), ..self }
    }
}

const fn required(name: &'static str, about: &'static str) -> Setting {
    Setting::new(name, Preset::Required, about)
}

const fn optional(name: &'static str, about: &'static str) -> Setting {
    Setting::new(name, Preset::Unset, about)
}

const fn preset(name: &'static str, value: &'static str, about: &'static str) -> Setting {
    Setting::new(name, Preset::Value(value), about)
}

/// The setting of this name.
pub(super) fn setting(name: &str) -> Option<&'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings).find(|setting| setting.name == name)
}

/// What counts when the variable is not set, if anything does.
pub(crate) fn default_of(name: &str) -> Option<&'static str> {
    match setting(name)?.preset {
        Preset::Value(value) => Some(value),
        Preset::Required | Preset::Unset => None,
    }
}

/// Settings that belong together.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// In the order in which a person meets them.
    pub settings: &'static [Setting],
}

/// Every variable that the control plane reads.
pub const SECTIONS: &[Section] = &[
    Section { title: "GitHub", settings: GITHUB },
    Section { title: "Callers", settings: CALLERS },
    Section { title: "Records", settings: RECORDS },
    Section { title: "Audit log", settings: AUDIT },
    Section { title: "Service", settings: SERVICE },
    Section { title: "Page", settings: PAGE },
];

const GITHUB: &[Setting] = &[
    required("GITHUB_APP_ID", "The number on the App's settings page."),
    required("GITHUB_APP_INSTALLATION_ID", "The number at the end of the URL of the App's installation in the organisation."),
    required(
        "GITHUB_APP_PRIVATE_KEY_PATH",
        "The path of the .pem file with the App's private key, readable for the service alone.",
    ),
    required("GITHUB_ORG", "The organisation that runners go to: `LOGIN` of `https://github.com/LOGIN`."),
    optional(
        "GITHUB_INSTALLATIONS",
        "Further accounts that the App is installed on, each with the id of its installation: `LOGIN=ID,LOGIN=ID`. A \
         repository belongs to its owner's installation. Who may use them is the policy's to say.",
    ),
    optional(
        "GITHUB_ENTERPRISE_TOKEN",
        "For runners of a whole enterprise (`enterprise:SLUG`), which GitHub doesn't let Apps manage: a classic personal \
         access token of an enterprise owner with the scope `manage_runners:enterprise`.",
    )
    .secret("GITHUB_ENTERPRISE_TOKEN_FILE"),
    preset("GITHUB_API_URL", DEFAULT_API_URL, "GitHub's API; for GitHub Enterprise Server `https://HOST/api/v3`."),
    optional(
        "GITHUB_WEB_URL",
        "The web address that `config.sh --url` starts with; follows from `GITHUB_API_URL` unless set.",
    ),
    optional(
        "GITHUB_WEBHOOK_SECRET",
        "The secret of the App's webhook (event `workflow_job`, to `https://HOST/webhooks/github`). Unset, the endpoint is \
         off: nothing is lost, but a runner that has done its job is noticed at the next comparison only.",
    )
    .secret("GITHUB_WEBHOOK_SECRET_FILE"),
    optional("GITHUB_WEBHOOK_SECRET_PREVIOUS", "The secret before it, while a new one is being rolled out.")
        .secret("GITHUB_WEBHOOK_SECRET_PREVIOUS_FILE"),
    preset("GITHUB_TIMEOUT_SECONDS", "10", "How long one call to GitHub may take, 1 to 60."),
    preset(
        "DEFAULT_RUNNER_GROUP_ID",
        "1",
        "The runner group that runners join unless a request names another. 1 is GitHub's group `Default`.",
    ),
];

const CALLERS: &[Setting] = &[
    required(
        "IDENTITY_PUBLIC_KEYS",
        "The public half of the key with which the edge signs who called: one or more PEMs (Ed25519), on one line with \
         `\\n`; several while a key is being rotated. `runner-tokens identity-keygen` makes both halves.",
    )
    .or_file("IDENTITY_PUBLIC_KEYS_FILE"),
    preset("IDENTITY_AUDIENCE", identity::DEFAULT_AUDIENCE, "The audience that the edge writes into its assertions."),
    optional(
        "POLICY_FILE",
        "Who may register what: a YAML file, see [policy.md](policy.md). Read again within seconds when it changes, and on \
         SIGHUP. Without one, every verified caller may register runners in `GITHUB_ORG` and the default group, and nobody \
         is an administrator.",
    ),
    preset(
        "RATE_LIMIT_PER_MINUTE",
        "1200",
        "Requests a minute of one principal, counted by each process for itself; 0 for no limit.",
    ),
];

const RECORDS: &[Setting] = &[
    required(
        "DATABASE_URL",
        "PostgreSQL 14 or newer: `postgres://USER:PASSWORD@HOST:5432/NAME`. `runner-tokens init-db` makes the tables.",
    )
    .secret("DATABASE_URL_FILE"),
    preset("DATABASE_MAX_CONNECTIONS", "10", "At most so many connections for each process, 1 to 1000."),
];

const AUDIT: &[Setting] = &[
    optional(
        "AUDIT_SIGNING_KEY",
        "Signs checkpoints of the audit log's chain: a PKCS#8 PEM (Ed25519), on one line with `\\n`, of its own for each \
         database: `openssl genpkey -algorithm ed25519`. Unset, nobody can tell a chain that was made anew; the service \
         warns.",
    )
    .secret("AUDIT_SIGNING_KEY_FILE"),
    preset("AUDIT_SEAL_SECONDS", "5", "How often new entries are sealed, 1 to 3600."),
    preset("AUDIT_CHECKPOINT_SECONDS", "60", "How often a checkpoint is made, if there is something new, 1 to 86400."),
    optional(
        "AUDIT_CHECKPOINT_FILE",
        "A file that grows by a line of JSON for each checkpoint. Checkpoints should go to one place at least that is out \
         of reach for whoever administers the database.",
    ),
    optional("AUDIT_CHECKPOINT_URL", "A URL that each checkpoint is posted to as JSON. It may hold a password.")
        .secret("AUDIT_CHECKPOINT_URL_FILE"),
    optional(
        "AUDIT_FILE",
        "A file that grows by a line of JSON for each sealed entry, at least once each, for a SIEM. One of the replicas \
         that have it set writes at a time; it may be rotated.",
    ),
];

const SERVICE: &[Setting] = &[
    preset(
        "SERVICE_HOST",
        "127.0.0.1",
        "Where to listen. Only the edge has business here: open it (`0.0.0.0`) in a container or a private network alone.",
    ),
    preset("SERVICE_PORT", "8000", "The port; 0 takes any free one, and the log says which."),
    preset(
        "SHUTDOWN_TIMEOUT_SECONDS",
        "55",
        "How long SIGTERM or SIGINT waits for requests that are under way, 1 to 3600: new ones are not taken, the jobs go \
         to another replica at once. A request may take 50. What comes first, this limit or a second signal, cuts off the \
         rest with exit code 1. A supervisor's own patience (`terminationGracePeriodSeconds`, `stop_grace_period`) must be \
         longer.",
    ),
    preset("RECONCILE_INTERVAL_SECONDS", "60", "How often the records are compared with GitHub, 1 to 86400."),
    preset(
        "CLEANUP_STALE_RUNNERS_HOURS",
        "24",
        "Runners off line for longer than this are deleted; 0 leaves them alone.",
    ),
    preset(
        "DRAIN_STUCK_SECONDS",
        "21600",
        "A runner that has been draining for longer than this is shown to administrators as stuck, 1 to 31536000. The alert \
         `RunnerTokensDrainStuck` has six hours, too.",
    ),
    optional(
        "METRICS_ADDR",
        "Where Prometheus asks for `/metrics`, such as `127.0.0.1:9464`; port 0 takes any free one, and the log says which. \
         Unset, there are none. [telemetry.md](telemetry.md) describes each. Nothing in them is secret, but they are for \
         whoever watches the service alone: leave the port closed to clients.",
    ),
    preset(
        "LOG_LEVEL",
        "info",
        "`trace`, `debug`, `info`, `warn`, `error` or `off`; for parts of the service `MODULE=LEVEL`, several with commas \
         between, as tracing-subscriber's `EnvFilter` has it: `info,control_plane::github=debug`. Libraries speak up at \
         `warn`; finer than `info` they can't be set, for they may write credentials then.",
    ),
    preset(
        "LOG_FORMAT",
        "auto",
        "How logs look, on standard error: `json`, `pretty` lines for people, or `auto`, which is lines at a terminal and \
         JSON elsewhere. [telemetry.md](telemetry.md#logs) says what is in them.",
    ),
    optional(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Where traces go: a collector's address for OTLP by HTTP, such as `http://localhost:4318`; `/v1/traces` is added. \
         Unset, no trace is recorded. [telemetry.md](telemetry.md#traces) says what is in them.",
    ),
    optional(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Headers for the collector, such as a credential: `NAME=VALUE,NAME=VALUE`, with `%` before the hex of what is \
         special.",
    )
    .secret("OTEL_EXPORTER_OTLP_HEADERS_FILE"),
    preset("OTEL_SERVICE_NAME", "runner-tokens", "The name under which the collector shows this service."),
];

const PAGE: &[Setting] = &[
    optional(
        "UI_ISSUER",
        "Where people sign in to the page at `/ui`, an issuer that the filter believes too: its URL, as its discovery \
         document has it. Unset, there is no page. [ui.md](ui.md) shows how to register the page there.",
    ),
    optional(
        "UI_CLIENT_ID",
        "How that issuer knows the page: a public client (authorization code with PKCE, no secret) whose redirect URI is \
         `https://HOST/ui`.",
    ),
    preset("UI_SCOPE", "openid", "The scopes that the page asks for, separated by spaces."),
    optional(
        "UI_RESOURCE",
        "What the page asks an access token for (`resource`, RFC 8707), where the issuer needs to be told; the token's \
         audience must be `OIDC_AUDIENCE` in the end.",
    ),
];
