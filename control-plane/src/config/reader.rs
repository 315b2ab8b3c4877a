//! Reads variables and gathers what is wrong with them.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::settings::{default_of, setting};

/// Gives the value of a variable; the process's environment, or a test's.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a variable is set to. Compose files pass an unset variable as an empty one.
pub(crate) fn value(environment: Environment<'_>, variable: &str) -> Option<String> {
    environment(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it, to be read after its name.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// Everything that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the configuration has {} problem(s):", self.problems.len())?;
        for Problem { variable, what, remedy } in &self.problems {
            write!(out, "\n  {variable} {what}\n    → {remedy}")?;
        }
        write!(out, "\nEvery variable is described in docs/configuration.md.")
    }
}

impl std::error::Error for ConfigError {}

/// Reads variables; problems add up until [`Reader::finish`].
pub(super) struct Reader<'a> {
    environment: Environment<'a>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: Environment<'a>) -> Self {
        Self { environment, problems: Vec::new() }
    }

    /// The value, if there is one: the variable's own, or the content of the file that its `_FILE` names. A file that
    /// can't be used is a problem.
    pub(super) fn get(&mut self, variable: &'static str) -> Option<String> {
        let file = setting(variable).and_then(|setting| setting.file);
        let named = file.and_then(|file| Some((file, value(self.environment, file)?)));
        match (value(self.environment, variable), named) {
            (Some(_), Some((file, _))) => {
                self.add(variable, &format!("and {file} are both set"), "unset one of them");
                None
            }
            (None, Some((file, path))) => self.content(file, &path),
            (own, None) => own,
        }
    }

    fn content(&mut self, variable: &'static str, path: &str) -> Option<String> {
        let remedy = "set it to the path of a file with the value alone, readable for this user";
        let text = self.file(variable, path, remedy)?.trim().to_owned();
        if text.is_empty() {
            self.add(variable, &format!("names {path:?}, which is empty"), remedy);
            return None;
        }
        Some(text)
    }

    /// Something is wrong with the value, wherever it came from.
    pub(super) fn problem(&mut self, variable: &'static str, what: &str, remedy: &str) {
        let file = setting(variable).and_then(|setting| setting.file);
        let file = file.filter(|file| value(self.environment, file).is_some());
        self.add(file.unwrap_or(variable), what, remedy);
    }

    fn add(&mut self, variable: &'static str, what: &str, remedy: &str) {
        self.problems.push(Problem { variable, what: what.to_owned(), remedy: remedy.to_owned() });
    }

    pub(super) fn required(&mut self, variable: &'static str, remedy: &str) -> Option<String> {
        let before = self.problems.len();
        let value = self.get(variable);
        if value.is_none() && self.problems.len() == before {
            self.add(variable, "is not set", remedy);
        }
        value
    }

    /// The value, or what counts without one.
    pub(super) fn or_preset(&mut self, variable: &'static str) -> Option<String> {
        self.get(variable).or_else(|| default_of(variable).map(str::to_owned))
    }

    /// A value of type `T`; `form` says what one looks like.
    pub(super) fn parsed<T: FromStr>(&mut self, variable: &'static str, form: &str) -> Option<T> {
        let value = self.required(variable, &format!("set it to {form}"))?;
        self.parse(variable, &value, form)
    }

    pub(super) fn or_default<T: FromStr>(&mut self, variable: &'static str, form: &str) -> Option<T> {
        let value = self.or_preset(variable)?;
        self.parse(variable, &value, form)
    }

    /// A value, if there is one.
    pub(super) fn or_unset<T: FromStr>(&mut self, variable: &'static str, form: &str) -> Option<T> {
        let value = self.get(variable)?;
        self.parse(variable, &value, form)
    }

    fn parse<T: FromStr>(&mut self, variable: &'static str, value: &str, form: &str) -> Option<T> {
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.problem(variable, &format!("is {value:?}"), &format!("set it to {form}"));
        }
        parsed
    }

    /// The value, if it lies in the range.
    pub(super) fn within<T>(&mut self, variable: &'static str, value: Option<T>, range: RangeInclusive<T>) -> Option<T>
    where
        T: PartialOrd + fmt::Display,
    {
        let value = value?;
        if range.contains(&value) {
            return Some(value);
        }
        let remedy = format!("set it to a number from {} to {}", range.start(), range.end());
        self.problem(variable, &format!("is {value}"), &remedy);
        None
    }

    /// The text of a file that a variable names.
    pub(super) fn file(&mut self, variable: &'static str, path: &str, remedy: &str) -> Option<String> {
        if path.contains("PRIVATE KEY") {
            // Not shown: it is the key itself.
            self.add(variable, "holds a key where the path of its file belongs", remedy);
            return None;
        }
        std::fs::read_to_string(path)
            .map_err(|error| self.add(variable, &format!("names {path:?}, which can't be read: {error}"), remedy))
            .ok()
    }

    /// The configuration, if it is whole.
    pub(super) fn finish<T>(self, config: Option<T>) -> Result<T, ConfigError> {
        match config {
            Some(config) if self.problems.is_empty() => Ok(config),
            _ => Err(ConfigError { problems: self.problems }),
        }
    }
}
