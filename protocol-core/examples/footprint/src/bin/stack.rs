//! Calls every public method of the codec, the client and the device from a function with the name
//! of that method. `scripts/stack` measures the depth of its stack. It never runs.
//!
//! The caller stores the result of a call, so each function here adds nothing to the stack. If the
//! compiler does not inline the method, the script subtracts the few bytes that the function saves
//! around the call.
#![no_std]
#![no_main]

use flamingo_footprint::{Client, Device, Instrument, needed};
use flamingo_protocol_core::{
    CommandCode, Config, Connection, Event, Frame, Incoming, Output, Ticket, Transmit,
    connection::{Cancelled, Counters, Reason},
    error::{CommandError, DecodeError, Full, TextError},
    image::{HEADER_LEN, ImageError, ImageHeader, ImagePiece, ImageReader},
    responder::is_answered,
    time::Instant,
    wire::{Assembler, FRAME_LEN, Piece},
};

/// Defines, for each line, a function with that name that calls the method. The program uses its
/// address, so the linker keeps it.
macro_rules! measured {
    ($($name:literal $method:path: ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $({
            #[inline(never)]
            #[unsafe(export_name = $name)]
            fn method($($argument: $type),*) -> $result {
                $method($($argument),*)
            }
            needed(method as fn($($type),*) -> $result);
        })*
    };
}

type Bytes = &'static [u8];
/// The client's side with settings that are known only at run time.
type RuntimeClient = Connection<4, 12, 9, 4>;

fn codec() {
    measured! {
        "Frame::new" Frame::new: (code: CommandCode) -> Frame;
        "Frame::command" Frame::command: (code: CommandCode) -> Frame;
        "Frame::with_selector" Frame::with_selector: (frame: Frame, selector: i32) -> Frame;
        "Frame::with_value" Frame::with_value: (frame: Frame, value: f64) -> Frame;
        "Frame::with_payload_len" Frame::with_payload_len: (frame: Frame, bytes: u32) -> Frame;
        "Frame::selector" Frame::selector: (frame: &Frame) -> i32;
        "Frame::text" Frame::text: (frame: &Frame) -> Result<&str, core::str::Utf8Error>;
        "Frame::buffer_bytes" Frame::buffer_bytes: (frame: &Frame) -> &[u8];
        "Frame::set_text" Frame::set_text: (frame: &mut Frame, text: &str) -> Result<(), TextError>;
        "Frame::set_buffer" Frame::set_buffer:
            (frame: &mut Frame, bytes: &[u8]) -> Result<(), TextError>;
        "Frame::encode" Frame::encode: (frame: &Frame) -> [u8; FRAME_LEN];
        "Frame::decode" Frame::decode: (bytes: &[u8]) -> Result<Frame, DecodeError>;
        "Frame::check_payload" Frame::check_payload:
            (frame: &Frame, limit: u32) -> Result<(), DecodeError>;
        "Frame::check_command" Frame::check_command:
            (frame: &Frame, limit: u32) -> Result<(), CommandError>;
        "Assembler::new" Assembler::new: (limit: u32) -> Assembler;
        "Assembler::for_answers" Assembler::for_answers: (limit: u32) -> Assembler;
        "Assembler::push" Assembler::push:
            (assembler: &mut Assembler, input: Bytes) -> (usize, Option<Piece<'static>>);
        "Assembler::held" Assembler::held: (assembler: &Assembler) -> usize;
        "Assembler::payload_remaining" Assembler::payload_remaining:
            (assembler: &Assembler) -> u32;
        "Assembler::noise_bytes" Assembler::noise_bytes: (assembler: &Assembler) -> u64;
        "Assembler::last_rejected" Assembler::last_rejected:
            (assembler: &Assembler) -> Option<DecodeError>;
        "ImageHeader::decode" ImageHeader::decode:
            (bytes: &[u8], limit: u32) -> Result<ImageHeader, ImageError>;
        "ImageHeader::check" ImageHeader::check:
            (header: &ImageHeader, limit: u32) -> Result<(), ImageError>;
        "ImageHeader::encode" ImageHeader::encode: (header: &ImageHeader) -> [u8; HEADER_LEN];
        "ImageReader::new" ImageReader::new: (limit: u32) -> ImageReader;
        "ImageReader::push" ImageReader::push:
            (reader: &mut ImageReader, input: Bytes)
                -> (usize, Result<Option<ImagePiece<'static>>, ImageError>);
        "ImageReader::is_between" ImageReader::is_between: (reader: &ImageReader) -> bool;
    }
}

fn client() {
    measured! {
        "Connection::with" Client::with: (settings: Instrument) -> Client;
        "Connection::new" RuntimeClient::new: (config: Config) -> RuntimeClient;
        "Connection::handle_input" Client::handle_input:
            (client: &mut Client, now: Instant, input: Bytes)
                -> (usize, Option<Output<'static>>);
        "Connection::poll_transmit" Client::poll_transmit:
            (client: &mut Client, now: Instant) -> Option<Transmit<'_>>;
        "Connection::transmitted" Client::transmitted:
            (client: &mut Client, now: Instant, written: usize) -> Option<Ticket>;
        "Connection::poll_event" Client::poll_event: (client: &mut Client) -> Option<Event>;
        "Connection::poll_timeout" Client::poll_timeout:
            (client: &Client) -> Option<(Instant, Reason)>;
        "Connection::handle_timeout" Client::handle_timeout:
            (client: &mut Client, now: Instant) -> ();
        "Connection::handle_eof" Client::handle_eof: (client: &mut Client) -> (usize, u32);
        "Connection::abandon_input" Client::abandon_input:
            (client: &mut Client, now: Instant) -> (usize, u32);
        "Connection::counters" Client::counters: (client: &Client) -> Counters;
        "Connection::last_rejected" Client::last_rejected:
            (client: &Client) -> Option<DecodeError>;
        "Connection::held" Client::held: (client: &Client) -> usize;
        "Connection::in_flight" Client::in_flight: (client: &Client) -> (usize, usize);
        "Connection::config" Client::config: (client: &Client) -> &Config;
        "Connection::starting_after" Client::starting_after:
            (client: Client, last: Ticket) -> Client;
        "Connection::last_ticket" Client::last_ticket: (client: &Client) -> Ticket;
        "Connection::request" Client::request:
            (client: &mut Client, now: Instant, command: &Frame, deadline: Instant)
                -> Result<Ticket, CommandError>;
        "Connection::send" Client::send:
            (client: &mut Client, now: Instant, command: &Frame) -> Result<Ticket, CommandError>;
        "Connection::cancel" Client::cancel:
            (client: &mut Client, now: Instant, ticket: Ticket) -> Cancelled;
    }
}

fn device() {
    measured! {
        "is_answered" is_answered: (command: &Frame) -> bool;
        "Responder::new" Device::new: (limit: u32) -> Device;
        "Responder::handle_input" Device::handle_input:
            (device: &mut Device, input: Bytes) -> (usize, Option<Incoming<'static>>);
        "Responder::push" Device::push:
            (device: &mut Device, frame: &Frame) -> Result<Ticket, Full>;
        "Responder::poll_transmit" Device::poll_transmit:
            (device: &mut Device) -> Option<Transmit<'_>>;
        "Responder::transmitted" Device::transmitted:
            (device: &mut Device, written: usize) -> Option<Ticket>;
        "Responder::abandon_input" Device::abandon_input: (device: &mut Device) -> (usize, u32);
        "Responder::queued" Device::queued: (device: &Device) -> usize;
        "Responder::noise_bytes" Device::noise_bytes: (device: &Device) -> u64;
        "Responder::unfinished" Device::unfinished: (device: &Device) -> (usize, u32);
    }
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    codec();
    client();
    device();
    #[allow(clippy::empty_loop)]
    loop {}
}
