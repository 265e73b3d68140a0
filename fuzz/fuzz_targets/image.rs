//! `flamingo_testkit::bodies::image` says what is claimed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flamingo_testkit::bodies::image(data));
