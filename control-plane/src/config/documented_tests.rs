//! docs/configuration.md and `.env.example` say what the code reads.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::*;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const REMEDY: &str = "run UPDATE_DOCS=1 cargo test -p control-plane --lib config and commit docs/configuration.md";

const INTRODUCTION: &str = "\
# Configuration of the control plane

<!-- Made from control-plane/src/config/settings.rs: UPDATE_DOCS=1 cargo test -p control-plane --lib config -->

Everything comes from the environment, and from a file `.env` in the working directory or above it, which the
environment overrides. An empty value counts as not set. A start lists every problem at once, each with the variable and
the remedy; nothing runs on half a configuration.

A value that may be a secret can be kept in a file instead: `NAME_FILE` names it, white space around the value is taken
away, and setting both `NAME` and `NAME_FILE` is refused. Files are read at the start; after a rotation, restart.

`runner-tokens config` shows what counts and where each value came from, with secrets masked, and ends with exit code 1
if `serve` would not start with it; `--output json` for programs. The edge is a program of its own with
[variables of its own](#the-edge).
";

const EDGE: &str = "
## The edge

These are read by the program `edge`, which fills in [envoy/envoy.yaml](../envoy/envoy.yaml) with them and becomes Envoy;
`edge config` prints the outcome. It reads no `.env`, though compose does for it.
";

fn settings() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

fn names() -> BTreeSet<&'static str> {
    settings().flat_map(|setting| std::iter::once(setting.name).chain(setting.file)).collect()
}

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in SECTIONS {
        let _ = writeln!(text, "\n## {}", section.title);
        for setting in section.settings {
            let kind = match setting.preset {
                Preset::Required => "Required.".to_owned(),
                Preset::Unset => "Not set by default.".to_owned(),
                Preset::Value(value) => format!("Default: `{value}`."),
            };
            let secret = if setting.secret { " A secret." } else { "" };
            let file = setting.file.map(|file| format!(" Or a file: `{file}`.")).unwrap_or_default();
            let _ = writeln!(text, "\n### `{}`\n\n{kind}{secret}{file}\n\n{}", setting.name, setting.about);
        }
    }
    text + EDGE + &edge()
}

fn edge() -> String {
    let mut text = String::new();
    for edge::Variable { name, default, required, secret, about, .. } in edge::VARIABLES {
        let kind = match (required, default) {
            (true, _) => "Required.".to_owned(),
            (false, Some(default)) => format!("Default: `{default}`."),
            (false, None) => "Not set by default.".to_owned(),
        };
        let secret = if *secret { " A secret." } else { "" };
        let _ = writeln!(text, "\n### `{name}`\n\n{kind}{secret}\n\n{about}");
    }
    text
}

#[test]
fn the_document_is_that_of_the_code() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOCUMENT, document()).unwrap();
    }
    let written = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    assert!(written == document(), "{REMEDY}");
}

#[test]
fn what_is_described_is_what_is_read() {
    let asked = RefCell::new(BTreeSet::new());
    let _ = serve(&|name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    let described: BTreeSet<String> = names().into_iter().map(str::to_owned).collect();
    assert_eq!(asked.into_inner(), described);
}

#[test]
fn the_example_names_every_variable_and_no_other_with_its_default() {
    // Which shares the file in a deployment of both.
    let of_the_edge = edge::VARIABLES.iter().map(|variable| (variable.name, variable.default));
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|each| each.is_ascii_uppercase() || matches!(each, '_' | '0'..='9'))
    };
    let lines = include_str!("../../../.env.example").lines();
    let example: BTreeMap<&str, &str> = lines
        .filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once('='))
        .filter(|(name, _)| is_name(name))
        .collect();
    assert_eq!(
        example.keys().copied().collect::<BTreeSet<_>>(),
        names().into_iter().chain(of_the_edge.clone().map(|(name, _)| name)).collect()
    );
    let presets = settings().map(|setting| match setting.preset {
        Preset::Value(value) => (setting.name, Some(value)),
        Preset::Required | Preset::Unset => (setting.name, None),
    });
    for (name, default) in presets.chain(of_the_edge) {
        assert!(default.is_none_or(|default| example.get(name) == Some(&default)), "{name}");
    }
}

#[test]
fn a_secret_may_come_from_a_file_but_from_one_place() {
    let file = std::env::temp_dir().join(format!("runner-tokens-secret-{}", std::process::id()));
    let path = file.to_str().unwrap();
    let problems = |own: Option<&str>, content: &str| {
        std::fs::write(&file, content).unwrap();
        let environment = |name: &str| match name {
            "DATABASE_URL_FILE" => Some(path.to_owned()),
            "DATABASE_URL" => own.map(str::to_owned),
            _ => None,
        };
        database(&environment).err().map(|error| error.problems)
    };
    assert_eq!(problems(None, " postgres://app:hunter2@db/runners\n"), None);
    for (own, content, variable, what) in [
        (Some("postgres://app@db/runners"), "x", "DATABASE_URL", "and DATABASE_URL_FILE are both set"),
        (None, "\n", "DATABASE_URL_FILE", "which is empty"),
        (None, "mysql://app:hunter2@db/x", "DATABASE_URL_FILE", "is not the URL"),
    ] {
        let problems = problems(own, content).unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].variable, variable);
        assert!(problems[0].what.contains(what) && !format!("{problems:?}").contains("hunter2"), "{problems:?}");
    }
    std::fs::remove_file(&file).unwrap();
    let gone = problems_without_the_file(path);
    assert_eq!(gone, ["DATABASE_URL_FILE"]);
}

fn problems_without_the_file(path: &str) -> Vec<&'static str> {
    let error = database(&|name| (name == "DATABASE_URL_FILE").then(|| path.to_owned())).err().unwrap();
    error.problems.iter().map(|problem| problem.variable).collect()
}
