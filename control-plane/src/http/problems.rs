//! Which problems each operation may answer with: for the description of the API, and held to what the stories meet.

/// Of every operation.
const OF_ALL: &[&str] = &["timeout", "internal"];
/// Of what counts against the limit on requests at a time, and needs the records.
const OF_WORK: &[&str] = &["overloaded", "database-unavailable"];
/// Of what needs a caller.
const OF_CALLERS: &[&str] = &["invalid-request", "unauthenticated", "principal-revoked", "rate-limited"];
/// Of what is for administrators.
const OF_ADMINS: &[&str] = &["denied-by-policy"];
/// Of what asks GitHub.
const OF_GITHUB: &[&str] = &[
    "github-credentials",
    "github-moved",
    "github-not-found",
    "github-permission",
    "github-refused",
    "github-suspended",
    "github-target",
    "github-rate-limited",
    "github-unavailable",
];
/// Of what reads a body.
const OF_BODIES: &[&str] = &["body-too-large", "unsupported-media-type"];
const OF_PROVISION: &[&str] = &[
    "denied-by-policy",
    "limit-reached",
    "provision-in-progress",
    "runner-already-registered",
    "runner-deleted",
    "runner-name-taken",
    "idempotency-key-reused",
    "runner-group-unknown",
    "provision-outcome-unknown",
];

/// The types of problems of an operation, by its path and the name of its handler.
pub(super) fn problems_of(path: &str, operation: &str) -> Vec<&'static str> {
    let groups: &[&[&str]] = match operation {
        "provision" => &[OF_CALLERS, OF_WORK, OF_GITHUB, OF_BODIES, OF_PROVISION],
        "read" => &[OF_CALLERS, OF_WORK, &["runner-not-found"]],
        "refresh" => &[OF_CALLERS, OF_WORK, OF_GITHUB, &["runner-not-found"]],
        "deprovision" => {
            &[OF_CALLERS, OF_WORK, OF_GITHUB, &["runner-not-found", "runner-busy", "provision-in-progress"]]
        }
        "receive" => &[OF_WORK, &["invalid-request", "webhook-signature", "not-found", "body-too-large"]],
        "ready" => &[&["not-ready"]],
        "sync" => &[OF_CALLERS, OF_WORK, OF_ADMINS, OF_GITHUB, &["upkeep-in-progress"]],
        "cleanup" => &[OF_CALLERS, OF_WORK, OF_ADMINS, OF_BODIES, &["upkeep-in-progress"]],
        "explain" => &[OF_CALLERS, OF_WORK, OF_ADMINS, OF_BODIES, OF_GITHUB, &["runner-group-unknown"]],
        "revoke" => &[OF_CALLERS, OF_WORK, OF_ADMINS, OF_BODIES],
        "restore" => &[OF_CALLERS, OF_WORK, OF_ADMINS, OF_BODIES, &["not-revoked"]],
        _ if path.starts_with("/api/v1/admin/") => &[OF_CALLERS, OF_WORK, OF_ADMINS],
        _ if path == "/api/v1/me" || path.starts_with("/api/v1/runners") => &[OF_CALLERS, OF_WORK],
        _ => &[],
    };
    groups.iter().copied().flatten().chain(OF_ALL).copied().collect()
}
