//! The functions of a connection that move bytes and time. Requests are in `connection.rs`.

use flamingo_protocol_core::time::Instant;

use crate::events::{flamingo_event, flamingo_timeout};
use crate::memory::{Client, Out, bytes, flamingo_connection, open, open_shared};
use crate::result::{flamingo_result, run};
use crate::values::{flamingo_output, flamingo_transmit, number};

/// Takes received bytes up to the end of the next output. Writes how many bytes were consumed, and the
/// output. Call it again with the rest until it consumes everything and the kind is NONE.
///
/// output->payload points into `input`: use it before you change the input.
///
/// Errors: NULL (`input` may be NULL if `len` is 0), MISALIGNED, NOT_INITIALISED, LENGTH, OVERLAP. After
/// an error nothing was consumed.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `input` is NULL or
/// points to `len` bytes that can be read. `consumed` and `output` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_handle_input(
    connection: *mut flamingo_connection,
    now_us: u64,
    input: *const u8,
    len: usize,
    consumed: *mut usize,
    output: *mut flamingo_output,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, input, to_consumed, to_output) = unsafe {
            let client = open::<Client>(connection)?;
            let area = client.area;
            (client, bytes(input, len, area)?, Out::new(consumed, area)?, Out::new(output, area)?)
        };
        let (consumed, output) = client.change().handle_input(Instant::from_micros(now_us), input);
        let output = flamingo_output::from(output);
        to_consumed.write(consumed);
        to_output.write(output);
        Ok(())
    })
}

/// Writes what to write next. After the write, call flamingo_connection_transmitted with the number of
/// written bytes before any other call with this connection. Repeat until the kind is NONE.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `transmit` is NULL
/// or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_poll_transmit(
    connection: *mut flamingo_connection,
    now_us: u64,
    transmit: *mut flamingo_transmit,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, to_transmit) = unsafe {
            let client = open::<Client>(connection)?;
            let area = client.area;
            (client, Out::new(transmit, area)?)
        };
        let (client, offered) = client.offer();
        let transmit;
        (transmit, *offered) =
            flamingo_transmit::of(client.poll_transmit(Instant::from_micros(now_us)));
        to_transmit.write(transmit);
        Ok(())
    })
}

/// Reports that `written` bytes of the last poll are sent. Writes the ticket of the frame if these bytes
/// complete it, its payload included; 0 otherwise.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP; NOT_OFFERED: more bytes than the last poll offered,
/// or another function was called since. After NOT_OFFERED close the connection: the instrument may have
/// received bytes that the connection does not know.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `completed` is NULL
/// or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_transmitted(
    connection: *mut flamingo_connection,
    now_us: u64,
    written: usize,
    completed: *mut u32,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, completed) = unsafe {
            let client = open::<Client>(connection)?;
            let area = client.area;
            (client, Out::new(completed, area)?)
        };
        let client = client.written(written)?;
        completed
            .write(client.transmitted(Instant::from_micros(now_us), written).map_or(0, number));
        Ok(())
    })
}

/// Writes the next event. Call it until the kind is NONE: a request keeps its place in the table until
/// its outcome is taken.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `event` is NULL or
/// can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_poll_event(
    connection: *mut flamingo_connection,
    event: *mut flamingo_event,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, event) = unsafe {
            let client = open::<Client>(connection)?;
            let area = client.area;
            (client, Out::new(event, area)?)
        };
        event.write(client.change().poll_event().into());
        Ok(())
    })
}

/// Writes when flamingo_connection_handle_timeout is due, and why.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `timeout` is NULL or
/// can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_poll_timeout(
    connection: *const flamingo_connection,
    timeout: *mut flamingo_timeout,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, timeout) = unsafe {
            let (client, area) = open_shared::<Client>(connection)?;
            (client, Out::new(timeout, area)?)
        };
        timeout.write(client.poll_timeout().into());
        Ok(())
    })
}

/// Ends everything that is due: deadlines, graces, and the patience of a stop. Events follow.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_handle_timeout(
    connection: *mut flamingo_connection,
    now_us: u64,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let client = unsafe { open::<Client>(connection)? };
        client.change().handle_timeout(Instant::from_micros(now_us));
        Ok(())
    })
}

/// Reports that the stream has ended, or that the program has closed it. Every request ends as
/// CONNECTION_LOST, and later requests are refused. Writes the number of bytes of an incomplete frame and
/// the number of missing bytes of a payload.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `connection` is NULL or points to a flamingo_connection that no other thread uses. `held` and `missing`
/// are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_handle_eof(
    connection: *mut flamingo_connection,
    held: *mut usize,
    missing: *mut u32,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, to_held, to_missing) = unsafe {
            let client = open::<Client>(connection)?;
            let area = client.area;
            (client, Out::new(held, area)?, Out::new(missing, area)?)
        };
        let (held, missing) = client.change().handle_eof();
        to_held.write(held);
        to_missing.write(missing);
        Ok(())
    })
}

/// Discards the unfinished input: a part of a frame, which counts as noise, or the rest of a payload. The
/// request of that payload ends as PAYLOAD_STALLED. Writes the number of bytes that were held and the
/// number of payload bytes that are missing. For a link that does not report when the peer has gone, such
/// as a UART.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// As flamingo_connection_handle_eof.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_connection_abandon_input(
    connection: *mut flamingo_connection,
    now_us: u64,
    held: *mut usize,
    missing: *mut u32,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (client, to_held, to_missing) = unsafe {
            let client = open::<Client>(connection)?;
            let area = client.area;
            (client, Out::new(held, area)?, Out::new(missing, area)?)
        };
        let (held, missing) = client.change().abandon_input(Instant::from_micros(now_us));
        to_held.write(held);
        to_missing.write(missing);
        Ok(())
    })
}
