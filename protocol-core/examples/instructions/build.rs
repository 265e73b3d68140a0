//! Passes `memory.x` to the linker: it describes the memory, and cortex-m-rt's `link.x` includes
//! it.

fn main() {
    println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg=-Tlink.x");
    println!("cargo:rerun-if-changed=memory.x");
}
