//! Every type of problem there is. `docs/errors.md` describes each; a test holds the two together.

/// A type of problem: the last part of its `type`, its status and its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// The last part of `type`.
    pub slug: &'static str,
    /// The status that it comes with.
    pub status: u16,
    /// For people; the same for every problem of the type.
    pub title: &'static str,
}

const fn of(slug: &'static str, status: u16, title: &'static str) -> ProblemType {
    ProblemType { slug, status, title }
}

/// What stands for a type that is not listed: a mistake of ours.
pub(super) const INTERNAL: ProblemType = of("internal", 500, "Internal error");

/// Every type, in the order of the statuses.
pub const PROBLEM_TYPES: &[ProblemType] = &[
    of("invalid-request", 400, "Invalid request"),
    of("unauthenticated", 401, "Not authenticated"),
    of("webhook-signature", 401, "Webhook signature refused"),
    of("denied-by-policy", 403, "Denied by policy"),
    of("principal-revoked", 403, "Principal revoked"),
    of("not-found", 404, "Not found"),
    of("not-revoked", 404, "Not revoked"),
    of("runner-not-found", 404, "Runner not found"),
    of("method-not-allowed", 405, "Method not allowed"),
    of("provision-in-progress", 409, "Provision in progress"),
    of("runner-already-registered", 409, "Runner already registered"),
    of("runner-busy", 409, "Runner busy"),
    of("runner-deleted", 409, "Runner deleted"),
    of("runner-name-taken", 409, "Runner name taken"),
    of("upkeep-in-progress", 409, "Upkeep in progress"),
    of("body-too-large", 413, "Body too large"),
    of("unsupported-media-type", 415, "Unsupported media type"),
    of("idempotency-key-reused", 422, "Idempotency key reused"),
    of("runner-group-unknown", 422, "Runner group unknown"),
    of("limit-reached", 429, "Limit of the policy reached"),
    of("rate-limited", 429, "Too many requests"),
    INTERNAL,
    of("github-credentials", 502, "GitHub refused the App"),
    of("github-moved", 502, "Moved on GitHub"),
    of("github-not-found", 502, "Not found on GitHub"),
    of("github-permission", 502, "GitHub permission missing"),
    of("github-refused", 502, "Refused by GitHub"),
    of("github-suspended", 502, "GitHub App suspended"),
    of("github-target", 502, "No access to the target"),
    of("database-unavailable", 503, "Records unavailable"),
    of("github-rate-limited", 503, "GitHub rate limit reached"),
    of("github-unavailable", 503, "GitHub unavailable"),
    of("not-ready", 503, "Not ready"),
    of("overloaded", 503, "Too much at a time"),
    of("timeout", 503, "Time-out"),
    of("provision-outcome-unknown", 504, "Provision outcome unknown"),
];

/// The type with this name.
pub(super) fn named(slug: &str) -> ProblemType {
    PROBLEM_TYPES.iter().copied().find(|each| each.slug == slug).unwrap_or(INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_type_that_the_code_makes_is_listed_and_every_listed_one_is_made() {
        let source = include_str!("problem.rs");
        let made: BTreeSet<&str> = source
            .split("::new(\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|slug| !slug.contains(' '))
            .collect();
        let listed: BTreeSet<&str> = PROBLEM_TYPES.iter().map(|each| each.slug).collect();
        assert_eq!(made, listed);
    }

    #[test]
    fn the_page_on_errors_names_each_type_with_status_and_title() {
        let page = include_str!("../../../docs/errors.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `/problems/")).collect();
        for (row, each) in rows.iter().zip(PROBLEM_TYPES) {
            let start = format!("| `/problems/{}` | {} | {} |", each.slug, each.status, each.title);
            assert!(row.starts_with(&start), "{row} should start with {start}");
        }
        assert_eq!(rows.len(), PROBLEM_TYPES.len());
    }
}
