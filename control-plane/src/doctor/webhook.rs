//! The webhook: its secret here, and what the App's page says of it.

use secrecy::{ExposeSecret as _, SecretString};

use super::Finding;
use crate::github::{Github, GithubError, Hook, Kind};

const CHECK: &str = "webhook";
/// In characters; a shorter one can be guessed.
const SHORTEST: usize = 16;
const PATH: &str = "/webhooks/github";
const EVENT: &str = "workflow_job";

/// The secrets that deliveries are checked with.
pub(super) fn secrets(secrets: &[SecretString]) -> Finding {
    let fix = "set GITHUB_WEBHOOK_SECRET to a random text (`openssl rand -hex 32`), and the same on the App's page";
    if secrets.is_empty() {
        return Finding::warning(CHECK, "is off: ended runners are noticed at the next comparison only", fix);
    }
    if secrets.iter().any(|secret| secret.expose_secret().len() < SHORTEST) {
        return Finding::warning(CHECK, format!("a secret is shorter than {SHORTEST} characters"), fix);
    }
    Finding::ok(CHECK, format!("{} secret(s)", secrets.len()))
}

/// What GitHub has of the App's webhook. That its secret is the same as here, GitHub tells nobody.
pub async fn check_hook(github: &Github) -> Finding {
    match github.hook().await {
        Ok(Some(hook)) => judge(&hook),
        Ok(None) => {
            let fix = format!("set its URL on the App's page to that of the edge with {PATH} behind it");
            Finding::warning(CHECK, "the App has no webhook", fix)
        }
        Err(GithubError { kind: Kind::Credentials(_), .. }) => {
            Finding::skipped(CHECK, "the App's page can't be read", "see github-app")
        }
        Err(error) => Finding::skipped(CHECK, format!("the App's page can't be read: {error}"), "try again later"),
    }
}

fn judge(hook: &Hook) -> Finding {
    let on_page = "on the App's page, under Webhook";
    let found = if !hook.url.ends_with(PATH) {
        (
            format!("deliveries go to {}", hook.url),
            format!("set the URL {on_page}, to that of the edge with {PATH} behind it"),
        )
    } else if !hook.is_signed {
        (
            "deliveries are not signed, so each is refused".to_owned(),
            format!("set the secret {on_page}, to GITHUB_WEBHOOK_SECRET"),
        )
    } else if !hook.is_json {
        (
            "deliveries are forms, so none is understood".to_owned(),
            format!("set the content type {on_page}, to application/json"),
        )
    } else if !hook.checks_certificate {
        ("GitHub does not check the edge's certificate".to_owned(), format!("enable SSL verification {on_page}"))
    } else if !hook.events.iter().any(|event| event == EVENT) {
        (format!("{EVENT} is not delivered"), format!("subscribe the App to the event \"Workflow job\" {on_page}"))
    } else {
        return Finding::ok(CHECK, format!("the App's goes to {}, with {EVENT}", hook.url));
    };
    Finding::warning(CHECK, found.0, found.1)
}
