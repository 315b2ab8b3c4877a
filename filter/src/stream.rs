//! One request.

use authn::{Answer, Refusal};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, LogLevel};

use crate::host::{self, Headers};
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

    fn decide(&self, headers: &Headers) -> Next {
        let mut shared = self.shared.borrow_mut();
        let Some(state) = shared.as_mut() else {
            return Next::Deny(Refusal::NoKeys);
        };
        for name in state.gate.forged_headers(headers) {
            if host::remove_request_header(name).is_err() {
                return Next::Deny(Refusal::Ambiguous);
            }
        }
        state.decide(self.id, headers)
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
        let Ok(headers) = host::request_headers() else {
            host::send(&Answer::to(Refusal::Malformed, None));
            return Action::Pause;
        };
        let refusal = match self.decide(&headers) {
            Next::Continue(changes) if host::apply(&changes).is_ok() => return Action::Continue,
            Next::Continue(_) => Refusal::NoKeys,
            Next::Wait => {
                self.hurry();
                return Action::Pause;
            }
            Next::Deny(refusal) => refusal,
        };
        host::log(LogLevel::Debug, &format!("oidc filter: refused: {}", refusal.code()));
        let request_id = host::header(&headers, "x-request-id");
        match self.shared.borrow().as_ref() {
            Some(state) => host::send(&state.gate.answer(refusal, request_id)),
            None => host::send(&Answer::to(refusal, request_id)),
        }
        Action::Pause
    }
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
