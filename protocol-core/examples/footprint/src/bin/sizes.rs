//! The sizes of the public types. For each type there is a constant with that size and the name of
//! the type, for `scripts/footprint` to read.
#![no_std]
#![no_main]

use flamingo_footprint::{Client, Device, needed};
use flamingo_protocol_core::{Frame, Incoming, Output, image::ImageReader, wire::Assembler};

macro_rules! sizes {
    ($($name:literal $type:ty;)*) => {
        $({
            #[unsafe(export_name = concat!("size of ", $name))]
            static ROOM: [u8; size_of::<$type>()] = [0; size_of::<$type>()];
            needed(&ROOM);
        })*
    };
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    loop {
        sizes! {
            "Connection" Client;
            "Responder" Device;
            "Assembler" Assembler;
            "Frame" Frame;
            "ImageReader" ImageReader;
            "Output" Output<'static>;
            "Incoming" Incoming<'static>;
        }
    }
}
