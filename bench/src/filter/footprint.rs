//! What a process with one of the two filters alone takes: memory for its tokens, and time until it first answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use bench::kernel::private_memory;
use serde::Serialize;
use testkit::system::edge::{Edge, Listener};

use bench::load::{Load, Request};

/// What one filter takes.
#[derive(Serialize)]
pub(crate) struct Footprint {
    /// Bytes more after every token was verified and kept.
    pub(crate) memory_of_tokens: u64,
    /// Bytes of the process before.
    pub(crate) memory: u64,
    /// Seconds from the start of the process to the first answer to a good token.
    pub(crate) first_answer: f64,
}

/// No request goes to an upstream.
pub(crate) const NO_UPSTREAM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

pub(crate) async fn measure(listener: Listener, requests: &[Request]) -> anyhow::Result<Footprint> {
    let started = Instant::now();
    let name = listener.name.clone();
    let mut edge = Edge::start(&[listener], NO_UPSTREAM).await?;
    let mut load = Load::connect(edge.address(&name).await?)?;
    load.send(requests.first())?;
    let first_answer = started.elapsed().as_secs_f64();
    let process = edge.process().id();
    let memory = private_memory(process)?;
    load.send(requests)?;
    let memory_of_tokens = private_memory(process)?.saturating_sub(memory);
    Ok(Footprint { memory_of_tokens, memory, first_answer })
}
