//! The client's side with four requests in flight: every call that a program needs.
#![no_std]
#![no_main]

use flamingo_footprint::{Client, any, needed};
use flamingo_protocol_core::{Config, Frame, Instant};

#[unsafe(no_mangle)]
static mut CLIENT: core::mem::MaybeUninit<Client> = core::mem::MaybeUninit::uninit();

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: there is one thread, and this never runs.
    #[allow(static_mut_refs)]
    let client = unsafe { CLIENT.write(Client::new(Config::default())) };
    loop {
        let now: Instant = any();
        let frame: &Frame = any();
        needed(&client.request(now, frame, any()));
        needed(&client.send(now, frame));
        needed(&client.cancel(now, any()));
        needed(&client.handle_input(now, any::<&[u8]>()));
        needed(&client.poll_transmit(now));
        needed(&client.transmitted(now, any()));
        needed(&client.poll_timeout());
        client.handle_timeout(now);
        needed(&client.poll_event());
    }
}
