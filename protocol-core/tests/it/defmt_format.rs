//! Every public type can be written with defmt, and really is, through a logger that keeps the
//! bytes.
#![allow(unsafe_code)] // a defmt logger is an unsafe trait

use defmt::Format;
use flamingo_protocol_core as core;

const fn formats<T: Format>() {}

#[test]
fn every_public_type_implements_format() {
    formats::<core::Assembler>();
    formats::<core::Piece<'_>>();
    formats::<core::Class>();
    formats::<core::Owners>();
    formats::<core::CallbackFlag>();
    formats::<core::CommandCode>();
    formats::<core::Effect>();
    formats::<core::Kind>();
    formats::<core::Payload>();
    formats::<core::Pushed>();
    formats::<core::Row>();
    formats::<core::Selector>();
    formats::<core::Timing>();
    formats::<core::Config>();
    formats::<core::OnAmbiguous>();
    formats::<core::Ordering>();
    formats::<core::TokenField>();
    formats::<core::UnmarkedPushes>();
    formats::<core::Connection>();
    formats::<core::Counters>();
    formats::<core::CommandError>();
    formats::<core::DecodeError>();
    formats::<core::Full>();
    formats::<core::TextError>();
    formats::<core::Field>();
    formats::<core::Flags>();
    formats::<core::Frame>();
    formats::<core::ImageError>();
    formats::<core::ImageHeader>();
    formats::<core::ImagePiece<'_>>();
    formats::<core::ImageReader>();
    formats::<core::Transmit<'_>>();
    formats::<core::Event>();
    formats::<core::Output<'_>>();
    formats::<core::Reason>();
    formats::<core::Received>();
    formats::<core::Cancelled>();
    formats::<core::Incoming<'_>>();
    formats::<core::Responder>();
    formats::<core::Ended>();
    formats::<core::Ticket>();
    formats::<core::Duration>();
    formats::<core::Instant>();
    #[cfg(any(feature = "embedded-io", feature = "embedded-io-async"))]
    formats::<core::PumpError<u8>>();
}

/// Keeps what is logged.
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
