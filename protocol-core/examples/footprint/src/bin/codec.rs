//! Decodes and encodes a frame, and does nothing else.
#![no_std]
#![no_main]

use flamingo_footprint::{any, needed};
use flamingo_protocol_core::{Frame, wire::FRAME_LEN};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    loop {
        let bytes: &[u8; FRAME_LEN] = any();
        needed(&Frame::decode(bytes));
        let frame: &Frame = any();
        needed(&frame.encode());
    }
}
