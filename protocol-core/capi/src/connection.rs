//! The client's side of a connection: its beginning and end, requests, and what it tells about itself.
//! The functions that move bytes and time are in `traffic.rs`.

use core::ffi::c_char;
use core::mem::size_of;

use flamingo_protocol_core::connection::Connection;
use flamingo_protocol_core::error::DecodeError;
use flamingo_protocol_core::{Config, Frame, Ticket, time::Instant};

use crate::events::{flamingo_cancelled, flamingo_counters};
use crate::memory::{
    Area, Client, Out, Stored, deinit, flamingo_connection, init, open, open_shared, value,
};
use crate::result::{flamingo_result, run};
use crate::settings::flamingo_config;
use crate::values::{flamingo_frame, number};

/// The version of the library, such as "0.1.0", in static memory. Compare it with FLAMINGO_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn flamingo_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The number of bytes of a flamingo_connection that the library uses: at most
/// sizeof(flamingo_connection).
#[unsafe(no_mangle)]
pub extern "C" fn flamingo_connection_size() -> usize {
    size_of::<Stored<Client>>()
}

/// Makes a connection that has sent and received nothing. If the memory holds a connection, it is
/// discarded.
///
/// `size` is sizeof(flamingo_connection): so a program that was compiled with the header of another
/// version is refused. `config` NULL: the default settings. The number of the first ticket follows that
/// of `last_ticket`: pass a random number for the first connection to an instrument, and the last ticket
/// of the old connection (flamingo_connection_status) for one that replaces it; 0 is allowed.
///
/// Errors: NULL, MISALIGNED, LENGTH, TOO_SMALL, OVERLAP, VALUE (a field of `config`).
///
/// # Safety
/// `connection` is NULL or points to `size` bytes that can be written. `config` is NULL or points to a
/// struct that can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_init(
    connection: *mut flamingo_connection,
    size: usize,
    config: *const flamingo_config,
    last_ticket: u32,
) -> flamingo_result {
    run(|| {
        let area = Area::check(connection, size)?;
        let config = if config.is_null() {
            Config::DEFAULT
        } else {
            // SAFETY: as the caller promises.
            unsafe { value(config, area)? }.checked()?
        };
        let last = Ticket::from_number(last_ticket);
        // SAFETY: as the caller promises.
        unsafe { init(connection, size, || Connection::new(config).starting_after(last)) }
    })
}

/// Ends the use of a connection: every later call with it returns NOT_INITIALISED, until it is
/// initialised again. Nothing has to be freed. It sends nothing.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_deinit(
    connection: *mut flamingo_connection,
) -> flamingo_result {
    // SAFETY: as the caller promises.
    run(|| unsafe { deinit::<Client>(connection) })
}

/// Queues `command` and waits for its answer. The time from `now_us` to `deadline_us` is the time for the
/// answer; it begins when the first byte is sent. Its outcome comes under `ticket`: exactly one SOLICITED
/// frame (complete with its payload), one ENDED event, or the caller's own cancel.
///
/// A stop (HALT, laser-off, the stop of a workflow or of live images) goes before everything that is
/// queued, and cancels the queued commands that it must not precede. It is never withdrawn by time. HALT
/// and laser-off have places of their own, so a full queue does not hold them.
///
/// If command->payload_len is not 0, poll_transmit asks for the payload under the ticket.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP; NOT_FINITE, UNKNOWN_AXIS, RESERVED_FLAG,
/// PAYLOAD_TOO_LONG, NEVER_ANSWERED, REQUESTS_FULL, TOMBSTONES_FULL, QUEUE_FULL, STOP_LANE_FULL, CLOSED.
/// After an error nothing was queued and nothing will be sent.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `command` is NULL
/// or can be read, `ticket` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_request(
    connection: *mut flamingo_connection,
    now_us: u64,
    command: *const flamingo_frame,
    deadline_us: u64,
    ticket: *mut u32,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, command, ticket) = unsafe {
            let client = open::<Client>(connection)?;
            let area = client.area;
            (client, value(command, area)?, Out::new(ticket, area)?)
        };
        let (now, deadline) = (Instant::from_micros(now_us), Instant::from_micros(deadline_us));
        ticket.write(number(client.change().request(now, &Frame::from(&command), deadline)?));
        Ok(())
    })
}

/// Queues `command` and waits for no answer. flamingo_connection_transmitted gives its ticket when it is
/// sent; if it will never be sent, an ENDED event reports it. A stop goes first, as in a request.
///
/// Errors: those of flamingo_connection_request without NEVER_ANSWERED, REQUESTS_FULL and
/// TOMBSTONES_FULL. After an error nothing was queued and nothing will be sent.
///
/// # Safety
/// As flamingo_connection_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_send(
    connection: *mut flamingo_connection,
    now_us: u64,
    command: *const flamingo_frame,
    ticket: *mut u32,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, command, ticket) = unsafe {
            let client = open::<Client>(connection)?;
            let area = client.area;
            (client, value(command, area)?, Out::new(ticket, area)?)
        };
        let sent = client.change().send(Instant::from_micros(now_us), &Frame::from(&command))?;
        ticket.write(number(sent));
        Ok(())
    })
}

/// Cancels a request or a frame, and writes what that did. If a request was already sent and its answer
/// comes, the answer is LATE. An outcome that is known already is still reported.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `cancelled` is NULL
/// or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_cancel(
    connection: *mut flamingo_connection,
    now_us: u64,
    ticket: u32,
    cancelled: *mut flamingo_cancelled,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, cancelled) = unsafe {
            let client = open::<Client>(connection)?;
            let area = client.area;
            (client, Out::new(cancelled, area)?)
        };
        let ticket = Ticket::from_number(ticket);
        cancelled.write(client.change().cancel(Instant::from_micros(now_us), ticket).into());
        Ok(())
    })
}

/// What a connection tells about itself.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_status {
    /// The number of requests in flight.
    pub in_flight: usize,
    /// The number of ended requests whose answers may still come.
    pub tombstones: usize,
    /// The number of bytes that are held until they prove to be a frame or noise.
    pub held: usize,
    /// The last ticket: for the init of the connection that replaces this one.
    pub last_ticket: u32,
}

/// Writes what the connection tells about itself.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `status` is NULL or
/// can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_status(
    connection: *const flamingo_connection,
    status: *mut flamingo_status,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, status) = unsafe {
            let (client, area) = open_shared::<Client>(connection)?;
            (client, Out::new(status, area)?)
        };
        let (in_flight, tombstones) = client.in_flight();
        let last_ticket = number(client.last_ticket());
        status.write(flamingo_status { in_flight, tombstones, held: client.held(), last_ticket });
        Ok(())
    })
}

/// Writes the counters since the connection began.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `counters` is NULL
/// or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_counters(
    connection: *const flamingo_connection,
    counters: *mut flamingo_counters,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, counters) = unsafe {
            let (client, area) = open_shared::<Client>(connection)?;
            (client, Out::new(counters, area)?)
        };
        counters.write(client.counters().into());
        Ok(())
    })
}

/// Writes the settings of the connection.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `config` is NULL or
/// can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_config(
    connection: *const flamingo_connection,
    config: *mut flamingo_config,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, config) = unsafe {
            let (client, area) = open_shared::<Client>(connection)?;
            (client, Out::new(config, area)?)
        };
        config.write(flamingo_config::of(client.config()));
        Ok(())
    })
}

/// Why the last 128 bytes that began with a start marker were not a frame.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_rejected {
    /// OK: nothing was rejected yet, and the other fields are 0. MARKER or PAYLOAD_TOO_LONG.
    pub reason: flamingo_result,
    /// The offset of the field.
    pub offset: u32,
    /// The expected value; for PAYLOAD_TOO_LONG the limit.
    pub expected: u32,
    /// The value found.
    pub found: u32,
}

/// Writes why the last bytes that looked like a frame were not one.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `rejected` is NULL
/// or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_last_rejected(
    connection: *const flamingo_connection,
    rejected: *mut flamingo_rejected,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, rejected) = unsafe {
            let (client, area) = open_shared::<Client>(connection)?;
            (client, Out::new(rejected, area)?)
        };
        let reason = client.last_rejected().map_or(flamingo_result::Ok, Into::into);
        let (offset, expected, found) = match client.last_rejected() {
            Some(DecodeError::Marker { field, expected, found }) => (field.offset, expected, found),
            Some(DecodeError::PayloadTooLong { limit, found }) => {
                (PAYLOAD_LEN_OFFSET, limit, found)
            }
            _ => (0, 0, 0),
        };
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        rejected.write(flamingo_rejected { reason, offset, expected, found });
        Ok(())
    })
}

/// The offset of additionalDataBytes.
const PAYLOAD_LEN_OFFSET: usize = 48;
