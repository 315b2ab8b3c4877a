//! The filter alone in real Envoy: its decisions beside those of Envoy's own `jwt_authn`, bytes that are no text, and
//! the checks of signatures.

mod bytes;
mod differential;
mod echo;
mod logs;
mod pasted;
mod sharing;
mod signatures;
mod wire;
