//! GitHub: the App's key, each installation, each permission, the runner group, the clock, what may still be asked.

use chrono::{DateTime, Utc};

use super::{Finding, web};
use crate::clock::Clock;
use crate::config::GithubConfig;
use crate::github::{BudgetState, Github, GithubError, Kind, Priority};
use crate::runner::Target;

/// GitHub takes an App's signature that is off by a minute at most.
const MOST_SKEW: i64 = 30;
/// No runner has this id: a refusal to delete it tells the permission, and nothing else happens.
const NO_RUNNER: i64 = 0;

/// Looks at GitHub with everything that is configured.
pub async fn check_github(config: &GithubConfig, clock: &Clock) -> Vec<Finding> {
    let mut findings = vec![skew(config, clock.now()).await];
    let github = match Github::new(config, clock) {
        Ok(github) => github,
        Err(error) => {
            findings.push(Finding::error("github", error.to_string(), "check GITHUB_API_URL"));
            return findings;
        }
    };
    for account in config.installations.keys() {
        let target = Target::Organisation(account.clone());
        findings.extend(installation(&github, &target, target == config.default_target).await);
    }
    if findings.iter().any(|finding| finding.check == "permissions" && finding.fix.is_none()) {
        findings.push(group(&github, config).await);
    }
    findings.extend(github.budgets().iter().filter_map(|each| budget(each, clock.now())));
    findings
}

async fn skew(config: &GithubConfig, now: DateTime<Utc>) -> Finding {
    let date = match web::get(&config.api_url).await {
        Ok(page) => page.date(),
        Err(error) => {
            let fix = "check GITHUB_API_URL, the name service, proxies, and that the network lets this machine out";
            return Finding::error("github", format!("{} can't be reached: {error}", config.api_url), fix);
        }
    };
    match date.map(|date| now.signed_duration_since(date).num_seconds()) {
        Some(seconds) if seconds.abs() > MOST_SKEW => {
            let what = format!("this machine's clock is {} s {} GitHub's", seconds.abs(), side(seconds));
            Finding::error("clock", what, "synchronise it (NTP): GitHub refuses an App whose clock is wrong")
        }
        Some(_) => Finding::ok("clock", "agrees with GitHub's"),
        None => Finding::skipped("clock", "GitHub's answer has no date", "compare this machine's clock by hand"),
    }
}

fn side(seconds: i64) -> &'static str {
    if seconds > 0 { "ahead of" } else { "behind" }
}

async fn installation(github: &Github, target: &Target, is_default: bool) -> Vec<Finding> {
    let name = target.to_string();
    if let Err(error) = github.runner_named(target, "runner-tokens-doctor", Priority::Request).await {
        return vec![refusal(&name, &error, is_default)];
    }
    let signed_in = Finding::ok("github-app", format!("GitHub knows the App, and its installation in {name}"));
    let permission = match github.delete_runner(target, NO_RUNNER, Priority::Request).await {
        Ok(_) => Finding::ok("permissions", format!("runners of {name} can be read and written")),
        Err(error) => refusal(&name, &error, is_default),
    };
    vec![signed_in, permission]
}

/// What a refusal means, and what to do about it.
fn refusal(target: &str, error: &GithubError, is_default: bool) -> Finding {
    let id = if is_default { "GITHUB_APP_INSTALLATION_ID" } else { "GITHUB_INSTALLATIONS" };
    let (check, fix) = match &error.kind {
        Kind::Credentials(_) => (
            "github-app",
            "take GITHUB_APP_ID from the App's settings page, make a new private key there, and set \
             GITHUB_APP_PRIVATE_KEY_PATH to its file; if both are right, see the clock"
                .to_owned(),
        ),
        Kind::Suspended => {
            ("github-app", format!("let an owner of {target} lift the suspension of the App's installation"))
        }
        Kind::NotFound if error.before_call => (
            "github-app",
            format!("set {id} to the number at the end of the URL of the installation's page; the App has no such one"),
        ),
        Kind::NotFound => {
            ("github-app", format!("see that the installation of {id} is that of {target}, and the name is right"))
        }
        Kind::Permission(_) => (
            "permissions",
            format!(
                "give the App the organisation permission \"Self-hosted runners: read and write\" and let an owner of \
                 {target} approve it"
            ),
        ),
        Kind::RateLimited(_) => ("rate-budget", "wait; see what else uses the App's installation".to_owned()),
        _ => ("github", "check GITHUB_API_URL and https://www.githubstatus.com, then try again".to_owned()),
    };
    Finding::error(check, format!("{target}: {error}"), fix)
}

async fn group(github: &Github, config: &GithubConfig) -> Finding {
    let id = config.default_group_id;
    match github.group_name(&config.default_target, id).await {
        Ok(name) => Finding::ok("runner-group", format!("{id} is {name:?}")),
        Err(GithubError { kind: Kind::Group(_), .. }) => Finding::error(
            "runner-group",
            format!("{} has no runner group {id}", config.default_target),
            "set DEFAULT_RUNNER_GROUP_ID to the number in the URL of the group's page; 1 is GitHub's group Default",
        ),
        Err(error) => refusal(&config.default_target.to_string(), &error, true),
    }
}

/// What is left of the hour's calls, if that is known.
pub fn budget(state: &BudgetState, now: DateTime<Utc>) -> Option<Finding> {
    let hour = state.hour_at(now)?;
    let what =
        format!("{}: {} of {} calls are left until {}", state.account, hour.remaining, hour.limit, hour.resets_at);
    let is_low = hour.remaining.saturating_mul(10) < hour.limit;
    let fix = "raise RECONCILE_INTERVAL_SECONDS, set up the webhook, and see what else uses the installation";
    Some(if is_low { Finding::warning("rate-budget", what, fix) } else { Finding::ok("rate-budget", what) })
}
