//! Listings, asked for on condition that something has changed, and within a budget.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use octocrab::Octocrab;

use super::wire::RunnersPage;
use super::{Github, GithubError, Kind, MAX_PAGES, PER_PAGE, RemoteRunner};
use crate::runner::Target;

/// One part in so many of each hour's calls is left to provisioning: below it, nothing is listed.
const RESERVE: u64 = 10;

/// What the newest answers said.
#[derive(Default)]
pub(super) struct Listings {
    /// By path and query. As many as there are pages, and each is replaced when it changes.
    pages: Mutex<HashMap<String, Known>>,
    budget: Mutex<Option<Budget>>,
}

#[derive(Clone)]
struct Known {
    etag: HeaderValue,
    page: Arc<RunnersPage>,
}

/// What is left of an hour's calls.
#[derive(Clone, Copy, Debug)]
struct Budget {
    limit: u64,
    remaining: u64,
    /// When it is whole again, in seconds since 1970.
    reset: u64,
}

/// An answer; no body if nothing has changed.
struct Fetched {
    headers: HeaderMap,
    body: Option<String>,
}

impl Github {
    /// Every runner of a target, or an error: a listing that is not whole is no listing. Refused when no more than the
    /// reserve is left of the hour's calls.
    pub async fn runners(&self, target: &Target) -> Result<Vec<RemoteRunner>, GithubError> {
        self.listings.spend(self.clock.unix_seconds())?;
        let mut runners = Vec::new();
        for page in 1..=MAX_PAGES {
            let found = self.page(target, page).await?;
            runners.extend(found.runners.iter().cloned());
            tracing::debug!(%target, page, runners = runners.len(), of = found.total_count, "listed a page of runners");
            // Runners that end while pages are turned move others to an earlier page, where nobody looks again.
            if runners.len() >= found.total_count {
                return Ok(runners);
            }
            if found.runners.len() < PER_PAGE {
                return Err(GithubError::incomplete());
            }
        }
        Err(GithubError::incomplete())
    }

    async fn page(&self, target: &Target, page: u32) -> Result<Arc<RunnersPage>, GithubError> {
        let path = format!("{}/runners?per_page={PER_PAGE}&page={page}", target.api_path());
        let known = self.listings.known(&path);
        let condition = known.as_ref().map(|known| [(IF_NONE_MATCH, known.etag.clone())].into_iter().collect());
        let answer = self.call_safely(|| fetch(&self.crab, &path, condition.clone())).await?;
        self.listings.note(&answer.headers);
        let Some(body) = answer.body else {
            return known.map(|known| known.page).ok_or_else(|| GithubError::lost("unchanged since nothing"));
        };
        let page: RunnersPage = serde_json::from_str(&body).map_err(|error| GithubError::lost(&error.to_string()))?;
        let page = Arc::new(page);
        if let Some(etag) = answer.headers.get(ETAG) {
            self.listings.keep(path, Known { etag: etag.clone(), page: Arc::clone(&page) });
        }
        Ok(page)
    }
}

async fn fetch(crab: &Octocrab, path: &str, condition: Option<HeaderMap>) -> octocrab::Result<Fetched> {
    let response = crab._get_with_headers(path, condition).await?;
    let headers = response.headers().clone();
    if response.status() == StatusCode::NOT_MODIFIED {
        return Ok(Fetched { headers, body: None });
    }
    let response = octocrab::map_github_error(response).await?;
    Ok(Fetched { headers, body: Some(crab.body_to_string(response).await?) })
}

impl Listings {
    fn known(&self, path: &str) -> Option<Known> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    fn keep(&self, path: String, known: Known) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(path, known);
    }

    fn note(&self, headers: &HeaderMap) {
        let number = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
        let budget = (|| {
            Some(Budget {
                limit: number("x-ratelimit-limit")?,
                remaining: number("x-ratelimit-remaining")?,
                reset: number("x-ratelimit-reset")?,
            })
        })();
        // An Enterprise Server without limits sends none of these.
        *self.budget.lock().unwrap_or_else(PoisonError::into_inner) = budget;
    }

    /// Whether there is more left than the reserve.
    fn spend(&self, now: u64) -> Result<(), GithubError> {
        let budget = *self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        match budget {
            Some(Budget { limit, remaining, reset })
                if now < reset && remaining <= limit.checked_div(RESERVE).unwrap_or_default() =>
            {
                let wait = Duration::from_secs(reset.saturating_sub(now));
                Err(GithubError { kind: Kind::RateLimited(Some(wait)), before_call: true })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_left_alone_until_the_reset() {
        let listings = Listings::default();
        assert!(listings.spend(0).is_ok(), "nothing is known yet");
        let answer = |remaining: &str| {
            [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", "100")]
                .into_iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>()
        };
        listings.note(&answer("501"));
        assert!(listings.spend(99).is_ok());
        listings.note(&answer("500"));
        assert_eq!(listings.spend(40).unwrap_err().kind, Kind::RateLimited(Some(Duration::from_mins(1))));
        assert!(listings.spend(100).is_ok());
        listings.note(&HeaderMap::new());
        assert!(listings.spend(0).is_ok());
    }
}
