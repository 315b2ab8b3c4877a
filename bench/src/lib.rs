//! What the benchmarks share: what the kernel knows of processes, what a command takes, and figures of several rounds.

pub mod command;
pub mod kernel;
pub mod rounds;
