//! Errors as callers see them (RFC 9457). The true cause goes to the log, once; callers get a stable `type`, a text
//! that they can act on, and the id with which the cause can be found.

use std::time::Duration;

use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::catalogue::{ProblemType, named};
use crate::causes::causes;
use crate::github::{GithubError, Kind};
use crate::operations::OperationError;

/// What a caller is told.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    kind: ProblemType,
    detail: String,
    retry_after: Option<Duration>,
}

/// Why a request was not served: the one boundary between what happened and what callers are told.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No assertion, or none that holds.
    #[error("no valid identity assertion")]
    Unauthenticated,
    /// The body is not JSON, by its header.
    #[error("the body is not declared as JSON")]
    MediaType,
    /// The body is larger than any request needs.
    #[error("the body is too large")]
    BodyTooLarge,
    /// There is no such path, or it is turned off.
    #[error("no such path")]
    NotFound,
    /// The principal asked for more than its share.
    #[error("too many requests of one principal")]
    RateLimited(Duration),
    /// Too much is under way.
    #[error("too many requests at a time")]
    Overloaded,
    /// It can't serve now.
    #[error("not ready: database {database}, {keys} identity key(s)")]
    NotReady {
        /// How the database is.
        database: &'static str,
        /// How many keys there are to verify callers with.
        keys: usize,
    },
    /// A webhook without a signature that holds.
    #[error("no valid signature of a webhook")]
    WebhookSignature,
    /// The operation did not happen.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self::Operation(error.into())
    }
}

impl ApiError {
    fn problem(&self) -> Problem {
        match self {
            Self::Unauthenticated => Problem::new("unauthenticated")
                .detail("The request carries no valid identity assertion. Call through the edge, with a bearer token."),
            Self::MediaType => Problem::new("unsupported-media-type")
                .detail("Send the body as JSON, not compressed, with the header `content-type: application/json`."),
            Self::BodyTooLarge => Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE),
            Self::NotFound => Problem::of_status(StatusCode::NOT_FOUND),
            Self::RateLimited(wait) => {
                let problem = Problem::new("rate-limited").detail("You ask too often. Wait as the header says.");
                Problem { retry_after: Some(wait.saturating_add(Duration::from_millis(999))), ..problem }
            }
            Self::Overloaded => Problem::new("overloaded")
                .detail("Too many requests are under way. Nothing was done; repeat in a moment.")
                .retry_after(1),
            Self::NotReady { database, keys } => Problem::new("not-ready")
                .detail(&format!("The database: {database}. Keys to verify callers with: {keys}."))
                .retry_after(5),
            Self::WebhookSignature => Problem::new("webhook-signature")
                .detail("Sign the raw body with the configured secret: X-Hub-Signature-256: sha256=HMAC in hex."),
            Self::Operation(error) => of_operation(error),
        }
    }
}

fn of_operation(error: &OperationError) -> Problem {
    match error {
        OperationError::Github(error) => of_github(error),
        OperationError::Database(error) => of_database(error),
        OperationError::TurnLost(_) => database_unavailable(),
        OperationError::TurnTaken => Problem::new("upkeep-in-progress")
            .detail("The records are being compared with GitHub right now. Repeat in a moment.")
            .retry_after(5),
        OperationError::Transition(_) | OperationError::Target(_) | OperationError::Internal(_) => {
            Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR)
        }
        OperationError::Invalid(detail) => Problem::new("invalid-request").detail(detail),
        OperationError::Denied { told, .. } => Problem::new("denied-by-policy").detail(&told.join("; ")),
        OperationError::Revoked(_) => Problem::new("principal-revoked")
            .detail("An administrator has revoked you. Nothing is done for you until they restore you."),
        OperationError::NotRevoked(_) => {
            Problem::new("not-revoked").detail("There is no such revocation. GET /api/v1/admin/principals lists them.")
        }
        OperationError::LimitReached(reasons) => {
            let remedy = "Delete runners that are not needed any more, or repeat later.";
            Problem::new("limit-reached").detail(&format!("{}. {remedy}", reasons.join("; "))).retry_after(30)
        }
        OperationError::NameTaken(name) => Problem::new("runner-name-taken").detail(&format!(
            "A runner named {name:?} exists (names are compared without regard to case). Choose another name, or \
             delete that runner first."
        )),
        OperationError::RunnerNotFound => {
            Problem::new("runner-not-found").detail("You have no runner of this name or id.")
        }
        OperationError::Busy => Problem::new("runner-busy")
            .detail("The runner is running a job. Repeat when the job has ended.")
            .retry_after(30),
        OperationError::UnderWay => Problem::new("provision-in-progress")
            .detail("Another request is provisioning this runner, or was interrupted just now. Repeat in a moment.")
            .retry_after(5),
        OperationError::AlreadyRegistered => Problem::new("runner-already-registered")
            .detail("A machine has registered with this runner. Use a new idempotency key for another runner."),
        OperationError::RunnerDeleted => Problem::new("runner-deleted")
            .detail("The runner has been deleted meanwhile. Use a new idempotency key for another runner."),
        OperationError::KeyReused => Problem::new("idempotency-key-reused")
            .detail("This idempotency key came with a different request before. Use a new key for a new request."),
        OperationError::OutcomeUnknown(_) => Problem::new("provision-outcome-unknown").retry_after(5).detail(
            "GitHub did not answer, so it is unknown whether the runner was registered; nothing was handed out. \
                 Repeat with the same Idempotency-Key, or with another name; what is left over is cleaned up.",
        ),
    }
}

fn of_github(error: &GithubError) -> Problem {
    let operator = |what: &str| match error.remedy() {
        Some(remedy) => format!("{what} For the operator of this service: {remedy}."),
        None => what.to_owned(),
    };
    match &error.kind {
        Kind::NotFound if error.before_call => {
            Problem::new("github-credentials").detail(&operator("GitHub does not know the App's installation."))
        }
        Kind::Credentials(_) => {
            Problem::new("github-credentials").detail(&operator("GitHub refused this service's credentials."))
        }
        Kind::EnterpriseToken(_) => {
            Problem::new("github-credentials").detail(&operator("GitHub refused this service's token for enterprises."))
        }
        Kind::NoCredentials(target) => Problem::new("github-target")
            .detail(&operator(&format!("This service has no access to {target} on GitHub."))),
        Kind::Group(id) => Problem::new("runner-group-unknown").detail(&format!(
            "GitHub has no runner group {id} there that takes runners, or hides it from this service. Give another \
             `runner_group_id`, or leave it out for the default one."
        )),
        Kind::Suspended => Problem::new("github-suspended")
            .detail(&operator("The installation of this service's GitHub App is suspended.")),
        Kind::Permission(_) => {
            Problem::new("github-permission").detail(&operator("GitHub does not let this service's App do this."))
        }
        Kind::NotFound => Problem::new("github-not-found")
            .detail("GitHub has no such organisation, repository or enterprise, or hides it from this service."),
        Kind::Moved(_) => {
            Problem::new("github-moved").detail(&operator("GitHub has what was asked for in another place now."))
        }
        Kind::Busy => of_operation(&OperationError::Busy),
        Kind::NameConflict => {
            Problem::new("runner-name-taken").detail("GitHub has a runner of this name. Choose another name.")
        }
        Kind::Invalid(..) => {
            Problem::new("github-refused").detail("GitHub refused the request. The service's log says why.")
        }
        Kind::RateLimited(wait) => {
            let problem = Problem::new("github-rate-limited")
                .detail("GitHub takes no more calls from this service for now. Repeat later.");
            Problem { retry_after: Some(wait.unwrap_or(Duration::from_mins(1))), ..problem }
        }
        Kind::Outage(..) | Kind::TimedOut | Kind::Unreachable(_) | Kind::AnswerLost(_) => {
            Problem::new("github-unavailable").detail("GitHub does not answer. Repeat later.").retry_after(10)
        }
    }
}

/// A database that can't be reached, or whose answers are none of PostgreSQL's, will be back; one that refuses a statement is
/// a fault of ours.
fn of_database(error: &sqlx::Error) -> Problem {
    // Classes of PostgreSQL: 08 connection, 53 resources, 57 operator intervention (shutting down, starting up).
    let passing = |code: &str| ["08", "53", "57"].iter().any(|class| code.starts_with(class));
    let unavailable = match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| passing(&code)),
        _ => false,
    };
    if !unavailable {
        return Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    database_unavailable()
}

fn database_unavailable() -> Problem {
    Problem::new("database-unavailable")
        .detail("The service can't record what it does right now, so it does nothing. Repeat in a moment.")
        .retry_after(5)
}

impl Problem {
    fn new(slug: &str) -> Self {
        let kind = named(slug);
        let status = StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, kind, detail: String::new(), retry_after: None }
    }

    fn detail(self, detail: &str) -> Self {
        Self { detail: detail.to_owned(), ..self }
    }

    fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(Duration::from_secs(seconds)), ..self }
    }

    /// For an error that carries nothing but its status: of the router, a limit or a panic.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            404 => Self::new("not-found").detail("There is no such path."),
            405 => Self::new("method-not-allowed").detail("See the header `allow`."),
            413 => Self::new("body-too-large").detail("No request needs more than 32 KiB."),
            503 => Self::new("timeout")
                .detail("The request took too long. It may still complete; look before you repeat it.")
                .retry_after(5),
            400..=499 => {
                let problem = Self::new("invalid-request").detail("The request could not be understood.");
                Self { status, ..problem }
            }
            _ => Self::new("internal")
                .detail("Something went wrong inside the service. Its log has the cause under this request id."),
        }
    }

    /// The last part of its `type`.
    pub(super) fn slug(&self) -> &'static str {
        self.kind.slug
    }

    /// What the header `retry-after` says of it.
    pub(super) fn wait(&self) -> Option<HeaderValue> {
        self.retry_after.map(|wait| HeaderValue::from(wait.as_secs()))
    }

    /// The document (RFC 9457 section 3).
    pub(super) fn body(&self, request_id: &str) -> Value {
        json!({
            "type": format!("/problems/{}", self.kind.slug),
            "title": self.kind.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "request_id": request_id,
        })
    }
}

impl IntoResponse for ApiError {
    /// The frame around each request writes the body, for it knows the request's id, and `retry-after`.
    fn into_response(self) -> Response {
        let problem = self.problem();
        let cause = causes(&self);
        if problem.status.is_server_error() {
            tracing::error!(problem = problem.kind.slug, cause, "request failed");
        } else {
            tracing::info!(problem = problem.kind.slug, cause, "request refused");
        }
        let mut response = problem.status.into_response();
        if matches!(self, Self::Unauthenticated) {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(problem);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_told_from_a_fault_of_ours() {
        let noise = sqlx::Error::Protocol("unknown message type: 0xff".to_owned());
        assert_eq!(of_database(&noise).slug(), "database-unavailable");
        assert_eq!(of_database(&sqlx::Error::PoolTimedOut).slug(), "database-unavailable");
        assert_eq!(of_database(&sqlx::Error::RowNotFound).slug(), "internal");
    }
}
