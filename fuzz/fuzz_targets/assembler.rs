//! `flamingo_testkit::bodies::assembler` says what is claimed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flamingo_testkit::bodies::assembler(data));
