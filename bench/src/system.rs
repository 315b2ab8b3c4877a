//! A whole system to be measured.

use testkit::github::{GithubConfig, Limits};
use testkit::system::SystemOptions;

/// Of Envoy, where it is a part of what is measured: as many as there are processors.
pub const WORKERS: u32 = 2;

/// A system with a Postgres of its own, in which nobody's requests are limited, neither here nor at GitHub, and the control
/// plane has these variables.
pub fn options(variables: &[(&str, &str)]) -> SystemOptions {
    let variables = [("RATE_LIMIT_PER_MINUTE", "0")].iter().chain(variables);
    SystemOptions {
        own_postgres: true,
        control_plane: variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        github: GithubConfig { limits: Limits::NONE, ..SystemOptions::default().github },
        ..SystemOptions::default()
    }
}
