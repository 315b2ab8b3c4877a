//! The proxy-wasm shell around `authn`: callbacks become calls, answers become host calls. It decides nothing.
#![expect(missing_docs, reason = "the SDK's macro makes an undocumented entry point; nothing else is public")]

mod abi;
mod fetching;
mod host;
mod metrics;
mod root;
mod state;
mod stream;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context_id| Box::new(root::Root::new(context_id)));
}}
