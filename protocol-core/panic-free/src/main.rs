//! A program that links only if nothing in the protocol core can panic, and nothing allocates.
//!
//! It calls every public function of the core. The optimiser knows neither the arguments nor the
//! states. The panic handler calls a function that does not exist. If any of the calls can reach a
//! panic, the linker reports this function as missing. An arithmetic overflow also counts as a
//! panic (`overflow-checks`). The program defines no `#[global_allocator]`, so a dependency that
//! links `alloc` does not build here.
//!
//! `protocol-core/tests/it/panic_free.rs` checks that the program calls all public functions.
//! Capacities are generic: the program uses the default capacities, and some above 255.
//!
//! Not covered, because Rust's own formatting and parsing of floats and of text contain panics that
//! the optimiser cannot exclude (tests with random texts show that the parsers do not reach them):
//! - `Display for Frame`;
//! - `pushed_positions` and `LaserLevel::parse`, which parse floats from text;
//! - `Debug`, which every type derives.
//!
//! The core also cannot prevent one panic: a caller that polls a future again after its end.
//!
//! It never runs. `.ci/run` builds it, and checks that the build fails with `--features panics`
//! and with `--features allocates`. The proof depends on the optimiser. If the link fails, run
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
    /// This function does not exist.
    fn the_core_can_panic() -> !;
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: the linker never finds this function, so nothing calls it.
    unsafe { the_core_can_panic() }
}

/// The entry point: the linker leaves out everything that this function does not reach.
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
