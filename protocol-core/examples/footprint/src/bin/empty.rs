//! An empty program: its size is the part that all programs have.
#![no_std]
#![no_main]

use flamingo_footprint as _;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    #[allow(clippy::empty_loop)]
    loop {}
}
