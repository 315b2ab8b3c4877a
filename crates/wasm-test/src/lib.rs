//! `#[test]` for wasm: the standard one makes tests that nothing can run there, `wasm-bindgen-test`'s has another
//! name. A crate that imports this macro for wasm has all its tests run there, without a word at any of them.

use proc_macro::TokenStream;

/// In place of the standard `#[test]`.
#[proc_macro_attribute]
pub fn test(_arguments: TokenStream, function: TokenStream) -> TokenStream {
    let attribute = "#[::wasm_bindgen_test::wasm_bindgen_test]".parse::<TokenStream>();
    attribute.unwrap_or_default().into_iter().chain(function).collect()
}
