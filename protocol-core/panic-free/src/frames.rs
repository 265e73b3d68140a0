//! Control frames and image headers: encode, decode, build, check.

use flamingo_protocol_core::{
    Frame, connection::is_cancelled_by, image::ImageHeader, responder::is_answered, wire::{Status, StatusRule},
};

use crate::any::{any, bytes, code, frame, sink, text};

pub fn all() {
    sink(Frame::new(code()));
    sink(Frame::command(code()));
    sink(Frame::with_selector(frame(), any(0)));
    sink(Frame::with_value(frame(), any(0.0)));
    sink(Frame::with_payload_len(frame(), any(0)));
    sink(Frame::selector(&frame()));
    sink(Frame::outcome(&frame()));
    sink(Frame::outcome_by(&frame(), any(StatusRule::Set)));
    sink(Frame::text(&frame()));
    sink(Frame::buffer_bytes(&frame()));
    let mut frame_to_fill = frame();
    sink(Frame::set_text(&mut frame_to_fill, text()));
    sink(Frame::set_buffer(&mut frame_to_fill, bytes()));
    sink(frame_to_fill);
    sink(Frame::encode(&frame()));
    sink(Frame::decode(bytes()));
    sink(Frame::check_payload(&frame(), any(0)));
    sink(Frame::check_command(&frame(), any(0)));
    sink(<Frame as PartialEq>::eq(&frame(), &frame()));
    sink(is_answered(&frame()));
    sink(is_cancelled_by(&frame(), &frame()));
    let header = any(ImageHeader::default());
    sink(ImageHeader::encode(&header));
    sink(ImageHeader::check(&header, any(0)));
    sink(ImageHeader::decode(bytes(), any(0)));
    sink(Status::of(any(0), any(StatusRule::Unknown)));
}
