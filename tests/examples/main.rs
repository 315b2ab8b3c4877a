//! The examples of `envoy/examples`: Envoy accepts them with the real module, the one that stands alone really runs,
//! and the page on the filter says how its assertion is verified in another language.

mod alone;
#[path = "../filter/echo.rs"]
mod echo;
mod example;
mod github;
mod kubernetes;
mod validated;
mod verified_in_node;
