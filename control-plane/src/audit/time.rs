//! Times as the log writes them: RFC 3339 in UTC with six digits of a second, always.

use chrono::{DateTime, Utc};
use serde::{Deserialize as _, Deserializer, Serializer, de};

/// Six digits are what PostgreSQL keeps.
const FORM: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// `2026-01-31T12:00:00.000000Z`
pub(crate) fn text(time: DateTime<Utc>) -> String {
    time.format(FORM).to_string()
}

/// Of the same form, or another one of RFC 3339.
pub(crate) fn parse(text: &str) -> Result<DateTime<Utc>, chrono::ParseError> {
    DateTime::parse_from_rfc3339(text).map(|time| time.to_utc())
}

/// For Serde.
pub(crate) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.format(FORM))
}

/// For Serde.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}
