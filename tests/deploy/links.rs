//! Every link in every page leads somewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// A page without its blocks of code, in which brackets are no links and a `#` is no heading.
fn prose(page: &str) -> String {
    let mut outside = true;
    let lines = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        outside ^= fence;
        outside && !fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(prose: &str) -> Vec<String> {
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase();
        let kept = kept.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        let anchor: String = kept.map(|character| if character == ' ' { '-' } else { character }).collect();
        let count = seen.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
    };
    headings.map(anchor).collect()
}

/// What stands in `](…)`.
fn links(prose: &str) -> Vec<&str> {
    let ends = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(link, _)| link.split_whitespace().next().unwrap_or_default()).collect()
}

fn pages(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md"]);
    let listed = String::from_utf8(git.output().context("git is needed")?.stdout)?;
    Ok(listed.lines().map(|line| root.join(line)).filter(|page| page.exists()).collect())
}

#[test]
fn every_link_and_anchor_inside_the_project_leads_somewhere() -> anyhow::Result<()> {
    let root = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    let pages = pages(&root)?;
    let (mut checked, mut broken) = (0, Vec::new());
    for page in &pages {
        let text = prose(&fs::read_to_string(page)?);
        for link in links(&text).into_iter().filter(|link| !link.contains(':') && !link.is_empty()) {
            checked += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let directory = page.parent().context("no directory")?;
            let target = if path.is_empty() { page.clone() } else { directory.join(path) };
            let leads = target.exists()
                && (anchor.is_empty()
                    || anchors(&prose(&fs::read_to_string(&target)?)).iter().any(|one| one == anchor));
            if !leads {
                broken.push(format!("{}: {link}", page.strip_prefix(&root)?.display()));
            }
        }
    }
    ensure!(pages.len() > 10 && checked > 50, "{} pages, {checked} links", pages.len());
    ensure!(broken.is_empty(), "{broken:#?}");
    Ok(())
}

/// A page that nobody is led to is not read.
#[test]
fn the_first_page_leads_to_every_page_of_the_documentation() -> anyhow::Result<()> {
    let root = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    let readme = fs::read_to_string(root.join("README.md"))?;
    for page in pages(&root)?.iter().filter(|page| page.parent() == Some(&root.join("docs"))) {
        let name = page.strip_prefix(&root)?.display().to_string();
        ensure!(readme.contains(&format!("]({name})")), "README.md does not link {name}");
    }
    Ok(())
}

#[test]
fn anchors_are_made_as_github_makes_them() {
    assert_eq!(anchors("# Beyond `jwt_authn`: more\n## A\n## A"), ["beyond-jwt_authn-more", "a", "a-1"]);
    assert_eq!(links("a [b](c.md#d) and [e](f \"g\")"), ["c.md#d", "f"]);
    assert_eq!(prose("a\n```sh\n# b\n```\nc"), "a\nc");
}
