//! `cargo xtask filter`: the wasm module, and others that only measure or test.
//!
//! The ordinary way is rustup's `wasm32-wasip1` target. Where rustup is missing or can't download (closed networks),
//! Debian's packages hold a compiler, the sources of the standard library and a WASI C library. With
//! `RTS_FILTER_WITH_DEBIAN=1` the second way is taken at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::{cargo, exists, output, program, run};
use crate::progress::{say, step};
use crate::workspace::Workspace;
use crate::{debian, exports};

/// A proxy-wasm module of the workspace.
pub(crate) struct Module {
    package: &'static str,
    /// Where it is left, relative to the checkout.
    pub(crate) path: &'static str,
    /// The host's calls that it takes; all that the SDK knows when there are none.
    takes: &'static [&'static str],
}

/// What the filter does something on. The SDK exports every callback there is, and the host calls each that is
/// exported, which costs more than the filter's own work on some.
const TAKEN: [&str; 10] = [
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_http_call_response",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
    "proxy_on_tick",
];

/// The filter. Tools outside the project rely on its place.
pub(crate) const FILTER: Module =
    Module { package: "oidc-filter", path: "target/filter/oidc_filter.wasm", takes: &TAKEN };
/// The module that judges signatures inside Envoy, for the tests.
pub(crate) const JUDGE: Module =
    Module { package: "signature-judge", path: "target/tests/signature_judge.wasm", takes: &[] };
/// The module that does nothing, for the benchmark.
pub(crate) const EMPTY: Module = Module { package: "empty-filter", path: "target/bench/empty_filter.wasm", takes: &[] };
/// Small where it runs once, fast where it runs for every request: see Cargo.toml.
const PROFILE: &str = "filter";
const TARGET: &str = "wasm32-wasip1";
const PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22", "wasi-libc"];
const HOW_TO: &str = "the filter needs Rust's wasm32-wasip1 target; install it with: rustup target add wasm32-wasip1";

/// Builds a module and returns its path.
pub(crate) fn build(workspace: &Workspace, module: &Module) -> Result<PathBuf> {
    let package = module.package;
    let built = if rustup_has_target() {
        say(&format!("{package}: with the wasm32-wasip1 target of the Rust toolchain"));
        with_installed_target(workspace, package)?
    } else {
        say(&format!(
            "{package}: with Debian's Rust, since the toolchain has no wasm32-wasip1 target and can't fetch it"
        ));
        debian::install(&PACKAGES, HOW_TO)?;
        with_debian(workspace, package)?
    };
    let path = workspace.root.join(module.path);
    put_in_place(&built, &path, module.takes)?;
    let kilobytes = fs::metadata(&path)?.len() / 1000;
    say(&format!("{package}: {kilobytes} kB"));
    Ok(path)
}

/// Lints the filter as it is compiled for wasm, if the toolchain can; Debian's has no clippy.
pub(crate) fn lint(workspace: &Workspace) -> Result<()> {
    if !rustup_has_target() {
        say("the filter is not linted for wasm: the toolchain has no wasm32-wasip1 target");
        return Ok(());
    }
    let mut clippy = for_wasm(workspace);
    clippy.args(["clippy", "--package", FILTER.package, "--package", JUDGE.package, "--lib", "--target", TARGET]);
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

fn with_installed_target(workspace: &Workspace, package: &str) -> Result<PathBuf> {
    let mut command = for_wasm(workspace);
    step(&format!("cargo build of {package}"), || run(arguments(&mut command, package)))?;
    Ok(module_in(&workspace.target.join("wasm"), package))
}

/// The toolchain's Cargo with a build directory for wasm alone.
fn for_wasm(workspace: &Workspace) -> Command {
    let mut command = cargo(workspace);
    // Flags for the host, such as another linker, are not for the module.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.env("CARGO_TARGET_DIR", workspace.target.join("wasm"));
    command
}

fn with_debian(workspace: &Workspace, package: &str) -> Result<PathBuf> {
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
    arguments(&mut command, package).arg("-Zbuild-std=std,panic_abort");
    let what = format!("cargo build of {package} (with the standard library: about a minute the first time)");
    step(&what, || run(&mut command))?;
    Ok(module_in(&target, package))
}

fn arguments<'c>(command: &'c mut Command, package: &str) -> &'c mut Command {
    command.args(["build", "--profile", PROFILE, "--package", package, "--lib", "--target", TARGET])
}

fn module_in(target: &Path, package: &str) -> PathBuf {
    target.join(TARGET).join(PROFILE).join(format!("{}.wasm", package.replace('-', "_")))
}

/// Writes beside and renames, so that an Envoy that reads the module never sees half of it.
fn put_in_place(built: &Path, module: &Path, takes: &[&str]) -> Result<()> {
    let directory = module.parent().context("the module lies in a directory")?;
    fs::create_dir_all(directory)?;
    let beside = module.with_extension("new");
    let bytes = fs::read(built).with_context(|| format!("no module at {}", built.display()))?;
    fs::write(&beside, if takes.is_empty() { bytes } else { exports::keep(&bytes, takes)? })?;
    fs::rename(&beside, module).with_context(|| format!("could not write {}", module.display()))
}
