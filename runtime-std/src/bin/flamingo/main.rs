//! The `flamingo` program.
fn main() {}
