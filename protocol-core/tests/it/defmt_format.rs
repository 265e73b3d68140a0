//! Formats a value of every public type with defmt, through a logger that stores the bytes.
#![allow(unsafe_code)] // a defmt logger is an unsafe trait

use defmt::Format;
use flamingo_protocol_core as core;

const fn formats<T: Format>() {}

#[test]
fn every_public_type_implements_format() {
    formats::<core::wire::Assembler>();
    formats::<core::wire::Piece<'_>>();
    formats::<core::Class>();
    formats::<core::connection::Owners>();
    formats::<core::wire::CallbackFlag>();
    formats::<core::CommandCode>();
    formats::<core::wire::Effect>();
    formats::<core::wire::Kind>();
    formats::<core::wire::Payload>();
    formats::<core::wire::Pushed>();
    formats::<core::wire::Row>();
    formats::<core::wire::Selector>();
    formats::<core::wire::Timing>();
    formats::<core::wire::LaserLevel<'_>>();
    formats::<core::wire::Status>();
    formats::<core::Config>();
    formats::<core::connection::OnAmbiguous>();
    formats::<core::connection::OrderingDomain>();
    formats::<core::connection::TokenField>();
    formats::<core::connection::UnmarkedPushes>();
    formats::<core::Connection>();
    formats::<core::connection::Counters>();
    formats::<core::error::CommandError>();
    formats::<core::error::DecodeError>();
    formats::<core::error::Full>();
    formats::<core::error::TextError>();
    formats::<core::wire::Field>();
    formats::<core::Flags>();
    formats::<core::Frame>();
    formats::<core::image::ImageError>();
    formats::<core::image::ImageHeader>();
    formats::<core::image::ImagePiece<'_>>();
    formats::<core::image::ImageReader>();
    formats::<core::Transmit<'_>>();
    formats::<core::Event>();
    formats::<core::Output<'_>>();
    formats::<core::connection::Reason>();
    formats::<core::Received>();
    formats::<core::connection::Cancelled>();
    formats::<core::Incoming<'_>>();
    formats::<core::Responder>();
    formats::<core::Ended>();
    formats::<core::Ticket>();
    formats::<core::time::Duration>();
    formats::<core::time::Instant>();
    #[cfg(any(feature = "embedded-io", feature = "embedded-io-async"))]
    formats::<core::pump::PumpError<u8>>();
}

/// Stores the logged bytes.
#[defmt::global_logger]
struct Kept;

static LOGGED: std::sync::Mutex<Vec<u8>> = std::sync::Mutex::new(Vec::new());

unsafe impl defmt::Logger for Kept {
    fn acquire() {}
    unsafe fn flush() {}
    unsafe fn release() {}
    unsafe fn write(bytes: &[u8]) {
        LOGGED.lock().unwrap().extend_from_slice(bytes);
    }
}
defmt::timestamp!("");

#[test]
fn a_frame_is_written_field_by_field() {
    let mut frame = core::Frame::command(core::CommandCode::STAGE_HALT).with_value(7.5);
    frame.set_text("kept").unwrap();
    defmt::println!("{}", frame);
    let logged = LOGGED.lock().unwrap().clone();
    let holds = |part: &[u8]| logged.windows(part.len()).any(|bytes| bytes == part);
    assert!(holds(&0x6003_u32.to_le_bytes()) && holds(&7.5_f64.to_le_bytes()) && holds(b"kept"));
}
