//! Runners that somebody changed on GitHub's pages.
