//! Fills in the `${NAME}` places of a configuration file.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

/// The text with every `${NAME}` replaced. A name without a value is an error, and so is a value that could end the
/// quotes around its place.
pub fn render(template: &str, values: &BTreeMap<&str, String>) -> anyhow::Result<String> {
    let mut parts = template.split("${");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').context("a place in the template is not closed")?;
        let value = values.get(name).with_context(|| format!("the template has a place for {name}, unknown here"))?;
        if value.contains(['"', '\'', '\\']) || value.contains(char::is_control) {
            bail!("the value of {name} can't stand in the template: {value:?}");
        }
        text.push_str(value);
        text.push_str(rest);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<&'static str, String> {
        BTreeMap::from([("HOST", "127.0.0.1".to_owned()), ("PORT", "80".to_owned()), ("BAD", "a\"b".to_owned())])
    }

    #[test]
    fn every_place_is_filled_in() {
        let text = render("# ${HOST}\naddress: \"${HOST}\", port: ${PORT}\n$x {}", &values()).unwrap();
        assert_eq!(text, "# 127.0.0.1\naddress: \"127.0.0.1\", port: 80\n$x {}");
    }

    #[test]
    fn an_unknown_open_or_dangerous_place_is_an_error() {
        for (template, reason) in [("${OTHER}", "OTHER"), ("${HOST", "not closed"), ("${BAD}", "BAD")] {
            assert!(render(template, &values()).unwrap_err().to_string().contains(reason), "{template}");
        }
    }
}
