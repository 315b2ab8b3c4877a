//! One request.

use authn::{Answer, Headers, Refusal};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

use crate::host;
use crate::root::AT_ONCE;
use crate::state::{Next, Shared};

pub(crate) struct Stream {
    id: u32,
    root_id: u32,
    shared: Shared,
}

impl Stream {
    pub(crate) fn new(id: u32, root_id: u32, shared: Shared) -> Self {
        Self { id, root_id, shared }
    }

    /// Removes what only the filter may say, decides, and does what was decided.
    fn handle(&self, map: &[u8]) -> Result<Action, (Refusal, Answer)> {
        let headers = Headers::from_map(map).ok_or_else(|| bare(Refusal::Malformed))?;
        let mut shared = self.shared.borrow_mut();
        let state = shared.as_mut().ok_or_else(|| bare(Refusal::NoKeys))?;
        let forged = state.gate.forged_headers(&headers);
        let removed = forged.into_iter().all(|name| host::remove_request_header(name).is_ok());
        let next = if removed { state.decide(self.id, &headers, map) } else { Next::Deny(Refusal::Ambiguous) };
        let refusal = match next {
            Next::Continue(changes) if host::apply(&changes).is_ok() => return Ok(Action::Continue),
            Next::Continue(_) => Refusal::NoKeys,
            Next::Wait => {
                self.hurry();
                return Ok(Action::Pause);
            }
            Next::Deny(refusal) => refusal,
        };
        Err((refusal, state.gate.answer(refusal, headers.first("x-request-id"))))
    }

    /// Has the root context look for due fetches in the next turn of the event loop: a fetch must be its own, or
    /// the answer would be lost with this stream.
    fn hurry(&self) {
        if host::act_on(self.root_id).is_ok() {
            host::tick_every(AT_ONCE);
        }
        if host::act_on(self.id).is_err() {
            host::log(LogLevel::Error, "could not return to the stream");
        }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let handled = match host::request_headers() {
            Some(map) => self.handle(&map),
            None => Err(bare(Refusal::Malformed)),
        };
        handled.unwrap_or_else(|(refusal, answer)| {
            host::log(LogLevel::Debug, &format!("oidc filter: refused: {}", refusal.code()));
            host::send(answer);
            Action::Pause
        })
    }
}

/// A refusal without anything known of gate or request.
fn bare(refusal: Refusal) -> (Refusal, Answer) {
    (refusal, Answer::to(refusal, None))
}

impl Drop for Stream {
    /// A stream that has gone is never resumed or answered.
    fn drop(&mut self) {
        if let Ok(mut shared) = self.shared.try_borrow_mut()
            && let Some(state) = shared.as_mut()
        {
            state.forget(self.id);
        }
    }
}
