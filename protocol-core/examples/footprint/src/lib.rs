//! What the programs have in common: values and memory of which the optimiser knows nothing, so
//! that it leaves nothing out of what they use. They are weighed by `scripts/footprint` and never
//! run.
#![no_std]

use core::hint::black_box;
use core::mem::MaybeUninit;

use flamingo_protocol_core::{Connection, Responder};

/// The client's side with four requests in flight.
pub type Client = Connection<4, 8, 4, 2>;
/// The device's side with four frames queued.
pub type Device = Responder<4>;

/// The program ends here, whatever it is: no message, which would weigh more than the program.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    #[allow(clippy::empty_loop)]
    loop {}
}

/// Some value of that type.
#[must_use]
pub fn any<T>() -> T {
    // SAFETY: none of these programs ever runs.
    unsafe { black_box(MaybeUninit::uninit()).assume_init() }
}

/// Takes a value as if it were needed.
pub fn needed<T>(value: T) {
    black_box(value);
}
