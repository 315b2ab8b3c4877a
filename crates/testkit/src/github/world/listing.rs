//! Listing runners: filter, pages, `Link`.

use chrono::{DateTime, Utc};
use http::header;
use serde_json::{Value, json};

use super::auth::Access;
use super::{Request, Runner, World};
use crate::github::reply::{Refusal, Reply};

const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

/// One page of a list: which, how long, of how many items.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    number: usize,
    size: usize,
    total: usize,
}

impl Page {
    /// What is no number counts as not given; `per_page` is capped without a word.
    pub(super) fn of(request: &Request, total: usize) -> Self {
        let number =
            |name: &str| request.parameter(name).and_then(|text| text.parse().ok()).filter(|&number| number > 0);
        Self {
            number: number("page").unwrap_or(1),
            size: number("per_page").unwrap_or(DEFAULT_PER_PAGE).min(MAX_PER_PAGE),
            total,
        }
    }

    pub(super) fn cut<T>(self, items: impl Iterator<Item = T>) -> Vec<T> {
        items.skip(self.number.saturating_sub(1).saturating_mul(self.size)).take(self.size).collect()
    }

    fn last(self) -> usize {
        self.total.div_ceil(self.size).max(1)
    }

    /// The `Link` header (RFC 8288), absolute, with the other parameters kept; none when all is on one page.
    fn link(self, url: &str, request: &Request) -> Option<String> {
        let target = |number: usize, relation: &str| {
            let kept = request.query.iter().filter(|(name, _)| name != "page");
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(kept).append_pair("page", &number.to_string());
            format!("<{url}{}?{}>; rel=\"{relation}\"", request.path, query.finish())
        };
        let mut links = Vec::new();
        if self.number > 1 {
            links.push(target(self.number.saturating_sub(1).min(self.last()), "prev"));
        }
        if self.number < self.last() {
            links.push(target(self.number.saturating_add(1), "next"));
            links.push(target(self.last(), "last"));
        }
        if self.number > 1 {
            links.push(target(1, "first"));
        }
        Some(links.join(", ")).filter(|links| !links.is_empty())
    }

    pub(super) fn reply(self, url: &str, request: &Request, body: Value) -> Reply {
        let reply = Reply::new(200, body);
        match self.link(url, request) {
            Some(link) => reply.with_header(header::LINK, link),
            None => reply,
        }
    }
}

impl World {
    pub(super) fn list_runners(&mut self, request: &Request, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let target = self.require_runners(request, Access::Read, now)?;
        let wanted = request.parameter("name");
        let listed = |runner: &&Runner| {
            runner.target == target
                && runner.hidden_until.is_none_or(|until| now >= until)
                && wanted.is_none_or(|name| runner.name == name)
        };
        let page = Page::of(request, self.runners.values().filter(listed).count());
        let runners: Vec<Runner> = page.cut(self.runners.values().filter(listed)).into_iter().cloned().collect();
        for runner in &runners {
            self.number_labels(runner);
        }
        let shown: Vec<Value> = runners.iter().map(|runner| self.runner(runner, now)).collect();
        Ok(page.reply(&self.url, request, json!({"total_count": page.total, "runners": shown})))
    }
}
