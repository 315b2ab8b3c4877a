//! The fake GitHub seen from outside: by octocrab, by a plain client that breaks rules, and by machines.

mod auth;
mod faults;
mod jit;
mod limits;
mod listing;
mod machines;
mod story;
mod support;
