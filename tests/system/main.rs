//! The whole system under test: real Envoy with the real module, real Postgres, the real binary; around them the
//! fake GitHub with its state, the dev issuer and the certified one.

mod crowd;
mod database;
mod discovery;
mod doctor;
mod edge;
mod filter;
mod forged;
mod governed;
mod hostile;
mod journey;
mod keys;
mod lifecycle;
mod listing;
mod page;
mod policy;
mod policy_reload;
mod production;
mod refused;
mod replicas;
mod revoked;
mod shutdown;
mod support;
mod wires;
