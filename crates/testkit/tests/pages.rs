//! The blocks of commands that a page of docs marks do what it says when they are pasted one after the other.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use testkit::system::{Scope, Tools, free_port};

/// Where the pages are.
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
/// Stands before a block of commands that is run.
const RUN: &str = "<!-- run -->";
/// Stands for any text in what the page shows.
const ANYTHING: char = '…';
/// Printed before what the block of this number prints.
const MARK: &str = "==== block ";
/// Where the page's programs listen unless told otherwise, and the variables that tell them.
const PORTS: [(&str, &[&str]); 5] = [
    ("8000", &["SERVICE_PORT", "CONTROL_PLANE_PORT"]),
    ("8080", &["EDGE_PORT"]),
    ("9000", &["DEV_ISSUER_LISTEN"]),
    ("9001", &["FAKE_GITHUB_LISTEN"]),
    ("9901", &["ADMIN_PORT"]),
];

/// Commands, and lines of what they print.
#[derive(Debug, Default, PartialEq)]
struct Block {
    commands: String,
    shown: Vec<String>,
}

/// The blocks that are run; a block of text right behind one shows what it prints.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        if line != RUN || lines.next_if_eq(&"```sh").is_none() {
            continue;
        }
        let commands: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        let mut block = Block { commands: commands.join("\n"), ..Block::default() };
        if lines.next_if_eq(&"```text").is_some() {
            block.shown.extend(lines.by_ref().take_while(|line| *line != "```").map(str::to_owned));
        }
        blocks.push(block);
    }
    blocks
}

/// Whether a printed line is the shown one; how wide the gaps are is not compared.
fn is_shown(shown: &str, printed: &str) -> bool {
    let [shown, printed] = [shown, printed].map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut rest = printed.as_str();
    let mut parts = shown.split(ANYTHING);
    let Some(left) = parts.next().and_then(|first| rest.strip_prefix(first)) else { return false };
    rest = left;
    let mut open = false;
    for part in parts {
        let Some(at) = rest.find(part.trim_matches(' ')) else { return false };
        rest = rest.get(at + part.trim_matches(' ').len()..).unwrap_or_default();
        open = part.is_empty();
    }
    open || rest.is_empty()
}

/// One script of all blocks, which ends at the first command that fails and takes with it what it started.
fn script(blocks: &[Block]) -> String {
    let start = "set -eu -o pipefail\nexec 2>&1\ntrap 'kill $(jobs -p) 2>&- || true; wait' EXIT\n";
    let marked = |(number, block): (usize, &Block)| format!("echo; echo '{MARK}{number}'\n{}\n", block.commands);
    start.to_owned() + &blocks.iter().enumerate().map(marked).collect::<String>()
}

/// Where the page begins: a checkout whose programs are built.
fn checkout(root: &Path, tools: &Tools) -> anyhow::Result<()> {
    let target = root.join("target");
    fs::create_dir_all(&target)?;
    symlink(DOCS, root.join("docs"))?;
    symlink(tools.control_plane.parent().context("no directory")?, target.join("debug"))?;
    symlink(tools.filter.parent().context("no directory")?, target.join("filter"))?;
    let variables = format!("ENVOY_BIN={}\nPG_BIN={}\n", tools.envoy.display(), tools.postgres.display());
    Ok(fs::write(target.join("tools.env"), variables)?)
}

/// Runs the blocks of a page as a person would who pastes them, and holds what they print against the page.
fn run(page: &str) -> anyhow::Result<()> {
    let mut page = page.to_owned();
    let mut variables = BTreeMap::from([("PATH", std::env::var("PATH")?)]);
    for (port, names) in PORTS {
        let free = free_port()?;
        let host = |name: &str| if name.ends_with("LISTEN") { "127.0.0.1:" } else { "" };
        variables.extend(names.iter().map(|name| (*name, format!("{}{free}", host(name)))));
        page = page.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{free}"));
    }
    let blocks = blocks(&page);
    ensure!(blocks.len() == page.matches(RUN).count(), "not every {RUN:?} stands before a block: {blocks:#?}");

    let scope = Scope::new()?;
    checkout(scope.directory(), &Tools::from_env()?)?;
    let mut shell = Command::new("timeout");
    shell.args(["--kill-after=5", "300", "bash", "-c", &script(&blocks)]).current_dir(scope.directory());
    let output = shell.env_clear().envs(variables).stdin(Stdio::null()).output().context("needs bash and timeout")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {printed}", output.status);
    ensure!(!scope.directory().join("target/tour").exists(), "something was left behind");

    let parts: Vec<&str> = printed.split(MARK).skip(1).collect();
    ensure!(parts.len() == blocks.len(), "{printed}");
    for (part, Block { commands, shown }) in parts.iter().zip(&blocks) {
        for shown in shown {
            let found = part.lines().any(|line| is_shown(shown, line));
            ensure!(found, "{commands}\ndid not print\n{shown}\nbut\n{part}");
        }
    }
    Ok(())
}

#[test]
fn every_block_that_is_marked_does_what_its_page_shows() -> anyhow::Result<()> {
    let mut run_of = Vec::new();
    for entry in fs::read_dir(DOCS)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let page = fs::read_to_string(&path)?;
            if page.contains(RUN) {
                run(&page).with_context(|| path.display().to_string())?;
                run_of.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
    }
    run_of.sort();
    ensure!(run_of == ["capacity.md", "tour.md"], "{run_of:?}");
    Ok(())
}

#[test]
fn blocks_are_found_and_lines_are_compared() {
    let page = format!("{RUN}\n```sh\na\n\nb\n```\n\n```text\nc … d\n```\n```sh\ne\n```\n");
    assert_eq!(blocks(&page), [Block { commands: "a\nb".to_owned(), shown: vec!["c … d".to_owned()] }]);
    for (shown, printed, same) in [
        ("a  b", "a b ", true),
        ("a … c", "a b b c", true),
        ("a …", "a b", true),
        ("…c", "a b c", true),
        ("a … c", "a b c d", false),
        ("a", "a b", false),
        ("b", "a b", false),
    ] {
        assert_eq!(is_shown(shown, printed), same, "{shown:?}, {printed:?}");
    }
}
