//! Whether the files with which others run it are what the programs that read them want: images, compose, Kubernetes,
//! workflows and scripts. Nothing is built or started here: that needs a Docker engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::command::{program, run};
use crate::progress::{say, step};
use crate::tools::{LINTERS, PythonPrograms};
use crate::workspace::Workspace;

/// The release of Kubernetes whose schemas the manifests are held against.
const KUBERNETES: &str = "1.34";

pub(super) fn check(workspace: &Workspace) -> Result<()> {
    let linters = PythonPrograms::get(workspace, LINTERS)?;
    let root = &workspace.root;
    step("hadolint of the Dockerfile", || run(linters.program("hadolint").arg(root.join("Dockerfile"))))?;
    step("shellcheck of every script", || {
        let mut scripts = found(root, "*.sh")?;
        scripts.push(root.join(".ci/run"));
        run(linters.program("shellcheck").args(["--shell", "sh"]).args(scripts))
    })?;
    step("schema of docker-compose.yml", || {
        schema(&linters, "vendor.compose-spec", &[root.join("docker-compose.yml")])
    })?;
    workflows(&linters, root)?;
    for overlay in folders(&root.join("kubernetes/overlays"))? {
        step(&format!("schemas of {}", workspace.shown(&overlay)), || kubernetes(workspace, &linters, &overlay))?;
    }
    Ok(())
}

fn schema(linters: &PythonPrograms, schema: &str, files: &[PathBuf]) -> Result<()> {
    run(linters.program("check-jsonschema").args(["--builtin-schema", schema]).args(files))
}

/// Their form, and what an attacker could make of them: unpinned actions, too many rights, templates in scripts.
fn workflows(linters: &PythonPrograms, root: &Path) -> Result<()> {
    let files = [found(root, ".github/workflows/*.yml")?, found(root, "examples/*.workflow.yml")?].concat();
    step("schema of the workflows", || schema(linters, "vendor.github-workflows", &files))?;
    step("zizmor of the workflows", || {
        run(linters.program("zizmor").args(["--offline", "--no-progress", "--persona", "pedantic"]).args(&files))
    })
}

/// What kustomize makes of an overlay, held against the schemas of Kubernetes; an unknown field is an error.
fn kubernetes(workspace: &Workspace, linters: &PythonPrograms, overlay: &Path) -> Result<()> {
    let built = linters.program("kubectl").arg("kustomize").arg(overlay).stderr(Stdio::inherit()).output()?;
    ensure!(built.status.success(), "kustomize can't build {}", workspace.shown(overlay));
    let manifests = workspace.tool("manifests.yaml");
    fs::write(&manifests, &built.stdout)?;
    run(linters
        .program("kubernetes-validate")
        .args(["--strict", "--quiet", "--kubernetes-version", KUBERNETES])
        .arg(&manifests))?;
    Ok(fs::remove_file(&manifests)?)
}

/// Files of the repository, new ones too.
fn found(root: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let mut git = program("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]);
    let listed = git.output().context("git is needed")?;
    let files: Vec<PathBuf> = String::from_utf8(listed.stdout)?.lines().map(|line| root.join(line)).collect();
    ensure!(listed.status.success() && !files.is_empty(), "no file is {pattern}");
    say(&format!("  {} × {pattern}", files.len()));
    Ok(files)
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = fs::read_dir(parent)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    folders.sort();
    ensure!(!folders.is_empty(), "there is nothing in {}", parent.display());
    Ok(folders)
}
