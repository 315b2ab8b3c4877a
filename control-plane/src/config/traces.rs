//! Where spans go, if anywhere. The names are OpenTelemetry's own.

use std::collections::HashMap;

use axum::http::{HeaderName, HeaderValue, Uri};

use super::reader::Reader;

/// Where each signal has its place, below the collector's address.
const PATH: &str = "/v1/traces";

/// The collector of traces.
pub struct TracesConfig {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, down to the place for traces.
    pub url: String,
    /// `OTEL_EXPORTER_OTLP_HEADERS`; they may hold a credential.
    pub headers: HashMap<String, String>,
    /// `OTEL_SERVICE_NAME`, runner-tokens unless set.
    pub service_name: String,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<TracesConfig> {
    let endpoint = reader.get("OTEL_EXPORTER_OTLP_ENDPOINT");
    let headers = read_headers(reader);
    let service_name = reader.or_preset("OTEL_SERVICE_NAME");
    let endpoint = endpoint?;
    let is_url = endpoint.parse::<Uri>().is_ok_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
            && url.query().is_none()
    });
    if !is_url {
        // Not shown: it may hold a password.
        let remedy = "set it to the collector's address for OTLP by HTTP, such as http://localhost:4318";
        reader.problem("OTEL_EXPORTER_OTLP_ENDPOINT", "is no URL that begins with http:// or https://", remedy);
        return None;
    }
    let url = format!("{}{PATH}", endpoint.trim_end_matches('/'));
    Some(TracesConfig { url, headers, service_name: service_name? })
}

fn read_headers(reader: &mut Reader<'_>) -> HashMap<String, String> {
    let text = reader.get("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let headers: Option<HashMap<String, String>> = parts.into_iter().map(header).collect();
    headers.unwrap_or_else(|| {
        let remedy = "set it to NAME=VALUE, several with commas between, with % before the hex of what is special";
        reader.problem("OTEL_EXPORTER_OTLP_HEADERS", "is no list of headers", remedy);
        HashMap::new()
    })
}

fn header(part: &str) -> Option<(String, String)> {
    let (name, value) = part.split_once('=')?;
    // To a form, these mean something else.
    let escaped = value.trim().replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let value: String = form_urlencoded::parse(escaped.as_bytes()).map(|(value, _)| value.into_owned()).collect();
    let name: HeaderName = name.trim().parse().ok()?;
    HeaderValue::from_str(&value).ok().map(|_| (name.to_string(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place for traces and the headers, or the variables that are wrong.
    type Read = Result<Option<(String, Vec<(String, String)>)>, Vec<&'static str>>;

    fn read(endpoint: &str, headers: &str) -> Read {
        let environment = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.to_owned()),
            "OTEL_EXPORTER_OTLP_HEADERS" => Some(headers.to_owned()),
            _ => None,
        };
        let mut reader = Reader::new(&environment);
        let traces = super::read(&mut reader);
        let read = traces.map(|traces| {
            let mut headers: Vec<_> = traces.headers.into_iter().collect();
            headers.sort();
            (traces.url, headers)
        });
        reader.finish(Some(read)).map_err(|error| {
            assert!(!error.to_string().contains("hunter2"), "{error}");
            error.problems.into_iter().map(|problem| problem.variable).collect()
        })
    }

    #[test]
    fn the_place_for_traces_follows_from_the_address_and_headers_are_decoded() {
        assert_eq!(read("", "").unwrap(), None);
        let (url, headers) =
            read("http://collector:4318/", "Authorization=Basic%20a+b==, x-team=a&b").unwrap().unwrap();
        assert_eq!(url, "http://collector:4318/v1/traces");
        let expected = [("authorization", "Basic a+b=="), ("x-team", "a&b")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_no_address_or_no_header_is_named_and_not_shown() {
        for bad in ["collector:4318", "grpc://c:4317", "http://", "http://user:hunter2@", "/hunter2"] {
            assert_eq!(read(bad, "").unwrap_err(), ["OTEL_EXPORTER_OTLP_ENDPOINT"], "{bad}");
        }
        for bad in ["hunter2", "a b=hunter2", "a=hunter2%0a", "=hunter2"] {
            assert_eq!(read("http://c:4318", bad).unwrap_err(), ["OTEL_EXPORTER_OTLP_HEADERS"], "{bad}");
        }
    }
}
