//! What is asked of both.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::ensure;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::scene::{MAKER, READER, Scene};

/// Names of new runners.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The control plane, through Envoy with the filter, with a token.
    Ours,
    /// Python, at its own port, without a token.
    Peer,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Get,
    List,
    Provision,
    /// Whether the process lives: no token, no database.
    Live,
    /// Who is calling: a token and its assertion, no database but for the list of those who were revoked.
    Me,
}

impl Call {
    pub(crate) const OF_BOTH: [Self; 3] = [Self::Get, Self::List, Self::Provision];
    pub(crate) const OF_OURS: [Self; 2] = [Self::Live, Self::Me];

    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Get => "get one runner",
            Self::List => "list 20 runners",
            Self::Provision => "provision one (just in time)",
            Self::Live => "no token, no database (/health/live)",
            Self::Me => "token, no audit entry (/api/v1/me)",
        }
    }

    fn subject(self) -> &'static str {
        if self == Self::Provision { MAKER } else { READER }
    }

    /// The question.
    pub(crate) fn request(self, client: &Client, scene: &Scene, side: Side) -> RequestBuilder {
        let base = match side {
            Side::Ours => scene.system.edge_url(),
            Side::Peer => scene.peer.url.as_str(),
        };
        let runners = format!("{base}/api/v1/runners");
        let request = match self {
            Self::Live => client.get(format!("{base}/health/live")),
            Self::Me => client.get(format!("{base}/api/v1/me")),
            Self::Get => client.get(format!("{runners}/{}", scene.name)),
            Self::List => client.get(format!("{runners}?limit=20")),
            Self::Provision => {
                let name = format!("made-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
                let body = json!({"runner_name": name, "mode": "jit", "labels": ["self-hosted"]});
                client.post(format!("{runners}/provision")).json(&body)
            }
        };
        match side {
            Side::Ours if self == Self::Provision => request.bearer_auth(&scene.maker_token),
            Side::Ours => request.bearer_auth(&scene.reader_token),
            Side::Peer => request
                .header("x-auth-issuer", &scene.system.believed().issuer)
                .header("x-auth-subject", self.subject()),
        }
    }

    /// Whether the answer is what was asked for.
    pub(crate) fn check(self, status: u16, text: &str) -> anyhow::Result<()> {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let is_text = |name: &str| body.get(name).is_some_and(Value::is_string);
        let listed = body.get("runners").and_then(Value::as_array).map(Vec::len);
        let right = match self {
            Self::Get => status == 200 && (is_text("runner_name") || is_text("name")),
            Self::List => status == 200 && listed == Some(20),
            Self::Live => status == 200,
            Self::Me => status == 200 && is_text("subject"),
            Self::Provision => status == 201 && is_text("encoded_jit_config"),
        };
        ensure!(right, "{}: {status} {text}", self.described());
        Ok(())
    }
}
