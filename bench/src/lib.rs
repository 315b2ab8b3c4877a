//! What the benchmarks share: load for Envoy, what the kernel knows of processes, what a command takes, figures of several
//! rounds, the system with records that its service finds, and files of reports.

pub mod command;
pub mod kernel;
pub mod load;
pub mod records;
pub mod report;
pub mod rounds;
pub mod system;
