//! Which endpoint a path means.

use http::Method;

use super::faults::Endpoint;

/// A path taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    /// Organisation, `owner/repository`, or `enterprises/slug`, in lower case: logins and names ignore case.
    pub(crate) target: Option<String>,
    /// A runner's, group's or installation's id.
    pub(crate) id: Option<u64>,
    /// A label's name.
    pub(crate) label: Option<String>,
}

impl Route {
    fn new(endpoint: Endpoint, target: Option<String>, id: Option<u64>) -> Self {
        Self { endpoint, target, id, label: None }
    }

    /// The meaning of method and path, if there is one. GitHub Enterprise Server puts `/api/v3` in front.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        let path = path.strip_prefix("/api/v3").unwrap_or(path);
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let get = method == Method::GET;
        let found = match segments.as_slice() {
            ["app"] if get => Self::new(Endpoint::App, None, None),
            ["app", "hook", "config"] if get => Self::new(Endpoint::AppHook, None, None),
            ["app", "installations"] if get => Self::new(Endpoint::Installation, None, None),
            ["app", "installations", id] if get => Self::new(Endpoint::Installation, None, number(id)?),
            ["app", "installations", id, "access_tokens"] if method == Method::POST => {
                Self::new(Endpoint::AccessToken, None, number(id)?)
            }
            ["rate_limit"] if get => Self::new(Endpoint::RateLimit, None, None),
            ["meta"] if get => Self::new(Endpoint::Meta, None, None),
            ["orgs", org, "actions", "runner-groups", rest @ ..] if get => group(org.to_ascii_lowercase(), rest)?,
            ["enterprises", slug, "actions", "runner-groups", rest @ ..] if get => group(enterprise(slug), rest)?,
            ["enterprises", slug, rest @ ..] => Self::on_target(method, enterprise(slug), rest)?,
            ["orgs", org, rest @ ..] => Self::on_target(method, org.to_ascii_lowercase(), rest)?,
            ["repos", owner, repository, rest @ ..] => {
                let target = format!("{owner}/{repository}").to_ascii_lowercase();
                Self::on_target(method, target, rest)?
            }
            _ => return None,
        };
        Some(found)
    }

    fn on_target(method: &Method, target: String, rest: &[&str]) -> Option<Self> {
        let (endpoint, id) = match rest {
            [] if method == Method::GET => (Endpoint::Account, None),
            ["installation"] if method == Method::GET => (Endpoint::Installation, None),
            ["actions", "runners", rest @ ..] => return Self::on_runners(method, target, rest),
            _ => return None,
        };
        Some(Self::new(endpoint, Some(target), id))
    }

    fn on_runners(method: &Method, target: String, rest: &[&str]) -> Option<Self> {
        let (endpoint, id) = match (method.as_str(), rest) {
            ("GET", []) => (Endpoint::ListRunners, None),
            ("POST", ["registration-token"]) => (Endpoint::RegistrationToken, None),
            ("POST", ["remove-token"]) => (Endpoint::RemoveToken, None),
            ("POST", ["generate-jitconfig"]) => (Endpoint::JitConfig, None),
            ("GET", [id]) => (Endpoint::GetRunner, number(id)?),
            ("DELETE", [id]) => (Endpoint::DeleteRunner, number(id)?),
            ("GET" | "POST" | "PUT" | "DELETE", [id, "labels"]) => (Endpoint::RunnerLabels, number(id)?),
            ("DELETE", [id, "labels", label]) => {
                let route = Self::new(Endpoint::RunnerLabels, Some(target), number(id)?);
                return Some(Self { label: Some(percent_decoded(label)), ..route });
            }
            _ => return None,
        };
        Some(Self::new(endpoint, Some(target), id))
    }
}

/// No account is called `enterprises`, so this can't be one's repository.
fn enterprise(slug: &str) -> String {
    format!("enterprises/{slug}").to_ascii_lowercase()
}

fn group(target: String, rest: &[&str]) -> Option<Route> {
    let target = Some(target);
    match rest {
        [] => Some(Route::new(Endpoint::ListRunnerGroups, target, None)),
        [id] => Some(Route::new(Endpoint::GetRunnerGroup, target, number(id)?)),
        _ => None,
    }
}

#[expect(clippy::option_option, reason = "the inner one is the route's field, the outer one says that it is a number")]
fn number(text: &str) -> Option<Option<u64>> {
    text.parse().ok().map(Some)
}

/// A path's segment; unlike in a form, `+` is itself.
fn percent_decoded(segment: &str) -> String {
    let form = segment.replace('+', "%2B");
    form_urlencoded::parse(form.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(method: &Method, path: &str) -> Option<Endpoint> {
        Route::of(method, path).map(|route| route.endpoint)
    }

    #[test]
    fn paths_are_told_apart() {
        assert_eq!(endpoint(&Method::GET, "/orgs/acme/actions/runners"), Some(Endpoint::ListRunners));
        assert_eq!(endpoint(&Method::GET, "/repos/acme/app/actions/runners"), Some(Endpoint::ListRunners));
        assert_eq!(endpoint(&Method::DELETE, "/orgs/acme/actions/runners/7"), Some(Endpoint::DeleteRunner));
        assert_eq!(endpoint(&Method::DELETE, "/orgs/acme/actions/runners/seven"), None);
        assert_eq!(endpoint(&Method::POST, "/app/installations/1/access_tokens"), Some(Endpoint::AccessToken));
        assert_eq!(endpoint(&Method::GET, "/orgs/acme/actions/runner-groups/3"), Some(Endpoint::GetRunnerGroup));
        assert_eq!(endpoint(&Method::GET, "/enterprises/big/actions/runner-groups/3"), Some(Endpoint::GetRunnerGroup));
        assert_eq!(
            endpoint(&Method::POST, "/enterprises/big/actions/runners/remove-token"),
            Some(Endpoint::RemoveToken)
        );
        assert_eq!(endpoint(&Method::PATCH, "/orgs/acme"), None);
    }

    #[test]
    fn targets_ignore_case_and_the_enterprise_prefix() {
        let route = Route::of(&Method::GET, "/api/v3/repos/Acme/App/actions/runners/7").unwrap();
        assert_eq!((route.target.as_deref(), route.id), (Some("acme/app"), Some(7)));
    }

    #[test]
    fn a_label_is_decoded() {
        let route = Route::of(&Method::DELETE, "/orgs/acme/actions/runners/7/labels/a%20b+c").unwrap();
        assert_eq!(route.label.as_deref(), Some("a b+c"));
    }
}
