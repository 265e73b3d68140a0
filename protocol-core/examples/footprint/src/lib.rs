//! The common part of the programs: values and memory that the optimiser cannot know, so that it
//! keeps all the code under test. `scripts/footprint` measures the programs; nobody runs them.
#![no_std]

use core::hint::black_box;
use core::mem::MaybeUninit;

use flamingo_protocol_core::{
    Config, Connection, Frame, Responder, connection::ConfigSource, time::Instant,
};

/// Settings that are known at compile time, as in a firmware.
pub struct Instrument;

impl ConfigSource for Instrument {
    fn config(&self) -> &Config {
        const { &Config::DEFAULT }
    }
}

/// The client's side with four requests in flight, and a queue for four frames, one stop and one
/// fence.
pub type Client = Connection<4, 12, 9, 4, Instrument>;
/// The device's side with a queue for four frames.
pub type Device = Responder<4>;

/// Ends the program after any panic. It prints no message, because a message would need more flash
/// than the program.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    #[allow(clippy::empty_loop)]
    loop {}
}

/// Returns a value that the optimiser cannot know.
#[must_use]
pub fn any<T>() -> T {
    // SAFETY: these programs never run.
    unsafe { black_box(MaybeUninit::uninit()).assume_init() }
}

/// Uses a value, so that the optimiser keeps it.
pub fn needed<T>(value: T) {
    black_box(value);
}

/// Calls every method of the client's side that a program needs.
#[inline] // compiled into the program that calls it
pub fn use_client<C: ConfigSource>(client: &mut Connection<4, 12, 9, 4, C>) {
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

/// Calls every method of the device's side that a program needs.
#[inline]
pub fn use_device(device: &mut Device) {
    needed(&device.handle_input(any::<&[u8]>()));
    let frame: &Frame = any();
    needed(&device.push(frame));
    needed(&device.poll_transmit());
    needed(&device.transmitted(any()));
}
