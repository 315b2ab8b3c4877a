//! Durations in proto3 JSON form: decimal seconds with the suffix `s`, such as `"5s"` or `"0.25s"`.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, de::Error};

/// For `#[serde(deserialize_with)]`.
pub(crate) fn optional<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    required(input).map(Some)
}

/// For `#[serde(deserialize_with)]`.
pub(crate) fn required<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    parse(&text)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is not a duration; write seconds as in \"5s\" or \"0.25s\"")))
}

fn parse(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    Duration::try_from_secs_f64(number.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_with_a_suffix_and_nothing_else() {
        assert_eq!(parse("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse("0.25s"), Some(Duration::from_millis(250)));
        for bad in ["5", "5m", "-5s", "s", "", "1e3s", "infs", " 5s", "5 s", "..s"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
