//! Every metric there is. The table in docs/telemetry.md is made of this, and the alerts and the dashboard are held to it.
//!
//! No label holds anything that a caller chooses: neither names of runners nor principals nor paths, and of methods and
//! statuses only the known ones. So the number of series is bounded, and nothing in them is confidential.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// As it is now.
    Gauge,
    /// How many observations lie below each bound; in seconds.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub about: &'static str,
}

const fn of(kind: Kind, name: &'static str, labels: &'static [&'static str], about: &'static str) -> Metric {
    Metric { name, kind, labels, about }
}

macro_rules! catalogue {
    ($($constant:ident: $kind:ident, $name:literal, $labels:expr, $about:literal;)*) => {
        $(pub(crate) const $constant: Metric = of(Kind::$kind, concat!("runner_tokens_", $name), &$labels, $about);)*
        /// All of them, in the order in which people read of them.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

catalogue! {
    BUILD: Gauge, "build_info", ["version"], "Always 1; the version that runs.";

    HTTP_REQUESTS: Counter, "http_requests_total", ["route", "method", "status"],
        "Requests that were answered, by the route's template (`unmatched` if there is none), method and class of status.";
    HTTP_SECONDS: Histogram, "http_request_duration_seconds", ["route", "method"], "How long answers took.";
    HTTP_PROBLEMS: Counter, "http_problems_total", ["problem"],
        "Answers that were problems, by the last part of their `type` (docs/errors.md).";

    GITHUB_REQUESTS: Counter, "github_requests_total", ["operation", "status"],
        "Calls to GitHub, repeats included, by what was asked and GitHub's status; `none` if no answer came.";
    GITHUB_SECONDS: Histogram, "github_request_duration_seconds", ["operation"], "How long GitHub took.";
    GITHUB_LIMIT: Gauge, "github_budget_limit", ["account"],
        "Calls an hour that GitHub allows an installation. Not there before GitHub has told.";
    GITHUB_REMAINING: Gauge, "github_budget_remaining", ["account"],
        "Calls that are left of them. Not there when the hour that GitHub told of is over.";
    GITHUB_RESETS: Gauge, "github_budget_reset_timestamp_seconds", ["account"], "When all of them are there again.";
    GITHUB_PAUSED: Gauge, "github_paused", ["account"], "1 while GitHub asked not to be called at all.";

    JOB_RUNS: Counter, "job_runs_total", ["job", "outcome"],
        "Runs of a job in this process: `success`, `failure`, or `lost` if another replica had to take over.";
    JOB_SECONDS: Histogram, "job_run_duration_seconds", ["job"], "How long runs took.";
    JOB_SUCCESS: Gauge, "job_last_success_timestamp_seconds", ["job"],
        "Start of the newest run in this process that succeeded. Not there before the first.";
    JOB_LAST: Gauge, "job_last_run_timestamp_seconds", ["job"],
        "Start of the newest run that came to its end, of all replicas, well or not.";
    JOB_LEADER: Gauge, "job_leader", ["job"], "1 if this process did that run.";

    RUNNERS: Gauge, "runners", ["state"], "Live runners on record, of all replicas.";
    DRAIN_LENGTH: Gauge, "drain_queue_length", [], "Runners that are to go as soon as they are idle.";
    DRAIN_OLDEST: Gauge, "drain_queue_oldest_seconds", [], "For how long the oldest of them waits; 0 if there is none.";

    AUDIT_UNSEALED: Gauge, "audit_unsealed_entries", [],
        "Entries of the audit log without a seal. At most 100000 are counted.";
    AUDIT_OLDEST: Gauge, "audit_unsealed_oldest_seconds", [], "The age of the oldest of them; 0 if there is none.";

    POLICY: Gauge, "policy_info", ["status", "sha256"],
        "Always 1; the SHA-256 of the policy in force, and its status: `ok`, `stale` if the file is broken and an older one \
         in force, `none` if there is no file.";
    POLICY_STALE: Gauge, "policy_stale", [], "1 while the policy file is broken and an older one in force.";
    POLICY_LOADED: Gauge, "policy_loaded_timestamp_seconds", [], "Since when this process has it.";
    POLICY_RULES: Gauge, "policy_rules", [], "How many rules it has. Not there without a file.";
    POLICY_FAILURES: Counter, "policy_reload_failures_total", [], "Changes of the file that were refused.";

    CONNECTIONS: Gauge, "database_connections", ["state"], "Connections of this process's pool, `idle` or `used`.";
    CONNECTIONS_MAX: Gauge, "database_connections_max", [], "So many there can be (`DATABASE_MAX_CONNECTIONS`).";
    SCRAPE_FAILURES: Counter, "scrape_failures_total", ["reading"],
        "Readings from the database that failed or took too long. What they tell of is left out of that answer.";
}
