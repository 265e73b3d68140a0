//! The device's side: receives commands, sends answers and pushes.
#![no_std]
#![no_main]

use flamingo_footprint::{Device, use_device};

static mut DEVICE: Device = Device::new(4096);

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: there is one thread, and this never runs.
    #[allow(static_mut_refs)]
    let device = unsafe { &mut DEVICE };
    loop {
        use_device(device);
    }
}
