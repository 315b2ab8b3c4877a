//! The files of `control-plane/ui`, as they are in this program.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// The page itself, which `/ui` gives.
pub(super) const INDEX: &str = "index.html";

/// A file as it is served.
pub(super) struct File {
    /// Its `Content-Type`.
    pub(super) kind: &'static str,
    pub(super) content: &'static [u8],
    /// Its `ETag`, made of the content.
    pub(super) tag: HeaderValue,
}

impl File {
    /// The file of this name, which is its path below `control-plane/ui`.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FILES.get(name)
    }
}

macro_rules! contents {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../ui/", $name)).as_slice())),*]
    };
}

const CONTENTS: &[(&str, &[u8])] = contents![
    "admin/audit.js",
    "admin/history.js",
    "admin/policy.js",
    "admin/principals.js",
    "admin/runners.js",
    "admin/status.js",
    "api.js",
    "app.js",
    "ask.js",
    "chart.js",
    "dom.js",
    "format.js",
    "icon.svg",
    "index.html",
    "listing.js",
    "live.js",
    "problem.js",
    "provision.js",
    "remove.js",
    "runner-columns.js",
    "runners.js",
    "session.js",
    "state.js",
    "style.css",
    "table.js",
    "time.js",
    "vendor/oauth4webapi/LICENSE.md",
    "vendor/oauth4webapi/index.js",
];

static FILES: LazyLock<BTreeMap<&'static str, File>> = LazyLock::new(|| {
    let file = |&(name, content): &(&'static str, &'static [u8])| {
        let tag = format!("\"{}\"", hex::encode(Sha256::digest(content)));
        Some((name, File { kind: kind(name), content, tag: tag.parse().ok()? }))
    };
    CONTENTS.iter().filter_map(file).collect()
});

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    fn files_below(directory: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let deeper = |path: PathBuf| if path.is_dir() { files_below(&path) } else { vec![path] };
        entries.flat_map(deeper).collect()
    }

    #[test]
    fn every_file_of_the_page_is_in_the_program() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/ui"));
        let name = |path: PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let there: BTreeSet<String> = files_below(root).into_iter().map(name).collect();
        assert_eq!(FILES.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), there);
    }

    /// The policy would stop each of them, in silence.
    #[test]
    fn nothing_of_the_page_is_inline_or_from_elsewhere() {
        for (name, content) in CONTENTS.iter().filter(|(name, _)| !name.starts_with("vendor/")) {
            let text = std::str::from_utf8(content).unwrap();
            for forbidden in ["<script>", "<style", "style=\"", "onclick=", "innerHTML", "https://", "javascript:"] {
                assert!(!text.contains(forbidden), "{name}: {forbidden}");
            }
        }
    }
}
