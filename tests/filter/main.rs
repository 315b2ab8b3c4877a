//! The filter alone in real Envoy: its decisions beside those of Envoy's own `jwt_authn`, and bytes that are no text.

mod bytes;
mod differential;
mod echo;
mod wire;
