//! head
#![no_std]
#![no_main]

mod any;
mod connection;
mod frames;
mod pumps;
mod shown;
mod streams;
mod values;

use any::any;

unsafe extern "C" {
    /// Defined nowhere.
    fn the_core_can_panic() -> !;
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: it is never linked, so never called.
    unsafe { the_core_can_panic() }
}

/// Where the linker begins. Whatever cannot be reached from here, it leaves out.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    values::all();
    frames::all();
    streams::all();
    connection::all();
    pumps::all();
    shown::all();
    #[cfg(feature = "panics")]
    assert!(any(true), "a panic that can be reached");
    loop {
        any(());
    }
}
