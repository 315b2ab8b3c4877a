//! `cargo xtask filter`: the wasm module.
//!
//! The ordinary way is rustup's `wasm32-wasip1` target. Where rustup is missing or can't download (closed networks),
//! Debian's packages hold a compiler, the sources of the standard library and a WASI C library. With
//! `RTS_FILTER_WITH_DEBIAN=1` the second way is taken at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::{cargo, exists, output, program, run};
use crate::debian;
use crate::progress::{say, step};
use crate::workspace::Workspace;

/// Where the module is left, relative to the checkout. Tools outside the project rely on it.
pub(crate) const MODULE: &str = "target/filter/oidc_filter.wasm";
const TARGET: &str = "wasm32-wasip1";
const PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22", "wasi-libc"];
const HOW_TO: &str = "the filter needs Rust's wasm32-wasip1 target; install it with: rustup target add wasm32-wasip1";

/// Builds the module and returns its path.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let built = if rustup_has_target() {
        say("filter: with the wasm32-wasip1 target of the Rust toolchain");
        with_installed_target(workspace)?
    } else {
        say("filter: with Debian's Rust, since the toolchain has no wasm32-wasip1 target and can't fetch it");
        debian::install(&PACKAGES, HOW_TO)?;
        with_debian(workspace)?
    };
    let module = workspace.root.join(MODULE);
    put_in_place(&built, &module)?;
    let kilobytes = fs::metadata(&module)?.len() / 1000;
    say(&format!("filter: {kilobytes} kB"));
    Ok(module)
}

/// Lints the filter as it is compiled for wasm, if the toolchain can; Debian's has no clippy.
pub(crate) fn lint(workspace: &Workspace) -> Result<()> {
    if !rustup_has_target() {
        say("the filter is not linted for wasm: the toolchain has no wasm32-wasip1 target");
        return Ok(());
    }
    let mut clippy = for_wasm(workspace);
    clippy.args(["clippy", "--package", "oidc-filter", "--lib", "--target", TARGET]);
    step("clippy of the filter for wasm", || run(clippy.args(["--", "--deny", "warnings"])))
}

/// Whether the toolchain can build for wasm, after asking rustup for the target if need be.
fn rustup_has_target() -> bool {
    if std::env::var_os("RTS_FILTER_WITH_DEBIAN").is_some() {
        return false;
    }
    has_target()
        || exists("rustup")
            && step("rustup target add wasm32-wasip1", || run(program("rustup").args(["target", "add", TARGET])))
                .is_ok()
            && has_target()
}

fn has_target() -> bool {
    output(program("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .is_some_and(|directory| Path::new(&directory).is_dir())
}

fn with_installed_target(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = for_wasm(workspace);
    step("cargo build of the filter", || run(arguments(&mut command)))?;
    Ok(module_in(&workspace.target.join("wasm")))
}

/// The toolchain's Cargo with a build directory for wasm alone.
fn for_wasm(workspace: &Workspace) -> Command {
    let mut command = cargo(workspace);
    // Flags for the host, such as another linker, are not for the module.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.env("CARGO_TARGET_DIR", workspace.target.join("wasm"));
    command
}

fn with_debian(workspace: &Workspace) -> Result<PathBuf> {
    let target = workspace.target.join("wasm-debian");
    let mut command = program("/usr/bin/cargo");
    for variable in ["CARGO", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "LD_LIBRARY_PATH", "RUSTC_WRAPPER"] {
        command.env_remove(variable);
    }
    for variable in ["RUSTDOC", "RUSTUP_TOOLCHAIN", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(variable);
    }
    command
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTC", "/usr/bin/rustc")
        // The standard library is built from source, which stable compilers do only with this.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-L native=/usr/lib/wasm32-wasi")
        .env("CARGO_TARGET_WASM32_WASIP1_LINKER", "/usr/bin/wasm-ld-22");
    arguments(&mut command).arg("-Zbuild-std=std,panic_abort");
    step("cargo build of the filter (with the standard library: about a minute the first time)", || run(&mut command))?;
    Ok(module_in(&target))
}

fn arguments(command: &mut Command) -> &mut Command {
    command.args(["build", "--release", "--package", "oidc-filter", "--lib", "--target", TARGET])
}

fn module_in(target: &Path) -> PathBuf {
    target.join(TARGET).join("release/oidc_filter.wasm")
}

/// Copies beside and renames, so that an Envoy that reads the module never sees half of it.
fn put_in_place(built: &Path, module: &Path) -> Result<()> {
    let directory = module.parent().context("the module lies in a directory")?;
    fs::create_dir_all(directory)?;
    let beside = module.with_extension("new");
    fs::copy(built, &beside).with_context(|| format!("no module at {}", built.display()))?;
    fs::rename(&beside, module).with_context(|| format!("could not write {}", module.display()))
}
