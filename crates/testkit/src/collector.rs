//! A collector of traces: takes OTLP by HTTP, and keeps what it got.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};

use crate::server::{Bound, Server, url_of};

/// Stops with its handle.
#[derive(Debug)]
pub struct Collector {
    world: Arc<World>,
    server: Server,
}

#[derive(Debug)]
struct World {
    status: StatusCode,
    got: Mutex<Vec<(HeaderMap, Bytes)>>,
}

impl Collector {
    /// Listens on a free port, and answers every batch with the status.
    pub async fn start(status: StatusCode) -> anyhow::Result<Self> {
        let bound = Bound::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let world = Arc::new(World { status, got: Mutex::default() });
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&world));
        Ok(Self { world, server: bound.serve(router) })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub fn url(&self) -> String {
        url_of(self.server.address())
    }

    /// Every batch so far, with its headers: an `ExportTraceServiceRequest` in protobuf.
    pub fn got(&self) -> Vec<(HeaderMap, Bytes)> {
        self.world.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn take(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    world.got.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body));
    world.status
}
