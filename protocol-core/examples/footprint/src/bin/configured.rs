//! The client's side as in `client.rs`, with settings that are known only at run time.
#![no_std]
#![no_main]

use flamingo_footprint::use_client;
use flamingo_protocol_core::{Config, Connection};

static mut CLIENT: Connection<4, 12, 9, 4> = Connection::new(Config::DEFAULT);

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: there is one thread, and this never runs.
    #[allow(static_mut_refs)]
    let client = unsafe { &mut CLIENT };
    loop {
        use_client(client);
    }
}
