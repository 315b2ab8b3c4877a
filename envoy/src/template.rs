//! Fills in the `${NAME}` places of a configuration file.

use anyhow::{Context as _, bail};

/// The text with every place replaced by what `value` says; an error with everything that it could not say.
pub(crate) fn render(template: &str, value: &dyn Fn(&str) -> Result<String, String>) -> anyhow::Result<String> {
    let mut parts = template.split("${");
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut problems: Vec<String> = Vec::new();
    for part in parts {
        let (name, rest) = part.split_once('}').context("a place in the template is not closed")?;
        match value(name) {
            Ok(value) => text.push_str(&value),
            Err(problem) if problems.contains(&problem) => {}
            Err(problem) => problems.push(problem),
        }
        text.push_str(rest);
    }
    if problems.is_empty() { Ok(text) } else { bail!("{}", problems.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Result<String, String> {
        match name {
            "HOST" => Ok("127.0.0.1".to_owned()),
            "PORT" => Ok("80".to_owned()),
            other => Err(format!("{other} is unknown")),
        }
    }

    #[test]
    fn every_place_is_filled_in() {
        let text = render("# ${HOST}\naddress: \"${HOST}\", port: ${PORT}\n$x {}", &value).unwrap();
        assert_eq!(text, "# 127.0.0.1\naddress: \"127.0.0.1\", port: 80\n$x {}");
    }

    #[test]
    fn an_open_place_is_an_error_and_all_unknown_ones_are_named_once() {
        assert!(render("${HOST", &value).unwrap_err().to_string().contains("not closed"));
        let error = render("${ONE} ${TWO} ${ONE}", &value).unwrap_err().to_string();
        assert_eq!(error, "ONE is unknown\nTWO is unknown");
    }
}
