//! Both sides in one program, as in a bridge: the client towards the instrument, the device towards
//! the host.
#![no_std]
#![no_main]

use flamingo_footprint::{Client, Device, Instrument, use_client, use_device};

static mut BOTH: (Client, Device) = (Client::with(Instrument), Device::new(4096));

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: there is one thread, and this never runs.
    #[allow(static_mut_refs)]
    let (client, device) = unsafe { &mut BOTH };
    loop {
        use_client(client);
        use_device(device);
    }
}
