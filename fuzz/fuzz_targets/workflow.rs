#![no_main]
mod workflow_body;
libfuzzer_sys::fuzz_target!(|data: &[u8]| workflow_body::run(data));
