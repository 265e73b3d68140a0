#![no_main]
mod settings_body;
libfuzzer_sys::fuzz_target!(|data: &[u8]| settings_body::run(data));
