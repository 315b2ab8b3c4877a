//! Judges signatures inside Envoy, by the same code as the filter: the host's `verify_signature` where it passed its
//! test at start, and pure Rust. It is a module of its own, so that the filter carries nothing of it.
//!
//! Asked with the headers `x-keys` (a JWK set), `x-algorithm`, `x-message` and `x-signature` (hex), it answers
//! `{"usable": "RS256 …", "host": true, "pure": true}`; the last two are null without a key for the algorithm.
//!
//! Asked with `x-shared-name` and `x-shared-value` (hex), it writes to the data that plugins with one VM id share, as a
//! hostile plugin would.
#![expect(missing_docs, reason = "the SDK's macro makes an undocumented entry point; nothing else is public")]

use std::rc::Rc;

use authn::{Algorithm, Backend, DEFAULT_LIMITS, Host, KeySet, PureRust, VERIFY_SIGNATURE};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { host: None }));
}}

struct Root {
    host: Option<Rc<Host>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let call = |request: &[u8]| {
            hostcalls::call_foreign_function(VERIFY_SIGNATURE, Some(request)).ok().map(Option::unwrap_or_default)
        };
        self.host = Some(Rc::new(Host::probe(call)));
        true
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Judge { host: Rc::clone(self.host.as_ref()?) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Judge {
    host: Rc<Host>,
}

impl Judge {
    /// Whether the signature holds, by the host and by pure Rust.
    fn judge(&self) -> Option<(bool, bool)> {
        let algorithm = Algorithm::from_name(&self.get_http_request_header("x-algorithm")?)?;
        let message = hex::decode(self.get_http_request_header("x-message")?).ok()?;
        let signature = hex::decode(self.get_http_request_header("x-signature")?).ok()?;
        let keys = KeySet::parse(self.get_http_request_header("x-keys")?.as_bytes(), DEFAULT_LIMITS).ok()?;
        let key = keys.candidates(None, algorithm).next()?;
        // As the filter: a signature of another length is refused with the token's form.
        let exact = algorithm.signature_length().is_none_or(|length| length == signature.len());
        let by = |backend: &dyn Backend| exact && backend.holds(key, &message, &signature);
        Some((by(&*self.host), by(&PureRust)))
    }
}

impl Judge {
    fn share(&self) -> Option<()> {
        let name = self.get_http_request_header("x-shared-name")?;
        let value = hex::decode(self.get_http_request_header("x-shared-value")?).ok()?;
        hostcalls::set_shared_data(&name, Some(&value), None).ok()
    }
}

impl Context for Judge {}

impl HttpContext for Judge {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.share();
        let shown = |holds: Option<bool>| holds.map_or("null".to_owned(), |holds| holds.to_string());
        let (host, pure) = self.judge().unzip();
        let usable: Vec<_> = self.host.usable().iter().map(|algorithm| algorithm.name()).collect();
        let (usable, host, pure) = (usable.join(" "), shown(host), shown(pure));
        let body = format!(r#"{{"usable": "{usable}", "host": {host}, "pure": {pure}}}"#);
        self.send_http_response(200, Vec::new(), Some(body.as_bytes()));
        Action::Pause
    }
}
