//! What others run it with: the scripts of `examples` and `docker`, and whether the pages lead where they say.

mod client;
mod links;
mod setup;
