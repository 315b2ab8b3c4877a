//! The whole system under load, one fault after the other, and what must hold after each.
//!
//! `cargo xtask chaos` runs it for as long as one likes, the tests a short version of it: the same code. The seed
//! decides which faults come in which order, and what each client wants; what comes of it is up to the machine.

mod answers;
mod book;
mod clients;
mod deeds;
mod faults;
mod hostile;
mod invariants;
mod limits;
mod matrix;
mod report;
mod run;
mod schedule;
mod secrets;
mod world;

pub use self::report::{CaseReport, Report};
pub use self::run::{Options, run};
pub use self::secrets::Sweep;
