//! The proxy-wasm shell around `authn`: callbacks become calls, answers become host calls. It decides nothing.

mod host;
mod root;
mod state;
mod stream;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context_id| Box::new(root::Root::new(context_id)));
}}
