#![no_main]
mod capture_body;
libfuzzer_sys::fuzz_target!(|data: &[u8]| capture_body::run(data));
