//! `config`

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::table::{Cell, render};
use super::{Output, environment, screen};
use crate::config::{self, Dotenv, Effective, Source};

#[derive(Args)]
pub(super) struct ConfigArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn show(arguments: &ConfigArgs, dotenv: &Dotenv) -> anyhow::Result<()> {
    let settings = config::effective(&environment, dotenv);
    let problems = config::serve(&environment).err().map(|error| error.problems).unwrap_or_default();
    match arguments.output {
        Output::Json => screen::print_json(&json!({"settings": settings, "problems": problems}))?,
        Output::Table => {
            let rows: Vec<Vec<Cell>> = settings.iter().map(row).collect();
            screen::print(&render(&["VARIABLE", "FROM", "VALUE"], &rows))?;
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    if arguments.output == Output::Json {
        bail!("the configuration has {} problem(s)", problems.len());
    }
    Err(config::ConfigError { problems }.into())
}

fn row(setting: &Effective) -> Vec<Cell> {
    let shown = setting.value.clone().unwrap_or_default();
    let (from, value) = match &setting.source {
        Source::Environment => ("environment", one_line(&shown)),
        Source::Dotenv(_) => (".env", one_line(&shown)),
        Source::File(path) => ("file", path.clone()),
        Source::Default => ("default", shown),
        Source::Unset => ("not set", shown),
    };
    [setting.name, from, &value].map(Cell::new).to_vec()
}

/// Keys are long, and their first line says what they are.
fn one_line(value: &str) -> String {
    let first = value.lines().next().unwrap_or_default().split("\\n").next().unwrap_or_default();
    if first.len() < value.len() { format!("{first} …") } else { value.to_owned() }
}
