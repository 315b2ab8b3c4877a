//! What the benchmarks share: load for Envoy, what the kernel knows of processes, what a command takes, figures of several
//! rounds, and records that a service finds.

pub mod command;
pub mod kernel;
pub mod load;
pub mod records;
pub mod rounds;
