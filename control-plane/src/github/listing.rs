//! Listings, whole or not at all, and asked for on condition that something has changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderValue, Method};

use super::client::{Call, Client};
use super::wire::RunnersPage;
use super::{Github, GithubError, Priority, RemoteRunner};
use crate::metrics::Operation;
use crate::runner::Target;

/// The most that GitHub gives at once.
const PER_PAGE: usize = 100;
/// GitHub's own limit is 10,000 runners a group; more pages than this mean that paging does not end.
const MAX_PAGES: u32 = 1000;

/// What the newest answers said, by path and query. As many as there are pages, and each is replaced when it changes.
#[derive(Default)]
pub(super) struct Pages(Mutex<HashMap<String, Known>>);

#[derive(Clone)]
struct Known {
    etag: HeaderValue,
    page: Arc<RunnersPage>,
}

impl Github {
    /// Every runner of a target, or an error: a listing that is not whole is no listing. This is background work.
    pub async fn runners(&self, target: &Target) -> Result<Vec<RemoteRunner>, GithubError> {
        let client = self.client(target)?;
        // By id: while pages are turned, a runner may move on to the next one and come twice.
        let mut runners = BTreeMap::new();
        for page in 1..=MAX_PAGES {
            // Absolute links to other pages would lose the credentials anywhere but at api.github.com.
            let path = format!("{}/runners?per_page={PER_PAGE}&page={page}", target.api_path());
            let found = client.page(path).await?;
            if found.runners.len() > PER_PAGE {
                return Err(GithubError::lost("a page has more runners than were asked for"));
            }
            runners.extend(found.runners.iter().map(|runner| (runner.id, runner.clone())));
            tracing::debug!(%target, page, runners = runners.len(), of = found.total_count, "listed a page of runners");
            // Runners that end while pages are turned move others to an earlier page, where nobody looks again.
            if runners.len() >= found.total_count {
                return Ok(runners.into_values().collect());
            }
            if found.runners.len() < PER_PAGE {
                return Err(GithubError::incomplete());
            }
        }
        Err(GithubError::incomplete())
    }
}

impl Client {
    async fn page(&self, path: String) -> Result<Arc<RunnersPage>, GithubError> {
        let known = self.pages.known(&path);
        let etag = known.as_ref().map(|known| known.etag.clone());
        let call = Call { known: etag, ..Call::new(Operation::ListRunners, Method::GET, path, Priority::Background) };
        let answer = self.call(&call).await?;
        if answer.text.is_none() {
            return known.map(|known| known.page).ok_or_else(|| GithubError::lost("unchanged since nothing"));
        }
        let page: Arc<RunnersPage> = Arc::new(answer.parse()?);
        if let Some(etag) = answer.etag {
            self.pages.keep(call.path, Known { etag, page: Arc::clone(&page) });
        }
        Ok(page)
    }
}

impl Pages {
    fn known(&self, path: &str) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    fn keep(&self, path: String, known: Known) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path, known);
    }
}
