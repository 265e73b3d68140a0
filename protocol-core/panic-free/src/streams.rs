//! What reads a stream, and the device's side of a connection.

use flamingo_protocol_core::{Assembler, ImageReader, Responder};

use crate::any::{any, bytes, frame, sink};
use crate::values;

pub type Device = Responder<4>;

pub fn all() {
    assembler();
    image_reader();
    responder();
}

fn assembler() {
    sink(<Assembler as Default>::default());
    sink(Assembler::new(any(0)));
    let mut assembler = any(Assembler::for_answers(any(0)));
    sink(Assembler::push(&mut assembler, bytes()));
    sink((Assembler::held(&assembler), Assembler::payload_remaining(&assembler)));
    sink((Assembler::noise_bytes(&assembler), Assembler::last_rejected(&assembler)));
    sink(&assembler);
}

fn image_reader() {
    sink(<ImageReader as Default>::default());
    let mut reader = any(ImageReader::new(any(0)));
    sink(ImageReader::push(&mut reader, bytes()));
    sink(ImageReader::is_between(&reader));
    sink(&reader);
}

fn responder() {
    sink(<Responder<4> as Default>::default());
    let mut device: Device = any(Responder::new(any(0)));
    sink(Responder::handle_input(&mut device, bytes()));
    let pushed = Responder::push(&mut device, &frame());
    if let Ok(ticket) = pushed {
        values::ticket(ticket);
    }
    sink(any(&mut device));
    sink(Responder::poll_transmit(&mut device));
    sink(any(&mut device));
    sink(Responder::transmitted(&mut device, any(0)));
    sink((Responder::queued(&device), Responder::noise_bytes(&device)));
    sink(Responder::unfinished(&device));
}
