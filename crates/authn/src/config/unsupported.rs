//! Fields of jwt_authn's configuration that the filter knows and refuses, with the reason and the way out.

/// A field that is refused.
#[derive(Debug)]
pub struct Unsupported {
    /// The message of jwt_authn's API that has it.
    pub message: &'static str,
    /// Its name there.
    pub field: &'static str,
    /// Why, and what to do.
    pub reason: &'static str,
}

const METADATA: &str =
    "a wasm filter can't write dynamic metadata; use claim_to_headers, forward_payload_header or the identity block";
const PATHS_ONLY: &str = "rules match paths alone; give this route a path of its own or a listener of its own";
const FETCHED_WITHOUT: &str = "the fetch is retried on every failure; only the count and the pauses can be set";

/// Every field that is refused. docs/filter.md lists the same, and a test compares the two.
pub const UNSUPPORTED: [Unsupported; 23] = [
    unsupported("JwtAuthentication", "filter_state_rules", "a wasm filter can't read other filters' state; use rules"),
    unsupported("JwtProvider", "payload_in_metadata", METADATA),
    unsupported("JwtProvider", "normalize_payload_in_metadata", METADATA),
    unsupported("JwtProvider", "header_in_metadata", METADATA),
    unsupported("JwtProvider", "failed_status_in_metadata", METADATA),
    unsupported("JwtRequirement", "extract_only_without_validation", "a token that was not verified is never used"),
    unsupported("RouteMatch", "headers", PATHS_ONLY),
    unsupported("RouteMatch", "query_parameters", PATHS_ONLY),
    unsupported("RouteMatch", "cookies", PATHS_ONLY),
    unsupported("RouteMatch", "grpc", PATHS_ONLY),
    unsupported("RouteMatch", "tls_context", PATHS_ONLY),
    unsupported("RouteMatch", "runtime_fraction", "a rule holds always or not at all"),
    unsupported("RouteMatch", "dynamic_metadata", PATHS_ONLY),
    unsupported("RouteMatch", "filter_state", PATHS_ONLY),
    unsupported("RouteMatch", "connect_matcher", PATHS_ONLY),
    unsupported("RouteMatch", "path_match_policy", "use prefix, path, path_separated_prefix or safe_regex"),
    unsupported("StringMatcher", "custom", "use exact, prefix, suffix, contains or safe_regex"),
    unsupported("DataSource", "filename", "a wasm filter can't read files; use inline_string or environment_variable"),
    unsupported("DataSource", "watched_directory", "a wasm filter can't read files; use inline_string"),
    unsupported("RetryPolicy", "retry_on", FETCHED_WITHOUT),
    unsupported("RetryPolicy", "retry_priority", FETCHED_WITHOUT),
    unsupported("RetryPolicy", "retry_host_predicate", FETCHED_WITHOUT),
    unsupported("RetryPolicy", "host_selection_retry_max_attempts", FETCHED_WITHOUT),
];

const fn unsupported(message: &'static str, field: &'static str, reason: &'static str) -> Unsupported {
    Unsupported { message, field, reason }
}

/// The problem with the field at this path, in better words than the parser's when the field is a known one.
pub(super) fn explain(path: &str, problem: &str) -> String {
    let field = snake_case(path.rsplit('.').next().unwrap_or_default());
    let known = UNSUPPORTED.iter().find(|one| one.field == field && problem.starts_with("unknown field"));
    known.map_or_else(|| problem.to_owned(), |one| format!("not supported: {}", one.reason))
}

pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
