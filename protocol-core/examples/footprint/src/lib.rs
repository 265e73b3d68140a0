//! What the programs have in common: values and memory of which the optimiser knows nothing, so
//! that it leaves nothing out of what they use. They are weighed by `scripts/footprint` and never
//! run.
#![no_std]

use core::hint::black_box;
use core::mem::MaybeUninit;

use flamingo_protocol_core::{
    Config, Connection, Frame, Responder, connection::ConfigSource, time::Instant,
};

/// Settings that are known when the program is compiled, as they are in a firmware.
pub struct Instrument;

impl ConfigSource for Instrument {
    fn config(&self) -> &Config {
        const { &Config::DEFAULT }
    }
}

/// The client's side with four requests in flight, and room for as many frames, a stop and a fence.
pub type Client = Connection<4, 8, 6, 1, Instrument>;
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

/// Every call of the client's side that a program needs.
#[inline] // compiled as a part of the program that uses it
pub fn use_client<C: ConfigSource>(client: &mut Connection<4, 8, 6, 1, C>) {
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

/// Every call of the device's side that a program needs.
#[inline]
pub fn use_device(device: &mut Device) {
    needed(&device.handle_input(any::<&[u8]>()));
    let frame: &Frame = any();
    needed(&device.push(frame));
    needed(&device.poll_transmit());
    needed(&device.transmitted(any()));
}
