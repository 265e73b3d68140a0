//! The client's side with four requests in flight, with every call that a program needs.
#![no_std]
#![no_main]

use flamingo_footprint::{Client, Instrument, use_client};

static mut CLIENT: Client = Client::with(Instrument);

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: there is one thread, and this never runs.
    #[allow(static_mut_refs)]
    let client = unsafe { &mut CLIENT };
    loop {
        use_client(client);
    }
}
