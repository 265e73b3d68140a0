//! `flamingo_testkit::bodies::frame` says what is claimed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flamingo_testkit::bodies::frame(data));
