//! Stories over the real router, a real PostgreSQL and a GitHub with state.

mod access;
mod admins;
mod audit;
mod audit_commands;
mod audit_months;
mod audit_roles;
mod audit_sealing;
mod audit_sent;
mod audit_tampering;
mod audit_verifier;
mod budget;
mod calls;
mod collector;
mod commands;
mod configured;
mod confirmations;
mod costs;
mod described;
mod doctor;
mod doctor_findings;
mod drain;
mod drift;
mod faults;
mod history;
mod hostile;
mod idempotency;
mod installations;
mod limits;
mod lost_answers;
mod manage;
mod metrics;
mod policies;
mod policy_commands;
mod provision;
mod query_plans;
mod reconcile;
mod replicas;
mod revocations;
mod screens;
mod serving;
mod stale;
mod status;
mod targets;
mod telemetry;
mod terminal;
mod traces;
mod transitions;
mod ui;
mod upgrades;
mod validators;
mod webhooks;
mod world;

use sqlx::migrate::Migrator;

/// The tables of each story's own database.
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");
