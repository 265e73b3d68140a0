//! Both sides in one program, as a bridge has them: towards the instrument and towards the host.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;

use flamingo_footprint::{Client, Device, use_client, use_device};

#[unsafe(no_mangle)]
static mut BOTH: MaybeUninit<(Client, Device)> = MaybeUninit::uninit();

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: there is one thread, and this never runs.
    #[allow(static_mut_refs)]
    let (client, device) = unsafe { BOTH.write((Client::default(), Device::default())) };
    loop {
        use_client(client);
        use_device(device);
    }
}
