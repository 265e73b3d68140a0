//! A program that links only if nothing in the protocol core can panic, and nothing allocates.
//!
//! It calls every public function of the core, with arguments and in states of which the
//! optimiser knows nothing. The panic handler calls a function that exists nowhere: as long as
//! any panic can be reached from any of the calls, the linker finds that function missing. Sums
//! that may overflow count as panics, too (`overflow-checks`). No `#[global_allocator]` is
//! defined: a dependency that links `alloc` does not build here.
//!
//! That all public functions are called is checked by `protocol-core/tests/it/panic_free.rs`.
//! Capacities are generic; what is checked are the default ones, and some above 255.
//!
//! Not covered, since Rust's own formatting and parsing of floats and of text contain panics that the
//! optimiser cannot rule out (random texts show that the parsers do not reach them):
//! - `Display for Frame`;
//! - `pushed_positions` and `LaserLevel::parse`, which parse floats out of text;
//! - `Debug`, which is derived everywhere.
//!
//! And what no library can help: polling a future again after it has ended.
//!
//! It is never run. `.ci/run` builds it, and sees it fail with `--features panics` and with
//! `--features allocates`. The proof is the optimiser's; if it fails, this shows who can panic:
//! `cargo rustc --release --target thumbv7em-none-eabihf -- --emit asm`, then search the assembly
//! in `target/thumbv7em-none-eabihf/release/deps` for calls of `panic`.
#![no_std]
#![no_main]

#[cfg(feature = "allocates")]
extern crate alloc;

mod any;
mod connection;
mod frames;
mod logged;
mod pumps;
mod rules;
mod shown;
mod streams;
mod values;

unsafe extern "C" {
    /// Exists nowhere.
    fn the_core_can_panic() -> !;
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: it is never linked, so it is never called.
    unsafe { the_core_can_panic() }
}

/// Where the linker begins: what cannot be reached from here is left out.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    values::all();
    frames::all();
    rules::all();
    streams::all();
    connection::all();
    pumps::all();
    shown::all();
    logged::all();
    #[cfg(feature = "allocates")]
    any::sink(alloc::vec::Vec::from(any::bytes()));
    #[cfg(feature = "panics")]
    assert!(any::any(true), "this can be reached");
    loop {
        any::sink(());
    }
}
