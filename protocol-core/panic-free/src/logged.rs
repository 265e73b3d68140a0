//! The defmt output: `Format` of every public type, through a logger that accepts everything.

use defmt::{Format, Logger};
use embedded_io::ErrorKind;
use flamingo_protocol_core::{
    Class, CommandCode, Config, Connection, Ended, Event, Flags, Frame, Incoming, Output, Received,
    Responder, Ticket, Transmit,
    connection::{
        Cancelled, Candidate, Candidates, Counters, Facts, Key, OnAmbiguous, Order, OrderingDomain,
        Owners, Reason, Recovery, Token, TokenField, UnmarkedPushes, Verdict,
    },
    error::{CommandError, DecodeError, Full, TextError},
    image::{ImageError, ImageHeader, ImagePiece, ImageReader},
    pump::PumpError,
    time::{Duration, Instant},
    wire::{
        Assembler, CallbackFlag, Effect, Field, Kind, LaserLevel, Payload, Piece, Pushed, Row,
        Selector, Status, StatusRule, Timing,
    },
};

use crate::any::{any, sink};

#[defmt::global_logger]
struct Sink;

// SAFETY: this program never runs.
unsafe impl Logger for Sink {
    fn acquire() {}

    unsafe fn flush() {}

    unsafe fn release() {}

    unsafe fn write(bytes: &[u8]) {
        sink(bytes);
    }
}

defmt::timestamp!("{=u32}", any(0));

fn log<T: Format>() {
    defmt::println!("{}", any(None::<T>));
}

pub fn all() {
    log::<Assembler>();
    log::<CallbackFlag>();
    log::<Cancelled>();
    log::<Candidate<u64>>();
    log::<Candidates<u64>>();
    log::<Facts<u64>>();
    log::<Key>();
    log::<Order>();
    log::<Recovery>();
    log::<Token<u64>>();
    log::<Verdict<u64>>();
    log::<Class>();
    log::<CommandCode>();
    log::<CommandError>();
    log::<Config>();
    log::<Connection>();
    log::<Counters>();
    log::<DecodeError>();
    log::<Duration>();
    log::<Effect>();
    log::<Ended>();
    log::<Event>();
    log::<Field>();
    log::<Flags>();
    log::<Frame>();
    log::<Full>();
    log::<ImageError>();
    log::<ImageHeader>();
    log::<ImagePiece<'static>>();
    log::<ImageReader>();
    log::<Incoming<'static>>();
    log::<Instant>();
    log::<Kind>();
    log::<LaserLevel<'static>>();
    log::<OnAmbiguous>();
    log::<OrderingDomain>();
    log::<Output<'static>>();
    log::<Owners>();
    log::<Payload>();
    log::<Piece<'static>>();
    log::<PumpError<ErrorKind>>();
    log::<Pushed>();
    log::<Reason>();
    log::<Received>();
    log::<Responder>();
    log::<Row>();
    log::<Selector>();
    log::<Status>();
    log::<StatusRule>();
    log::<TextError>();
    log::<Ticket>();
    log::<Timing>();
    log::<TokenField>();
    log::<Transmit<'static>>();
    log::<UnmarkedPushes>();
}
