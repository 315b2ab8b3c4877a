#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| authn_fuzz::admission(data));
