//! Holds the whole-system tests; see `system/`.
