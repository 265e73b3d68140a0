#![no_main]
mod router_body;
libfuzzer_sys::fuzz_target!(|data: &[u8]| router_body::run(data));
