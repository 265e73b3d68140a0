//! The device's side of a connection: commands come in, answers and pushes go out.

use core::mem::size_of;

use flamingo_protocol_core::{Frame, Responder, responder};

use crate::memory::{
    Area, Device, Out, Stored, bytes, deinit, flamingo_responder, init, open, open_shared, value,
};
use crate::result::{flamingo_result, run};
use crate::values::{flamingo_frame, flamingo_incoming, flamingo_transmit, number};

/// The number of bytes of a flamingo_responder that the library uses: at most sizeof(flamingo_responder).
#[unsafe(no_mangle)]
pub extern "C" fn flamingo_responder_size() -> usize {
    size_of::<Stored<Device>>()
}

/// Makes a responder that accepts payloads of up to `payload_limit` bytes. `size` is
/// sizeof(flamingo_responder).
///
/// Errors: NULL, MISALIGNED, LENGTH, TOO_SMALL.
///
/// # Safety
/// `device` is NULL or points to `size` bytes that can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_responder_init(
    device: *mut flamingo_responder,
    size: usize,
    payload_limit: u32,
) -> flamingo_result {
    // SAFETY: as the caller promises.
    run(|| unsafe { init::<Device>(device, size, || Responder::new(payload_limit)) })
}

/// Ends the use of a responder: every later call with it returns NOT_INITIALISED.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED.
///
/// # Safety
/// `device` is NULL or points to a flamingo_responder that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_responder_deinit(
    device: *mut flamingo_responder,
) -> flamingo_result {
    // SAFETY: as the caller promises.
    run(|| unsafe { deinit::<Device>(device) })
}

/// Takes received bytes up to the end of the next output, as flamingo_connection_handle_input does.
///
/// Errors: NULL (`input` may be NULL if `len` is 0), MISALIGNED, NOT_INITIALISED, LENGTH, OVERLAP.
///
/// # Safety
/// `device` is NULL or points to a flamingo_responder that no other thread uses. `input` is NULL or points
/// to `len` bytes that can be read. `consumed` and `incoming` are NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_responder_handle_input(
    device: *mut flamingo_responder,
    input: *const u8,
    len: usize,
    consumed: *mut usize,
    incoming: *mut flamingo_incoming,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (device, input, to_consumed, to_incoming) = unsafe {
            let device = open::<Device>(device)?;
            let area = device.area;
            (device, bytes(input, len, area)?, Out::new(consumed, area)?, Out::new(incoming, area)?)
        };
        let (consumed, incoming) = device.change().handle_input(input);
        let incoming = flamingo_incoming::from(incoming);
        to_consumed.write(consumed);
        to_incoming.write(incoming);
        Ok(())
    })
}

/// Queues a frame, an answer or a push. If its payload_len is not 0, poll_transmit asks for the payload
/// under `ticket`. The frames go out in the order of the calls. An answer is the command with its result
/// filled in.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP; QUEUE_FULL: first write what poll_transmit gives.
///
/// # Safety
/// `device` is NULL or points to a flamingo_responder that no other thread uses. `frame` is NULL or can be
/// read, `ticket` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_responder_push(
    device: *mut flamingo_responder,
    frame: *const flamingo_frame,
    ticket: *mut u32,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (device, frame, ticket) = unsafe {
            let device = open::<Device>(device)?;
            let area = device.area;
            (device, value(frame, area)?, Out::new(ticket, area)?)
        };
        ticket.write(number(device.change().push(&Frame::from(&frame))?));
        Ok(())
    })
}

/// Writes what to write next. After the write, call flamingo_responder_transmitted before any other call.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `device` is NULL or points to a flamingo_responder that no other thread uses. `transmit` is NULL or can
/// be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_responder_poll_transmit(
    device: *mut flamingo_responder,
    transmit: *mut flamingo_transmit,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (device, to_transmit) = unsafe {
            let device = open::<Device>(device)?;
            let area = device.area;
            (device, Out::new(transmit, area)?)
        };
        let (device, offered) = device.offer();
        let transmit;
        (transmit, *offered) = flamingo_transmit::of(device.poll_transmit());
        to_transmit.write(transmit);
        Ok(())
    })
}

/// Reports that `written` bytes of the last poll are sent. Writes the ticket of the frame if these bytes
/// complete it, its payload included; 0 otherwise.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP; NOT_OFFERED: more bytes than the last poll offered,
/// or another function was called since. After NOT_OFFERED close the connection: the peer may have received
/// bytes that the responder does not know.
///
/// # Safety
/// `device` is NULL or points to a flamingo_responder that no other thread uses. `completed` is NULL or can
/// be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_responder_transmitted(
    device: *mut flamingo_responder,
    written: usize,
    completed: *mut u32,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (device, completed) = unsafe {
            let device = open::<Device>(device)?;
            let area = device.area;
            (device, Out::new(completed, area)?)
        };
        completed.write(device.written(written)?.transmitted(written).map_or(0, number));
        Ok(())
    })
}

/// Discards the unfinished input. Writes the number of bytes that were held and the number of payload
/// bytes that are missing.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `device` is NULL or points to a flamingo_responder that no other thread uses. `held` and `missing` are
/// NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_responder_abandon_input(
    device: *mut flamingo_responder,
    held: *mut usize,
    missing: *mut u32,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (device, to_held, to_missing) = unsafe {
            let device = open::<Device>(device)?;
            let area = device.area;
            (device, Out::new(held, area)?, Out::new(missing, area)?)
        };
        let (held, missing) = device.change().abandon_input();
        to_held.write(held);
        to_missing.write(missing);
        Ok(())
    })
}

/// What a responder tells about itself.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_responder_status {
    /// The number of bytes that were skipped because they were not part of a command.
    pub noise_bytes: u64,
    /// The number of frames that are not completely sent, their payloads included.
    pub queued: usize,
    /// The number of bytes of an unfinished command.
    pub held: usize,
    /// The number of missing bytes of a payload.
    pub missing: u32,
}

/// Writes what the responder tells about itself.
///
/// Errors: NULL, MISALIGNED, NOT_INITIALISED, OVERLAP.
///
/// # Safety
/// `device` is NULL or points to a flamingo_responder that no other thread uses. `status` is NULL or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_responder_get_status(
    device: *const flamingo_responder,
    status: *mut flamingo_responder_status,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (device, status) = unsafe {
            let (device, area) = open_shared::<Device>(device)?;
            (device, Out::new(status, area)?)
        };
        let (noise_bytes, queued) = (device.noise_bytes(), device.queued());
        let (held, missing) = device.unfinished();
        status.write(flamingo_responder_status { noise_bytes, queued, held, missing });
        Ok(())
    })
}

/// Writes whether an instrument answers this command.
///
/// Errors: NULL, MISALIGNED.
///
/// # Safety
/// `command` is NULL or can be read, `answered` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flamingo_is_answered(
    command: *const flamingo_frame,
    answered: *mut bool,
) -> flamingo_result {
    run(|| {
        // SAFETY: as the caller promises.
        let (command, answered) =
            unsafe { (value(command, Area::NONE)?, Out::new(answered, Area::NONE)?) };
        answered.write(responder::is_answered(&Frame::from(&command)));
        Ok(())
    })
}
