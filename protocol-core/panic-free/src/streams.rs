//! The readers of a stream, and the device's side of a connection. The state before each call is
//! unknown to the optimiser, so the order of the calls does not matter.

use flamingo_protocol_core::{Responder, image::ImageReader, wire::Assembler};

use crate::any::{any, bytes, frame, sink};
use crate::values;

pub fn all() {
    assembler();
    image_reader();
    responder(&mut <Responder as Default>::default());
    let device: &mut Responder<300> = &mut Responder::new(any(0));
    responder(device);
}

fn assembler() {
    sink(<Assembler as Default>::default());
    sink(Assembler::new(any(0)));
    let assembler = &mut any(Assembler::for_answers(any(0)));
    sink(Assembler::push(assembler, bytes()));
    sink((Assembler::held(assembler), Assembler::payload_remaining(assembler)));
    sink((Assembler::noise_bytes(assembler), Assembler::last_rejected(assembler)));
}

fn image_reader() {
    sink(<ImageReader as Default>::default());
    let reader = &mut any(ImageReader::new(any(0)));
    sink(ImageReader::push(reader, bytes()));
    sink(ImageReader::is_between(reader));
}

fn responder<const QUEUE: usize>(device: &mut Responder<QUEUE>) {
    sink(Responder::handle_input(any(&mut *device), bytes()));
    if let Ok(ticket) = Responder::push(any(&mut *device), &frame()) {
        values::ticket(ticket);
    }
    sink(Responder::poll_transmit(any(&mut *device)));
    sink(Responder::transmitted(any(&mut *device), any(0)));
    sink((Responder::queued(device), Responder::noise_bytes(device)));
    sink(Responder::unfinished(device));
    sink(Responder::abandon_input(device));
}
