//! Calls on what has no state of its own: frames, codes, settings, image headers, errors, times.

use flamingo_protocol_core::{
    CommandCode, CommandError, Config, Counters, DecodeError, Duration, Event, Flags, Frame, Full,
    ImageError, ImageHeader, ImagePiece, ImageReader, Instant, Row, TextError, Ticket, TokenField,
    is_answered, is_cancelled_by,
};

use crate::{any, show, sink};

pub(crate) fn all() {
    frames(any(Frame::new(any(CommandCode(1)))));
    codes(any(CommandCode(1)));
    settings(&any(Config::default()));
    images();
    errors();
    times(any(Instant::from_micros(any(1))), any(Duration::from_micros(any(1))));
}

/// Any frame there is: its fields are public.
pub(crate) fn frame() -> Frame {
    any(Frame::new(CommandCode(0)))
}

fn frames(mut frame: Frame) {
    sink(frame.encode());
    sink(Frame::decode(any(&[0; 128])));
    sink(Frame::command(any(CommandCode(1))).with_selector(any(1)).with_value(any(1.0)));
    sink(frame.with_payload_len(any(1)).selector());
    sink(frame.text());
    sink(frame.buffer_bytes());
    sink(frame.set_text(any("text")));
    sink(frame.set_buffer(any(b"bytes")));
    sink(frame.check_payload(any(1)));
    sink(frame.check_command(any(1)));
    sink(is_answered(&frame));
    sink(is_cancelled_by(&frame, &any(frame)));
    let flags = any(Flags(1));
    sink((flags.with(any(flags)), flags.without(any(flags)), flags.contains(any(flags))));
}

fn codes(code: CommandCode) {
    sink((code.subsystem(), code.name(), CommandCode::from_name(any("NAME"))));
    show(&code);
    let row: Option<&'static Row> = any(code.row());
    if let Some(row) = row {
        sink((row.answers_without_flag(), row.also_pushed()));
        sink((row.effect.stops(), row.effect.moves(), row.effect.lights()));
    }
}

fn settings(config: &Config) {
    sink(config.pushable(any(CommandCode(1))));
    let mut frame = frame();
    sink(config.marked_as_push(&frame));
    for field in any([TokenField::ClientId, TokenField::Int32Data2]) {
        sink((field.get(&frame), field.replace(&mut frame, any(1))));
    }
    sink(any(Counters::default()).frames_received());
}

fn images() {
    sink(ImageHeader::decode(any(&[0; 40]), any(1)));
    let header = any(ImageHeader::default());
    sink((header.check(any(1)), header.encode()));
    let mut reader = any(ImageReader::new(any(1)));
    let (taken, piece) = reader.push(any(&[0]));
    sink(taken);
    match piece {
        Ok(Some(ImagePiece::Header(header))) => sink(header),
        Ok(Some(ImagePiece::Pixels { bytes, remaining })) => sink((bytes, remaining)),
        Ok(None) => {}
        Err(error) => show(&error),
    }
    sink(reader.is_between());
}

fn errors() {
    let error = any(DecodeError::PayloadTooLong { limit: any(1), found: any(1) });
    show(&error);
    show(&any(CommandError::Full { what: any(Full::Queue) }));
    show(&any(Full::Queue));
    show(&any(TextError::Nul));
    show(&any(ImageError::Length { found: any(1) }));
}

fn times(instant: Instant, duration: Duration) {
    sink((instant.as_micros(), instant.since(any(instant)), instant + any(duration)));
    sink((duration.as_micros(), duration + any(duration), duration - any(duration)));
    sink(Duration::from_millis(any(1)));
    sink(Duration::from(any(core::time::Duration::ZERO)));
    sink(core::time::Duration::from(any(duration)));
}

pub(crate) fn ticket(ticket: Ticket) {
    sink((ticket.number(), ticket.is_fence(), ticket.token()));
}

pub(crate) fn event(event: Event) {
    if let Event::Ended { ticket: of, ended } = event {
        ticket(of);
        sink(ended);
    }
}
