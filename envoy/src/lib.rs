//! The edge's configuration, filled in from the environment.
//!
//! The container's program, the demo and the tests fill in the same template in the same way.

mod settings;
mod template;
mod variables;

pub use variables::{VARIABLES, Variable};

/// The configuration that is shipped, with its `${NAME}` places.
pub const TEMPLATE: &str = include_str!("../envoy.yaml");
/// Where clients' TLS certificate is, as Envoy's file-based discovery reads it.
pub const TLS: &str = include_str!("../tls.yaml");

/// The template with every place filled in. Every problem is listed at once.
pub fn configuration(template: &str, environment: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    template::render(template, &|place| settings::value(place, environment))
}
