//! The device's side: commands in, answers and pushes out.
#![no_std]
#![no_main]

use flamingo_footprint::{Device, use_device};

#[unsafe(no_mangle)]
static mut DEVICE: core::mem::MaybeUninit<Device> = core::mem::MaybeUninit::uninit();

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: there is one thread, and this never runs.
    #[allow(static_mut_refs)]
    let device = unsafe { DEVICE.write(Device::default()) };
    loop {
        use_device(device);
    }
}
