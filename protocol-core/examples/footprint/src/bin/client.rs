//! The client's side with four requests in flight: every call that a program needs.
#![no_std]
#![no_main]

use flamingo_footprint::{Client, use_client};
use flamingo_protocol_core::Config;

#[unsafe(no_mangle)]
static mut CLIENT: core::mem::MaybeUninit<Client> = core::mem::MaybeUninit::uninit();

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: there is one thread, and this never runs.
    #[allow(static_mut_refs)]
    let client = unsafe { CLIENT.write(Client::new(Config::default())) };
    loop {
        use_client(client);
    }
}
