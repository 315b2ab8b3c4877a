//! Bodies: JSON, strictly.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::DeserializeOwned;

use super::ApiError;
use crate::operations::OperationError;

/// The value that a body states. An error names the member and says what is wrong with it.
pub(super) fn parse<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<T, ApiError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    // What is compressed is not read: a few bytes of it can be gigabytes.
    if !essence.eq_ignore_ascii_case("application/json") || headers.contains_key(CONTENT_ENCODING) {
        return Err(ApiError::MediaType);
    }
    let body = body.map_err(|_| ApiError::BodyTooLarge)?;
    let mut json = serde_json::Deserializer::from_slice(&body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let text = error.into_inner().to_string();
        invalid(if path == "." { text } else { format!("{path}: {text}") })
    })?;
    json.end().map_err(|error| invalid(error.to_string()))?;
    Ok(value)
}

pub(super) fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::Operation(OperationError::Invalid(detail.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ProvisionRequest;
    use axum::http::HeaderValue;

    fn error(body: &'static str) -> String {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
        let parsed: Result<ProvisionRequest, _> =
            parse(&headers.into_iter().collect(), Ok(Bytes::from_static(body.as_bytes())));
        parsed.unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_member() {
        assert!(error(r#"{"runner_name": "a", "label": []}"#).contains("unknown field `label`"));
        assert!(error(r#"{"runner_name": "a/b"}"#).contains("runner_name: it contains '/'"));
        assert!(error(r#"{"runner_name": "a", "labels": ["a,b"]}"#).contains("labels: label \"a,b\" contains ','"));
        assert!(error(r#"{"runner_name": "a", "runner_name": "b"}"#).contains("duplicate field"));
        assert!(error(r#"{"runner_name": "a"} x"#).contains("trailing characters"));
    }

    #[test]
    fn only_plain_json_is_read() {
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let compressed = (CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        for headers in [vec![], vec![json, compressed]] {
            let parsed: Result<ProvisionRequest, _> =
                parse(&headers.into_iter().collect(), Ok(Bytes::from_static(b"{}")));
            assert!(matches!(parsed, Err(ApiError::MediaType)));
        }
    }
}
